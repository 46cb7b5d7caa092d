//! Replicas of one service among themselves: requests that one hands to another.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use troupe_domain::{Code, Fault};

use crate::connect::{Bus, ConnectError};
use crate::{CallOptions, wire};

/// A place where a replica answers its peers; answers stop when it is dropped.
#[derive(Debug)]
pub struct PeerListener {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for PeerListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bus {
    /// Answers what peers ask on `subject`. One of those who listen gets each question.
    pub async fn answer_peers<H, F>(
        &self,
        subject: &str,
        handler: H,
    ) -> Result<PeerListener, ConnectError>
    where
        H: Fn(Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Bytes, Fault>> + Send + 'static,
    {
        let unreachable = |why: &dyn std::fmt::Display| ConnectError::Unreachable {
            url: subject.to_owned(),
            why: why.to_string(),
        };
        let mut questions = self
            .client
            .queue_subscribe(subject.to_owned(), "owner".to_owned())
            .await
            .map_err(|why| unreachable(&why))?;
        self.round_trip().await?;
        let bus = self.clone();
        let handler = std::sync::Arc::new(handler);
        let task = tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                let (bus, handler) = (bus.clone(), handler.clone());
                let Some(reply) = question.reply else { continue };
                tokio::spawn(async move {
                    let sent = match handler(question.payload).await {
                        Ok(body) => bus.client.publish(reply, body).await,
                        Err(fault) => {
                            let (map, body) = wire::encode_fault(&fault);
                            bus.client.publish_with_headers(reply, map, body).await
                        }
                    };
                    if let Err(why) = sent {
                        tracing::debug!(%why, "answering a peer");
                    }
                });
            }
        });
        Ok(PeerListener { task })
    }

    /// Asks the peer that listens on `subject`. `unavailable` where there is none.
    pub async fn ask_peer(
        &self,
        subject: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, Fault> {
        if timeout.is_zero() {
            return Err(Fault::new(Code::DeadlineExceeded, "no time was left to ask a peer"));
        }
        let options = CallOptions { timeout, retry_unheard: false, ..CallOptions::default() };
        self.call_raw(subject, body, &options).await
    }
}
