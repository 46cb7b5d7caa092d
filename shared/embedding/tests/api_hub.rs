//! A model of a hub by its name: fetched once, then found without the hub. The hub here speaks as
//! much of the usual hub's protocol as a client needs, and serves the pinned model's files; where
//! it is is said in the environment, so the client is this test again, in another process.
#![cfg(feature = "hub")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use troupe_embedding::{Embedder, EmbedderSettings, Model, ModelChoice, ModelSettings};

const NAME: &str = "a_model_of_the_hub_is_fetched_once_and_then_needs_no_hub";
const PART: &str = "EMBEDDING_TEST_PART";
const REPOSITORY: &str = "Xenova/all-MiniLM-L6-v2";
const COMMIT: &str = "751bff37182d3f1213fa05d7196b954e230abad9";

/// By the path in the repository.
type Files = Vec<(&'static str, Vec<u8>)>;

fn files() -> Files {
    let part = |part| {
        let path = troupe_parts::ensure(part, troupe_parts::Progress::Auto).expect("the part");
        fs::read(path).expect("readable")
    };
    vec![
        ("onnx/model_quantized.onnx", part(&troupe_parts::EMBEDDING_MODEL)),
        ("tokenizer.json", part(&troupe_parts::EMBEDDING_TOKENIZER)),
        ("config.json", br#"{"pad_token_id": 0}"#.to_vec()),
        ("special_tokens_map.json", br#"{"pad_token": "[PAD]"}"#.to_vec()),
        ("tokenizer_config.json", br#"{"model_max_length": 512, "pad_token": "[PAD]"}"#.to_vec()),
    ]
}

/// Answers one request; no answer at all for one that is not understood.
fn answer(mut stream: TcpStream, files: &Files) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<String> =
        lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes="))?;
    let (first, last) = range.split_once('-')?;
    let name = path.strip_prefix(&format!("/{REPOSITORY}/resolve/main/"))?;
    let Some((_, content)) = files.iter().find(|(file, _)| *file == name) else {
        let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return stream.write_all(none.as_bytes()).ok();
    };
    let first: usize = first.parse().ok()?;
    let last = last.parse().unwrap_or(content.len() - 1);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\netag: \"{}\"\r\nx-repo-commit: {COMMIT}\r\n\
         content-range: bytes {first}-{last}/{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        name.replace('/', "-"),
        content.len(),
        last - first + 1,
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&content[first..=last]).ok()
}

/// A hub at the address that it gives back, and how many requests it has had.
fn hub() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("its address"));
    let (requests, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(files()));
    let seen = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            seen.fetch_add(1, Ordering::SeqCst);
            let files = Arc::clone(&counted);
            thread::spawn(move || answer(stream, &files));
        }
    });
    (address, requests)
}

/// Runs this test as the client of the hub at `endpoint`; what it printed.
fn client(endpoint: &str, home: &Path) -> String {
    let mut command = Command::new(env::current_exe().expect("this test"));
    for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    let output = command
        .args(["--exact", NAME, "--nocapture"])
        .env(PART, "client")
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", home)
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_model_of_the_hub_is_fetched_once_and_then_needs_no_hub() {
    if env::var(PART).is_ok() {
        let choice = ModelChoice::Hub(REPOSITORY.to_owned());
        let settings = ModelSettings { choice, ..ModelSettings::default() };
        match Model::find(&settings) {
            Err(error) => println!("told {error}"),
            Ok(model) => {
                println!("id {}", model.id());
                let hub = Embedder::start(model, EmbedderSettings::default()).expect("it starts");
                let pinned = Model::find(&ModelSettings::default()).expect("the pinned model");
                let pinned =
                    Embedder::start(pinned, EmbedderSettings::default()).expect("it starts");
                let text = "the same files, by another way";
                let hub = hub.embed(text).await.expect("a vector");
                println!("same {}", hub == pinned.embed(text).await.expect("a vector"));
            }
        }
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let nowhere = "http://127.0.0.1:1";
    let told = client(nowhere, home.path());
    for words in ["told embeddings are not available", REPOSITORY, "HF_ENDPOINT"] {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
    let (address, requests) = hub();
    let fetched = client(&address, home.path());
    assert!(fetched.contains("id Xenova-all-MiniLM-L6-v2-"), "{fetched}");
    assert!(fetched.contains("same true"), "{fetched}");
    assert!(requests.load(Ordering::SeqCst) >= 5, "every file was fetched");
    let kept = client(nowhere, home.path());
    let lines = |told: &str| -> Vec<String> {
        told.lines()
            .filter(|line| line.contains("id ") || line.contains("same "))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(lines(&kept), lines(&fetched));
}
