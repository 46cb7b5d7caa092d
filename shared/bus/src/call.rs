//! Calling an endpoint.

use std::time::Duration;

use async_nats::{HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use tracing::{Instrument, Span};
use troupe_contract::batch::BatchCall;
use troupe_contract::{Endpoint, Service, headers, subject};
use troupe_domain::limits::MAX_MESSAGE_BYTES;
use troupe_domain::{Code, Fault, Json, TraceContext};

use crate::connect::{Bus, DEFAULT_REQUEST_TIMEOUT};
use crate::{gather, trace, wire};

/// First wait before a request that nobody heard is sent again.
const FIRST_RETRY: Duration = Duration::from_millis(20);
/// Longest such wait.
const LAST_RETRY: Duration = Duration::from_millis(500);

/// How to call.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// How long to wait for the answer.
    pub timeout: Duration,
    /// The idempotency key of the command.
    pub command_id: Option<String>,
    /// Send the request again, within the timeout, when nobody was there to hear it.
    pub retry_unheard: bool,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { timeout: DEFAULT_REQUEST_TIMEOUT, command_id: None, retry_unheard: true }
    }
}

impl CallOptions {
    /// The defaults with another timeout.
    pub fn within(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }
}

impl Bus {
    /// Calls `E` under this connection's name, with default options.
    pub async fn call<E: Endpoint>(&self, request: &E::Request) -> Result<E::Reply, Fault> {
        self.call_with::<E>(request, &CallOptions::default()).await
    }

    /// Calls `E` under this connection's name. A fault of the service comes back as it was sent;
    /// `deadline_exceeded` means that the outcome is unknown, `unavailable` that nobody heard.
    pub async fn call_with<E: Endpoint>(
        &self,
        request: &E::Request,
        options: &CallOptions,
    ) -> Result<E::Reply, Fault> {
        let subject = subject::request::<E>(&self.name);
        let request = if E::BATCHED {
            let request = Json::of(request).map_err(|why| wire::unwritable(&why))?;
            Outgoing::Gathered { service: E::SERVICE, operation: E::OPERATION, request }
        } else {
            Outgoing::Alone(wire::encode(request)?)
        };
        let answer = self.call_spanned(&subject, &request, options).await?;
        serde_json::from_slice(answer.bytes()).map_err(|why| {
            Fault::new(
                Code::Internal,
                format!("the answer of {} is not as declared: {why}", E::OPERATION),
            )
        })
    }

    /// Calls whoever listens on `subject` with a body as it is; gives the answer's body.
    pub async fn call_raw(
        &self,
        subject: &str,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, Fault> {
        match self.call_spanned(subject, &Outgoing::Alone(body), options).await? {
            Answer::Body(body) => Ok(body),
            Answer::Json(json) => Ok(Bytes::copy_from_slice(json.get().as_bytes())),
        }
    }

    async fn call_spanned(
        &self,
        subject: &str,
        request: &Outgoing,
        options: &CallOptions,
    ) -> Result<Answer, Fault> {
        let span = tracing::info_span!(
            target: trace::TARGET,
            "call",
            otel.name = %span_name(subject),
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            messaging.system = "nats",
            messaging.operation.type = "send",
            messaging.destination.name = %destination(subject),
            error.r#type = tracing::field::Empty,
        );
        if span.is_disabled() {
            return self.call_unspanned(subject, request, options).await;
        }
        if trace::of_span(&Span::current()).is_none()
            && let Some(context) = trace::current()
        {
            trace::set_parent(&span, &context);
        }
        let result = self.call_unspanned(subject, request, options).instrument(span.clone()).await;
        if let Err(fault) = &result {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", fault.code.as_str());
        }
        result
    }

    async fn call_unspanned(
        &self,
        subject: &str,
        request: &Outgoing,
        options: &CallOptions,
    ) -> Result<Answer, Fault> {
        if request.len() > MAX_MESSAGE_BYTES {
            return Err(Fault::exhausted("MAX_MESSAGE_BYTES", MAX_MESSAGE_BYTES));
        }
        let context = trace::current();
        let end = tokio::time::Instant::now() + options.timeout;
        let mut wait = FIRST_RETRY;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let frame = Frame {
                trace: context.clone(),
                command_id: options.command_id.clone(),
                deadline: (options.timeout != DEFAULT_REQUEST_TIMEOUT).then_some(left),
            };
            let sent = match request {
                Outgoing::Alone(body) => {
                    let sent = self.send_alone(subject, body.clone(), &frame, left).await;
                    sent.map(Answer::Body)
                }
                Outgoing::Gathered { service, operation, request } => {
                    let call = frame.call(operation, request.clone());
                    gather::ask(self, *service, call, left).await
                }
            };
            let fault = match sent {
                Ok(answer) => return Ok(answer),
                Err(Failed::Unheard(fault)) => fault,
                Err(Failed::Told(fault)) => return Err(fault),
            };
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            if !options.retry_unheard || left <= wait {
                return Err(fault);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
    }

    /// Sends one request and waits for its answer.
    pub(crate) async fn send_alone(
        &self,
        subject: &str,
        body: Bytes,
        frame: &Frame,
        left: Duration,
    ) -> Result<Bytes, Failed> {
        let map = frame.headers();
        let mut request = Request::new().payload(body).timeout(Some(left));
        if !map.is_empty() {
            request = request.headers(map);
        }
        match self.client.send_request(subject.to_owned(), request).await {
            Ok(answer) => match wire::fault_of(&answer) {
                Some(fault) => Err(Failed::Told(fault)),
                None => Ok(answer.payload),
            },
            Err(error) => Err(failed_request(subject, &error)),
        }
    }
}

/// A request on its way: by itself, or with whatever else is asked of the service at the same time.
enum Outgoing {
    Alone(Bytes),
    Gathered { service: Service, operation: &'static str, request: Json },
}

impl Outgoing {
    fn len(&self) -> usize {
        match self {
            Self::Alone(body) => body.len(),
            Self::Gathered { request, .. } => request.len(),
        }
    }
}

/// An answer, as it came.
#[derive(Debug)]
pub(crate) enum Answer {
    Body(Bytes),
    Json(Json),
}

impl Answer {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(body) => body,
            Self::Json(json) => json.get().as_bytes(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(crate) enum Failed {
    /// Nobody heard the request: nothing was carried out.
    Unheard(Fault),
    /// What the service says, or that nobody knows.
    Told(Fault),
}

/// What a request has beside its body.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    trace: Option<TraceContext>,
    command_id: Option<String>,
    /// Where it is not the usual one.
    deadline: Option<Duration>,
}

impl Frame {
    /// As headers. A plain request with the usual deadline has none: they cost every hop.
    fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        trace::inject(&mut map, self.trace.as_ref());
        if let Some(left) = self.deadline {
            map.insert(headers::DEADLINE_MS, left.as_millis().to_string().as_str());
        }
        if let Some(id) = &self.command_id {
            map.insert(headers::MSG_ID, id.as_str());
        }
        map
    }

    fn call(self, operation: &str, request: Json) -> BatchCall {
        BatchCall {
            operation: operation.to_owned(),
            request,
            command_id: self.command_id,
            deadline_ms: self.deadline.map(|left| left.as_millis() as u64),
            trace: self.trace,
        }
    }

    /// What a call of a batch has, should it go by itself.
    pub(crate) fn of(call: &BatchCall) -> Self {
        Self {
            trace: call.trace.clone(),
            command_id: call.command_id.clone(),
            deadline: call.deadline_ms.map(Duration::from_millis),
        }
    }
}

fn failed_request(subject: &str, error: &async_nats::RequestError) -> Failed {
    match error.kind() {
        RequestErrorKind::NoResponders => unheard(subject),
        RequestErrorKind::TimedOut => too_late(subject),
        RequestErrorKind::MaxPayloadExceeded => {
            Failed::Told(Fault::exhausted("MAX_MESSAGE_BYTES", MAX_MESSAGE_BYTES))
        }
        RequestErrorKind::InvalidSubject | RequestErrorKind::Other => broken(subject, error),
    }
}

pub(crate) fn unheard(subject: &str) -> Failed {
    let why = format!("nobody serves {}", destination(subject));
    Failed::Unheard(Fault::new(Code::Unavailable, why))
}

pub(crate) fn too_late(subject: &str) -> Failed {
    let place = destination(subject);
    let why = format!("{place} did not answer in time; the outcome is unknown");
    Failed::Told(Fault::new(Code::DeadlineExceeded, why))
}

pub(crate) fn broken(subject: &str, error: &dyn std::fmt::Display) -> Failed {
    let place = destination(subject);
    let why =
        format!("the connection broke while {place} was asked ({error}); the outcome is unknown");
    Failed::Told(Fault::new(Code::DeadlineExceeded, why))
}

/// `work.create` of `troupe.v1.work.create.me`: low in cardinality, as span names must be.
fn span_name(subject: &str) -> String {
    let mut tokens = subject.split('.').skip(2);
    match (tokens.next(), tokens.next()) {
        (Some(service), Some(operation)) => format!("{service}.{operation}"),
        _ => "request".to_owned(),
    }
}

/// The subject without the caller.
fn destination(subject: &str) -> &str {
    subject.rsplit_once('.').map_or(subject, |(head, _)| head)
}
