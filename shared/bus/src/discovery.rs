//! Discovery of services after ADR-32: `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`.
//!
//! The client library's own service module answers an error with an empty body; ours carries
//! `{code, message, details}`, so the three answers are made here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::connect::Bus;

/// The queue group in which the replicas of a service share requests.
pub(crate) const QUEUE_GROUP: &str = "q";

/// What is counted of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct EndpointStats {
    pub(crate) requests: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
    pub(crate) last_error: Mutex<String>,
}

impl EndpointStats {
    pub(crate) fn record(&self, busy_ns: u64, error: Option<&str>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.busy_ns.fetch_add(busy_ns, Ordering::Relaxed);
        if let Some(error) = error {
            self.errors.fetch_add(1, Ordering::Relaxed);
            error.clone_into(&mut self.last_error.lock());
        }
    }
}

/// One endpoint as it is announced.
#[derive(Debug, Clone)]
pub(crate) struct Announced {
    pub(crate) name: &'static str,
    pub(crate) subject: String,
    pub(crate) summary: &'static str,
    pub(crate) stats: Arc<EndpointStats>,
}

/// A service as it is announced.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    pub(crate) version: &'static str,
    pub(crate) started: String,
    pub(crate) endpoints: Vec<Announced>,
}

impl Identity {
    fn header(&self, kind: &str) -> Value {
        json!({
            "type": format!("io.nats.micro.v1.{kind}"),
            "name": self.name, "id": self.id, "version": self.version, "metadata": {},
        })
    }

    fn answer(&self, verb: &str) -> Value {
        let mut body = match verb {
            "PING" => return self.header("ping_response"),
            "INFO" => self.header("info_response"),
            _ => self.header("stats_response"),
        };
        let endpoints = self.endpoints.iter().map(|endpoint| {
            let mut row = json!({
                "name": endpoint.name, "subject": endpoint.subject, "queue_group": QUEUE_GROUP,
            });
            if verb == "INFO" {
                row["metadata"] = json!({ "summary": endpoint.summary });
            } else {
                let requests = endpoint.stats.requests.load(Ordering::Relaxed);
                let busy = endpoint.stats.busy_ns.load(Ordering::Relaxed);
                row["num_requests"] = requests.into();
                row["num_errors"] = endpoint.stats.errors.load(Ordering::Relaxed).into();
                row["last_error"] = endpoint.stats.last_error.lock().clone().into();
                row["processing_time"] = busy.into();
                row["average_processing_time"] = busy.checked_div(requests).unwrap_or(0).into();
            }
            row
        });
        body["endpoints"] = endpoints.collect();
        if verb == "INFO" {
            body["description"] = "A service of Troupe.".into();
        } else {
            body["started"] = self.started.clone().into();
        }
        body
    }
}

/// Answers discovery until the task is aborted.
pub(crate) async fn answer(
    bus: Bus,
    identity: Arc<Identity>,
) -> Result<tokio::task::JoinHandle<()>, async_nats::SubscribeError> {
    let mut asked = Vec::new();
    for verb in ["PING", "INFO", "STATS"] {
        for tail in
            ["", &format!(".{}", identity.name), &format!(".{}.{}", identity.name, identity.id)]
        {
            let requests = bus.client.subscribe(format!("$SRV.{verb}{tail}")).await?;
            asked.push(requests.map(move |message| (verb, message)));
        }
    }
    let mut asked = futures::stream::select_all(asked);
    Ok(tokio::spawn(async move {
        while let Some((verb, message)) = asked.next().await {
            if let Some(reply) = message.reply {
                let body = identity.answer(verb).to_string();
                if let Err(why) = bus.client.publish(reply, body.into()).await {
                    tracing::debug!(%why, "answering discovery");
                }
            }
        }
    }))
}
