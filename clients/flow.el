;;; flow.el --- url.el and json, as packages for Emacs have it -*- lexical-binding: t; -*-
(require 'url)
(require 'json)

(defun flow-call (url &optional body)
  "The JSON that URL answers with, to BODY if there is one."
  (let ((url-request-method (if body "POST" "GET"))
        (url-request-extra-headers (and body '(("Content-Type" . "application/json"))))
        (url-request-data (and body (encode-coding-string (json-encode body) 'utf-8))))
    (with-current-buffer (url-retrieve-synchronously url t)
      (goto-char url-http-end-of-headers)
      (json-parse-buffer :object-type 'alist))))

(let* ((api (concat (pop command-line-args-left) "/api/v1/models"))
       (job (flow-call (concat api "/download") `((model . ,(pop command-line-args-left)))))
       (first (alist-get 'status job)))
  (while (equal (alist-get 'status job) "downloading")
    (sleep-for 0.1)
    (setq job (flow-call (concat api "/download/status/" (alist-get 'job_id job)))))
  (princ (json-serialize
          `((first . ,first)
            (last . ,(alist-get 'status job))
            (whole . ,(if (= (alist-get 'downloaded_bytes job) (alist-get 'total_size_bytes job)) t :false))
            (keys . ,(vconcat (mapcar (lambda (row) (alist-get 'key row)) (alist-get 'models (flow-call api)))))
            (error . ,(alist-get 'message (alist-get 'error (flow-call (concat api "/download/status/job_%C3%A9")))))))))
