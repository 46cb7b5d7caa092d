//! Events: CloudEvents in binary mode, out and in.

use async_nats::{HeaderMap, HeaderName};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use troupe_contract::headers::{self, cloud_events};
use troupe_contract::{Service, stream};
use troupe_domain::TraceContext;

use crate::connect::{Bus, ConnectError};
use crate::ingest;
use crate::lines::Lines;
use crate::log::{StreamLog, publish};
use crate::port::{AppendError, EventSink, OutgoingEvent};
use crate::trace;

/// Publishes that wait for their acknowledgement at once.
pub const MAX_EVENTS_IN_FLIGHT: usize = 512;
/// Events from which on a round pays.
const MIN_ROUND_EVENTS: usize = 3;

// Names that are known beforehand are neither checked nor copied.
const SPEC_VERSION: HeaderName = HeaderName::from_static(cloud_events::SPEC_VERSION);
const ID: HeaderName = HeaderName::from_static(cloud_events::ID);
const SOURCE: HeaderName = HeaderName::from_static(cloud_events::SOURCE);
const TYPE: HeaderName = HeaderName::from_static(cloud_events::TYPE);
const SUBJECT: HeaderName = HeaderName::from_static(cloud_events::SUBJECT);
const TIME: HeaderName = HeaderName::from_static(cloud_events::TIME);
const DATA_CONTENT_TYPE: HeaderName = HeaderName::from_static(cloud_events::DATA_CONTENT_TYPE);

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

impl Events {
    fn headers(&self, event: &OutgoingEvent) -> HeaderMap {
        let mut map = HeaderMap::new();
        if self.recognised {
            map.insert(headers::MSG_ID, event.id.as_str());
        }
        map.insert(SPEC_VERSION, "1.0");
        map.insert(ID, event.id.as_str());
        map.insert(SOURCE, self.source.as_str());
        map.insert(TYPE, event.kind.as_str());
        map.insert(SUBJECT, event.entity_id.as_str());
        map.insert(TIME, event.at.to_string().as_str());
        map.insert(DATA_CONTENT_TYPE, "application/json");
        trace::inject(&mut map, event.trace.as_ref());
        map
    }
}

#[async_trait]
impl EventSink for Events {
    async fn publish(&self, events: &[OutgoingEvent]) -> Result<(), AppendError> {
        // A few events are not worth the frame of a round; events that the server must recognise when
        // they are sent again travel one by one.
        if self.recognised || events.len() < MIN_ROUND_EVENTS {
            return self.publish_each(events).await;
        }
        for round in events.chunks(MAX_EVENTS_IN_FLIGHT) {
            ingest::publish_round(&self.bus, &self.lines, round, |event| self.headers(event))
                .await?;
        }
        Ok(())
    }
}

impl Events {
    async fn publish_each(&self, events: &[OutgoingEvent]) -> Result<(), AppendError> {
        let mut waiting = FuturesUnordered::new();
        for event in events {
            if waiting.len() >= MAX_EVENTS_IN_FLIGHT
                && let Some(done) = waiting.next().await
            {
                done?;
            }
            let map = self.headers(event);
            waiting.push(async move {
                publish(&self.bus, &event.subject, event.body.clone(), map).await.map(|_| ())
            });
        }
        while let Some(done) = waiting.next().await {
            done?;
        }
        Ok(())
    }
}
