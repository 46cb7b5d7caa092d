//! Events, out and in: batches of CloudEvents.

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use troupe_contract::event::{self, CloudEvent};
use troupe_contract::{Service, headers, stream};
use troupe_domain::TraceContext;

use crate::connect::{Bus, ConnectError};
use crate::flock::{self, Message};
use crate::ingest;
use crate::lines::Lines;
use crate::log::{StreamLog, publish};
use crate::port::{AppendError, EventSink, OutgoingEvent};
use crate::trace;

/// Publishes that wait for their acknowledgement at once.
pub const MAX_EVENTS_IN_FLIGHT: usize = 512;
/// Messages of one round.
const MAX_MESSAGES_PER_ROUND: usize = 512;

/// The event stream, as one service writes to it.
#[derive(Debug, Clone)]
pub struct Events {
    bus: Bus,
    source: String,
    /// Each event carries its id for the server, which lets it in once within its window. Remembering
    /// ids costs the server memory with every event: for sinks that several replicas write to.
    recognised: bool,
    lines: Lines,
    /// The stream itself, for reading back.
    pub log: StreamLog,
}

impl Bus {
    /// Opens the event stream for `service`.
    pub async fn events(&self, service: Service, replicas: usize) -> Result<Events, ConnectError> {
        let log = self.open_stream(&stream::events(), replicas).await?;
        Ok(Events {
            bus: self.clone(),
            source: format!("/troupe/{}", service.token()),
            recognised: service == Service::Registry,
            lines: Lines::default(),
            log,
        })
    }

    /// Opens the event stream to read back what happened.
    pub async fn past_events(&self) -> Result<StreamLog, ConnectError> {
        let name = stream::events().name;
        let found = self.jetstream.get_stream(&name).await;
        let stream = found.map_err(|why| ConnectError::Unsuitable {
            url: name,
            why: format!("cannot look at the stream: {why}"),
        })?;
        Ok(StreamLog::new(self.clone(), stream))
    }

    /// Hears messages on `subject` from now on, without any promise: for hints and live views.
    pub async fn listen(&self, subject: &str) -> Result<Listener, ConnectError> {
        let unreachable = |why: &dyn std::fmt::Display| ConnectError::Unreachable {
            url: subject.to_owned(),
            why: why.to_string(),
        };
        let messages =
            self.client.subscribe(subject.to_owned()).await.map_err(|why| unreachable(&why))?;
        // Whoever publishes after this call is heard.
        self.round_trip().await?;
        Ok(Listener { messages })
    }

    /// Tells whoever listens, without any promise.
    pub async fn tell(&self, subject: String, body: Bytes) {
        if let Err(why) = self.client.publish(subject, body).await {
            tracing::debug!(%why, "a hint was not sent");
        }
    }
}

/// A subscription.
#[derive(Debug)]
pub struct Listener {
    messages: async_nats::Subscriber,
}

/// One message heard.
#[derive(Debug)]
pub struct Heard {
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub body: Bytes,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
}

impl Heard {
    /// Reads the body.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// Reads the events of the message.
    pub fn events<T: DeserializeOwned>(&self) -> Result<Vec<CloudEvent<T>>, serde_json::Error> {
        event::decode(&self.body)
    }
}

impl Listener {
    /// The next message; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Heard> {
        let message = self.messages.next().await?;
        Some(Heard {
            trace: trace::extract(message.headers.as_ref()),
            subject: message.subject.to_string(),
            body: message.payload,
        })
    }
}

#[async_trait]
impl EventSink for Events {
    async fn publish(&self, events: &[OutgoingEvent]) -> Result<(), AppendError> {
        self.tell_holders(events).await;
        if self.recognised {
            return self.publish_each(events).await;
        }
        let messages = flock::messages(&self.source, events);
        for round in messages.chunks(MAX_MESSAGES_PER_ROUND) {
            match round {
                [alone] => self.store(alone, HeaderMap::new()).await?,
                round => ingest::publish_round(&self.bus, &self.lines, round).await?,
            }
        }
        Ok(())
    }
}

impl Events {
    /// Each event in a message of its own, under its id.
    async fn publish_each(&self, events: &[OutgoingEvent]) -> Result<(), AppendError> {
        let mut waiting = FuturesUnordered::new();
        for event in events {
            if waiting.len() >= MAX_EVENTS_IN_FLIGHT
                && let Some(done) = waiting.next().await
            {
                done?;
            }
            waiting.push(self.publish_one(event));
        }
        while let Some(done) = waiting.next().await {
            done?;
        }
        Ok(())
    }

    async fn publish_one(&self, event: &OutgoingEvent) -> Result<(), AppendError> {
        let mut map = HeaderMap::new();
        map.insert(headers::MSG_ID, event.id.as_str());
        self.store(&flock::alone(&self.source, event), map).await?;
        // What is kept says that the event is told: so it comes behind.
        let Some(subject) = event.kept_on.clone() else { return Ok(()) };
        self.store(&Message { subject, body: event.body.clone() }, HeaderMap::new()).await
    }

    async fn store(&self, message: &Message, map: HeaderMap) -> Result<(), AppendError> {
        publish(&self.bus, &message.subject, message.body.clone(), map).await.map(|_| ())
    }

    async fn tell_holders(&self, events: &[OutgoingEvent]) {
        for event in events {
            if let Some(subject) = &event.told_on {
                self.bus.tell(subject.clone(), flock::alone(&self.source, event).body).await;
            }
        }
    }
}
