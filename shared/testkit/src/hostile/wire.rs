//! A caller that speaks NATS by hand, because no library lets it say what hostile callers say.

use std::fmt::Write;
use std::time::Duration;

use crate::NatsServer;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: BufReader<TcpStream>,
    inbox: String,
    asked: u64,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The header block as text.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The code of the fault, or `ok`.
    pub fn code(&self) -> String {
        if self.headers.contains("Nats-Service-Error-Code") {
            self.json()["code"].as_str().unwrap_or("a fault without a code").to_owned()
        } else if self.headers.starts_with("NATS/1.0 503") {
            "nobody listens".to_owned()
        } else {
            "ok".to_owned()
        }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| {
            panic!("{why}: {:?}", String::from_utf8_lossy(&self.body));
        })
    }
}

impl Wire {
    /// Connects.
    pub async fn connect(nats: &NatsServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", nats.port())).await.unwrap();
        let mut wire = Self { stream: BufReader::new(stream), inbox: String::new(), asked: 0 };
        let local = wire.stream.get_ref().local_addr().unwrap().port();
        wire.inbox = format!("_INBOX.wire{local}");
        assert!(wire.line().await.starts_with("INFO "));
        let hello =
            r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#;
        wire.send(format!("{hello}\r\nSUB {}.* 1\r\nPING\r\n", wire.inbox).as_bytes()).await;
        assert_eq!(wire.line().await, "PONG");
        wire
    }

    /// Publishes bytes as they are; without a reply subject where `reply` is none.
    pub async fn publish(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut head = String::from("NATS/1.0\r\n");
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let to = reply.map_or(subject.to_owned(), |reply| format!("{subject} {reply}"));
        self.publish_raw(&to, head.as_bytes(), body).await;
    }

    /// Publishes a header block as it is; `to` is the subject, and the reply subject after a space.
    pub async fn publish_raw(&mut self, to: &str, head: &[u8], body: &[u8]) {
        let (head_len, total) = (head.len(), head.len() + body.len());
        let mut message = format!("HPUB {to} {head_len} {total}\r\n").into_bytes();
        message.extend_from_slice(head);
        message.extend_from_slice(body);
        message.extend_from_slice(b"\r\n");
        self.send(&message).await;
    }

    /// Asks, and waits for the one answer.
    pub async fn ask(&mut self, subject: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.asked += 1;
        let reply = format!("{}.{}", self.inbox, self.asked);
        self.publish(subject, Some(&reply), headers, body).await;
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.answer(&reply)).await;
        answer.unwrap_or_else(|_| {
            let body = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            panic!("{subject} does not answer {headers:?} {body}")
        })
    }

    async fn answer(&mut self, reply: &str) -> Answer {
        loop {
            let line = self.line().await;
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "PING" => self.send(b"PONG\r\n").await,
                "MSG" | "HMSG" => {
                    let total: usize = words[words.len() - 1].parse().unwrap();
                    let mut bytes = vec![0; total + 2];
                    self.stream.read_exact(&mut bytes).await.unwrap();
                    bytes.truncate(total);
                    let head: usize = if words[0] == "HMSG" {
                        words[words.len() - 2].parse().unwrap()
                    } else {
                        0
                    };
                    let body = bytes.split_off(head);
                    let headers = String::from_utf8_lossy(&bytes).into_owned();
                    if words[1] == reply {
                        return Answer { headers, body };
                    }
                }
                "PONG" | "+OK" | "INFO" => {}
                _ => panic!("the server says {line}"),
            }
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        assert!(!line.is_empty(), "the server closed the connection");
        line.trim_end().to_owned()
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }
}
