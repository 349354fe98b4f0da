"""`windlass hub DIR`: a folder as an endpoint that Hugging Face's and LM Studio Hub's clients can fetch from.

    folder      which files of DIR may be served          knows nothing of HTTP
    digests     what they hash to, computed once          knows nothing of HTTP
    snapshot    a repository at a commit, and how the hub's JSON shows it
    catalog     `catalog/owner/name/model.yaml` as LM Studio Hub shows it
    ranges      one file's answer: 200, 206, 304 or 416, and its bytes
    app         the routes
    serve       a port to listen at

Nothing is imported here: the CLI asks for `windlass.share.serve` only when the verb is used.
"""
