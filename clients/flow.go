// net/http and encoding/json into structs: a value of another type than the field's is an error.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type Item struct {
	Type         string  `json:"type"`
	ID           string  `json:"id"`
	SizeBytes    int64   `json:"size_bytes"`
	Publisher    string  `json:"publisher,omitempty"`
	DisplayName  string  `json:"display_name,omitempty"`
	URL          string  `json:"url,omitempty"`
	Format       string  `json:"format,omitempty"`
	Quantization *struct {
		Name string `json:"name"`
	} `json:"quantization,omitempty"`
}

type Job struct {
	ID        string     `json:"job_id"`
	Status    string     `json:"status"`
	Items     []Item     `json:"items"`
	Total     int64      `json:"total_size_bytes"`
	Done      int64      `json:"downloaded_bytes"`
	Speed     *float64   `json:"bytes_per_second,omitempty"`
	Estimated *time.Time `json:"estimated_completion,omitempty"`
	Started   *time.Time `json:"started_at,omitempty"`
	Completed *time.Time `json:"completed_at,omitempty"`
}

type Model struct {
	Type         string  `json:"type"`
	Publisher    string  `json:"publisher"`
	Key          string  `json:"key"`
	DisplayName  string  `json:"display_name"`
	Architecture *string `json:"architecture"`
	Quantization *struct {
		Name *string  `json:"name"`
		Bits *float64 `json:"bits_per_weight"`
	} `json:"quantization"`
	SizeBytes int64   `json:"size_bytes"`
	Params    *string `json:"params_string"`
	Loaded    []struct {
		ID string `json:"id"`
	} `json:"loaded_instances"`
	MaxContext   int64   `json:"max_context_length"`
	Format       *string `json:"format"`
	Capabilities *struct {
		Vision  bool `json:"vision"`
		ToolUse bool `json:"trained_for_tool_use"`
	} `json:"capabilities"`
	Description *string  `json:"description"`
	Variants    []string `json:"variants"`
	Selected    string   `json:"selected_variant"`
}

type Failure struct {
	Error struct {
		Type    string  `json:"type"`
		Message string  `json:"message"`
		Code    *string `json:"code"`
		Param   *string `json:"param"`
	} `json:"error"`
}

func read(answer *http.Response, err error, status int, into any) {
	if err == nil && answer.StatusCode != status {
		err = fmt.Errorf("status %d", answer.StatusCode)
	}
	if err == nil {
		defer answer.Body.Close()
		err = json.NewDecoder(answer.Body).Decode(into)
	}
	if err != nil {
		panic(err)
	}
}

func get(url string, status int, into any) {
	answer, err := http.Get(url)
	read(answer, err, status, into)
}

func main() {
	api := os.Args[1] + "/api/v1/models"
	body, _ := json.Marshal(map[string]string{"model": os.Args[2]})
	answer, err := http.Post(api+"/download", "application/json", bytes.NewReader(body))
	var job Job
	read(answer, err, 200, &job)
	first := job.Status
	for job.Status == "downloading" {
		time.Sleep(100 * time.Millisecond)
		id := job.ID
		job = Job{}
		get(api+"/download/status/"+id, 200, &job)
	}
	if job.Started == nil || job.Completed == nil || job.Completed.Before(*job.Started) || len(job.Items) == 0 {
		panic(fmt.Sprintf("%+v", job))
	}
	var list struct {
		Models []Model `json:"models"`
	}
	get(api, 200, &list)
	keys := []string{}
	for _, model := range list.Models {
		keys = append(keys, model.Key)
	}
	var failure Failure
	get(api+"/download/status/job_%C3%A9", 404, &failure)
	told, _ := json.Marshal(map[string]any{
		"first": first, "last": job.Status, "whole": job.Done == job.Total, "keys": keys, "error": failure.Error.Message,
	})
	fmt.Println(string(told))
}
