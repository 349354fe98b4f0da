// serde into structs and enumerations that know LM Studio's own words only; HTTP/1.0 over a socket.
use serde::{de::DeserializeOwned, Deserialize};
use std::io::{Read, Write};
use std::{env, net::TcpStream, thread::sleep, time::Duration};

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Status {
    Downloading,
    Paused,
    Completed,
    Failed,
    AlreadyDownloaded,
}

#[derive(Deserialize)]
struct Job {
    job_id: String,
    status: Status,
    total_size_bytes: u64,
    downloaded_bytes: u64,
    #[serde(rename = "bytes_per_second")]
    _speed: Option<u64>, // as some clients have it, who take no fraction
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Gguf,
    Mlx,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Llm,
    Vlm,
    Embeddings,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Loaded,
    Loading,
    NotLoaded,
}

#[derive(Deserialize)]
#[allow(dead_code)] // it is enough that they can be read
struct Model {
    id: String,
    object: String,
    r#type: Kind,
    publisher: String,
    arch: Option<String>,
    compatibility_type: Format,
    quantization: Option<String>,
    state: State,
    max_context_length: Option<u64>,
    #[serde(default)]
    capabilities: Vec<String>,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Detail {
    message: String,
}

#[derive(Deserialize)]
struct Failure {
    error: Detail,
}

fn call<T: DeserializeOwned>(host: &str, line: &str, status: &str, body: &str) -> T {
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let head = format!("{line} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}");
    write!(stream, "{head}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(head.split(' ').nth(1), Some(status), "{body}");
    serde_json::from_str(body).unwrap()
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let host = arguments[1].trim_start_matches("http://");
    let download = "/api/v1/models/download";
    let body = serde_json::json!({ "model": arguments[2] }).to_string();
    let mut job: Job = call(host, &format!("POST {download}"), "200", &body);
    let first = job.status == Status::Downloading;
    while job.status == Status::Downloading {
        sleep(Duration::from_millis(100));
        job = call(host, &format!("GET {download}/status/{}", job.job_id), "200", "");
    }
    let models: Models = call(host, "GET /api/v0/models", "200", "");
    let unknown: Failure = call(host, &format!("GET {download}/status/job_%C3%A9"), "404", "");
    let told = serde_json::json!({
        "first": if first { "downloading" } else { "other" },
        "last": if job.status == Status::Completed { "completed" } else { "other" },
        "whole": job.downloaded_bytes == job.total_size_bytes,
        "keys": models.data.iter().map(|model| &model.id).collect::<Vec<_>>(),
        "error": unknown.error.message,
    });
    println!("{told}");
}
