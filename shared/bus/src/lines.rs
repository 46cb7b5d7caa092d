//! Subscriptions that stay, for exchanges with more than one answer.
//!
//! To subscribe and unsubscribe for each exchange would make the server forget, each time, which
//! subscribers it had found for the subjects of everybody.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use parking_lot::Mutex;

use crate::connect::Bus;

/// A subscription that serves one exchange at a time.
#[derive(Debug)]
pub(crate) struct Line {
    inbox: String,
    messages: async_nats::Subscriber,
}

/// Lines that are kept while nobody uses them; what comes back beyond that is let go of.
const MAX_IDLE_LINES: usize = 16;

/// Idle lines, at most [`MAX_IDLE_LINES`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<Line>>>);

/// Why nothing was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing came in time.
    TimedOut,
    /// The connection is closed.
    Closed,
    /// Nobody listens on the subject.
    Unheard,
}

impl Lines {
    /// An idle line, or a new one.
    pub(crate) async fn take(&self, bus: &Bus) -> Result<Line, async_nats::SubscribeError> {
        let idle = self.0.lock().pop();
        if let Some(line) = idle {
            return Ok(line);
        }
        let inbox = bus.client.new_inbox();
        let messages = bus.client.subscribe(format!("{inbox}.>")).await?;
        Ok(Line { inbox, messages })
    }

    /// The exchange is over: the line is for the next one. The line of an exchange that failed is let
    /// go of instead, because more may be said on it.
    pub(crate) fn give_back(&self, line: Line) {
        let mut idle = self.0.lock();
        if idle.len() < MAX_IDLE_LINES {
            idle.push(line);
        }
    }
}

impl Line {
    /// The subject for the answers of a new exchange. Its last token is unique.
    pub(crate) fn exchange(&self, bus: &Bus) -> String {
        let fresh = bus.client.new_inbox();
        [&*self.inbox, fresh.rsplit('.').next().unwrap_or(&fresh)].join(".")
    }

    /// The next answer of an exchange.
    pub(crate) async fn next(
        &mut self,
        exchange: &str,
        within: Duration,
    ) -> Result<async_nats::Message, Silence> {
        let until = tokio::time::Instant::now() + within;
        loop {
            let message = tokio::time::timeout_at(until, self.messages.next())
                .await
                .map_err(|_| Silence::TimedOut)?
                .ok_or(Silence::Closed)?;
            if !message.subject.starts_with(exchange) {
                continue;
            }
            if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
                return Err(Silence::Unheard);
            }
            return Ok(message);
        }
    }
}
