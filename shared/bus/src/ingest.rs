//! Rounds of events with one acknowledgement: JetStream's fast ingest (ADR-50, server 2.14 or newer).
//!
//! Each message of a round names its place in its reply subject,
//! `<inbox>.<flow>.fail.<place>.<operation>.$FI`; the inbox's last token, which is unique, is the
//! round's id in the whole stream. The server stores what comes in order, and
//! ends the round at the first gap. The last message commits: its acknowledgement says how many of the
//! round are stored, and only a full count counts.
//!
//! Rounds take turns on subscriptions that stay: to subscribe and unsubscribe for each round would make
//! the server forget, each time, which subscribers it had found for the subjects of everybody.

use std::sync::Arc;

use async_nats::HeaderMap;
use futures::StreamExt;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::connect::Bus;
use crate::log::{APPEND_TIMEOUT, Ack};
use crate::port::{AppendError, OutgoingEvent};

/// The server may acknowledge the progress of a round this seldom; nobody here waits for it.
const FLOW_MESSAGES: u16 = u16::MAX;

const START: u8 = 0;
const APPEND: u8 = 1;
const COMMIT: u8 = 2;

/// What the server says of a round: its progress, a gap, an error, or the end.
#[derive(Deserialize)]
struct Word {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    count: usize,
    #[serde(flatten)]
    ack: Ack,
}

/// A subscription that hears the words on one round at a time.
#[derive(Debug)]
struct Line {
    inbox: String,
    words: async_nats::Subscriber,
}

/// The lines of a sink: as many as it ever had rounds at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<Line>>>);

impl Lines {
    async fn take(&self, bus: &Bus) -> Result<Line, AppendError> {
        let idle = self.0.lock().pop();
        if let Some(line) = idle {
            return Ok(line);
        }
        let inbox = bus.client.new_inbox();
        let words = bus.client.subscribe(format!("{inbox}.>")).await;
        Ok(Line { words: words.map_err(|why| unknown(&why))?, inbox })
    }

    /// Stores `events`, at least two, in order; returns when all of them are stored.
    pub(crate) async fn publish_round(
        &self,
        bus: &Bus,
        events: &[OutgoingEvent],
        headers: impl Fn(&OutgoingEvent) -> HeaderMap,
    ) -> Result<(), AppendError> {
        let mut line = self.take(bus).await?;
        line.publish(bus, events, headers).await?;
        // Of a round that failed more may be said: its line goes with it.
        self.0.lock().push(line);
        Ok(())
    }
}

impl Line {
    async fn publish(
        &mut self,
        bus: &Bus,
        events: &[OutgoingEvent],
        headers: impl Fn(&OutgoingEvent) -> HeaderMap,
    ) -> Result<(), AppendError> {
        // The token that makes an inbox new makes a round new.
        let fresh = bus.client.new_inbox();
        let round = [&*self.inbox, fresh.rsplit('.').next().unwrap_or(&fresh)].join(".");
        for (index, event) in events.iter().enumerate() {
            let operation = match index {
                _ if index + 1 == events.len() => COMMIT,
                0 => START,
                _ => APPEND,
            };
            let place = index + 1;
            let reply = format!("{round}.{FLOW_MESSAGES}.fail.{place}.{operation}.$FI");
            let (subject, body) = (event.subject.clone(), event.body.clone());
            bus.client
                .publish_with_reply_and_headers(subject, reply, headers(event), body)
                .await
                .map_err(|why| unknown(&why))?;
        }
        loop {
            let word = tokio::time::timeout(APPEND_TIMEOUT, self.words.next())
                .await
                .map_err(|_| unknown(&"no acknowledgement of the round came in time"))?
                .ok_or_else(|| unknown(&"the connection ended"))?;
            if !word.subject.starts_with(&round) {
                continue;
            }
            if word.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
                return Err(AppendError::Refused("no stream listens".to_owned()));
            }
            let word: Word = serde_json::from_slice(&word.payload).map_err(|why| unknown(&why))?;
            match (&*word.kind, word.ack.error) {
                ("ack", _) => {}
                (_, Some(error)) => return Err(AppendError::Refused(error.description)),
                ("gap", _) => return Err(unknown(&"messages of the round were lost")),
                _ if word.count == events.len() => return Ok(()),
                _ => return Err(unknown(&format!("{} of {} are stored", word.count, events.len()))),
            }
        }
    }
}

fn unknown(why: &dyn std::fmt::Display) -> AppendError {
    AppendError::Unknown(why.to_string())
}
