//! A client of MCP over HTTP that says exactly what it is told, right or wrong.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::PATIENCE;

pub const MODERN: &str = "2026-07-28";
pub const LEGACY: &str = "2025-11-25";

/// Somebody who calls.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    /// `Authorization`, if there is one.
    token: Option<String>,
    /// Headers beside the usual ones, which they replace.
    pub headers: Vec<(String, String)>,
}

/// An answer, as far as it has come.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: BufReader<TcpStream>,
    chunked: bool,
    /// What came and was not looked at.
    text: String,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Client {
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token, headers: Vec::new() }
    }

    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    #[must_use]
    pub fn with(&self, header: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((header.to_owned(), value.to_owned()));
        client
    }

    /// One request; its answer once the head of it is here.
    pub async fn send(&self, method: &str, body: &[u8]) -> Response {
        let mut headers = vec![
            ("Host".to_owned(), self.address.to_string()),
            ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Content-Length".to_owned(), body.len().to_string()),
            ("Connection".to_owned(), "close".to_owned()),
        ];
        if let Some(token) = &self.token {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        for (name, value) in &self.headers {
            headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value.clone()));
        }
        let line =
            |head: String, (name, value): &(String, String)| head + name + ": " + value + "\r\n";
        let head = headers.iter().fold(String::new(), line);
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{method} /mcp HTTP/1.1\r\n{head}\r\n").as_bytes()).await.unwrap();
        // A server that has refused already need not read to the end.
        let _ = stream.write_all(body).await;
        tokio::time::timeout(PATIENCE, Response::read(stream)).await.expect("an answer in time")
    }

    /// A request of the revision without sessions; its result or error.
    pub async fn rpc(&self, method: &str, params: Value) -> Value {
        let mut response = self.open(method, params).await;
        response.answer().await
    }

    /// The same, with the answer as it comes.
    pub async fn open(&self, method: &str, mut params: Value) -> Response {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let given = params["_meta"].take();
        params["_meta"] = meta;
        if let Value::Object(given) = given {
            given.into_iter().for_each(|(key, value)| params["_meta"][key] = value);
        }
        let named = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let mut client = self.with("MCP-Protocol-Version", MODERN).with("Mcp-Method", method);
        if let Some(named) = named {
            client = client.with("Mcp-Name", &named);
        }
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        client.send("POST", body.to_string().as_bytes()).await
    }

    /// Calls a tool.
    pub async fn tool(&self, tool: &str, arguments: Value) -> Value {
        self.rpc("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Begins a session of the older revision.
    pub async fn session(&self) -> Session {
        let params = json!({
            "protocolVersion": LEGACY,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let mut response = self.send("POST", body.to_string().as_bytes()).await;
        let id = response.header("mcp-session-id").expect("a session").to_owned();
        let answer = response.answer().await;
        assert_eq!(answer["result"]["protocolVersion"], LEGACY, "{answer}");
        let client = self.with("Mcp-Session-Id", &id).with("MCP-Protocol-Version", LEGACY);
        let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(client.send("POST", told.to_string().as_bytes()).await.status, 202);
        Session { id, client }
    }
}

/// A session of the older revision.
#[derive(Debug)]
pub struct Session {
    pub id: String,
    pub client: Client,
}

impl Session {
    pub async fn open(&self, method: &str, params: Value) -> Response {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.client.send("POST", body.to_string().as_bytes()).await
    }

    pub async fn rpc(&self, method: &str, params: Value) -> Value {
        self.open(method, params).await.answer().await
    }

    pub async fn tool(&self, tool: &str, arguments: Value) -> Value {
        self.rpc("tools/call", json!({"name": tool, "arguments": arguments})).await
    }
}

impl Response {
    async fn read(stream: TcpStream) -> Self {
        let mut body = BufReader::new(stream);
        let mut first = String::new();
        body.read_line(&mut first).await.unwrap();
        let status = first.split(' ').nth(1).and_then(|it| it.parse().ok());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            body.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let chunked =
            headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let status = status.unwrap_or_else(|| panic!("no status: {first:?}"));
        Self { status, headers, body, chunked, text: String::new() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Takes more of the body in; false at its end.
    async fn more(&mut self) -> bool {
        let mut bytes = Vec::new();
        if self.chunked {
            let mut size = String::new();
            self.body.read_line(&mut size).await.unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            // With the line end behind it.
            bytes.resize(size + 2, 0);
            if self.body.read_exact(&mut bytes).await.is_err() {
                return false;
            }
            bytes.truncate(size);
        } else {
            self.body.read_to_end(&mut bytes).await.unwrap();
        }
        self.text.push_str(&String::from_utf8(bytes.clone()).unwrap());
        !bytes.is_empty()
    }

    /// The whole body.
    pub async fn text(&mut self) -> String {
        let all = async { while self.more().await {} };
        tokio::time::timeout(PATIENCE, all).await.expect("an end in time");
        std::mem::take(&mut self.text)
    }

    /// The next message of a stream; none at its end.
    pub async fn message(&mut self) -> Option<Value> {
        let next = async {
            loop {
                if let Some(end) = self.text.find("\n\n").or(self.text.find("\r\n\r\n")) {
                    let event: String = self.text.drain(..end + 2).collect();
                    let data: String =
                        event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                    if let Ok(message) = serde_json::from_str(&data) {
                        return Some(message);
                    }
                } else if !self.more().await {
                    return None;
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("a message in time")
    }

    /// The answer to the request, whether it comes alone or in a stream.
    pub async fn answer(&mut self) -> Value {
        let streamed =
            self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !streamed {
            let text = self.text().await;
            return serde_json::from_str(&text)
                .unwrap_or_else(|_| panic!("{}: {text}", self.status));
        }
        loop {
            let message = self.message().await.expect("an answer before the end of the stream");
            if message.get("id").is_some() {
                return message;
            }
        }
    }
}
