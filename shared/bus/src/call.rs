//! Calling an endpoint.

use std::time::Duration;

use async_nats::{HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use tracing::{Instrument, Span};
use troupe_contract::{Endpoint, headers, subject};
use troupe_domain::limits::MAX_MESSAGE_BYTES;
use troupe_domain::{Code, Fault, TraceContext};

use crate::connect::{Bus, DEFAULT_REQUEST_TIMEOUT};
use crate::{trace, wire};

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
        let body = wire::encode(request)?;
        let answer = self.call_raw(&subject::request::<E>(&self.name), body, options).await?;
        serde_json::from_slice(&answer).map_err(|why| {
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
            return self.call_unspanned(subject, body, options).await;
        }
        if trace::of_span(&Span::current()).is_none()
            && let Some(context) = trace::current()
        {
            trace::set_parent(&span, &context);
        }
        let result = self.call_unspanned(subject, body, options).instrument(span.clone()).await;
        if let Err(fault) = &result {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", fault.code.as_str());
        }
        result
    }

    async fn call_unspanned(
        &self,
        subject: &str,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, Fault> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(Fault::exhausted("MAX_MESSAGE_BYTES", MAX_MESSAGE_BYTES));
        }
        let context = trace::current();
        let end = tokio::time::Instant::now() + options.timeout;
        let mut wait = FIRST_RETRY;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let map = request_headers(context.as_ref(), options, left);
            let mut request = Request::new().payload(body.clone()).timeout(Some(left));
            if !map.is_empty() {
                request = request.headers(map);
            }
            let fault = match self.client.send_request(subject.to_owned(), request).await {
                Ok(answer) => {
                    return match wire::fault_of(&answer) {
                        Some(fault) => Err(fault),
                        None => Ok(answer.payload),
                    };
                }
                Err(error) => fault_of_request(subject, &error),
            };
            let unheard = fault.code == Code::Unavailable;
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            if !unheard || !options.retry_unheard || left <= wait {
                return Err(fault);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
    }
}

/// A plain request with the usual deadline has no headers: they cost every hop.
fn request_headers(
    context: Option<&TraceContext>,
    options: &CallOptions,
    left: Duration,
) -> HeaderMap {
    let mut map = HeaderMap::new();
    trace::inject(&mut map, context);
    if options.timeout != DEFAULT_REQUEST_TIMEOUT {
        map.insert(headers::DEADLINE_MS, left.as_millis().to_string().as_str());
    }
    if let Some(id) = &options.command_id {
        map.insert(headers::MSG_ID, id.as_str());
    }
    map
}

fn fault_of_request(subject: &str, error: &async_nats::RequestError) -> Fault {
    let place = destination(subject);
    match error.kind() {
        RequestErrorKind::NoResponders => {
            Fault::new(Code::Unavailable, format!("nobody serves {place}"))
        }
        RequestErrorKind::TimedOut => Fault::new(
            Code::DeadlineExceeded,
            format!("{place} did not answer in time; the outcome is unknown"),
        ),
        RequestErrorKind::MaxPayloadExceeded => {
            Fault::exhausted("MAX_MESSAGE_BYTES", MAX_MESSAGE_BYTES)
        }
        RequestErrorKind::InvalidSubject | RequestErrorKind::Other => Fault::new(
            Code::DeadlineExceeded,
            format!(
                "the connection broke while {place} was asked ({error}); the outcome is unknown"
            ),
        ),
    }
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
