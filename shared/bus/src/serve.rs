//! Serving endpoints: parse, one call, reply.
//!
//! Invariants: every request gets exactly one answer; a body that is wrong gets a fault that names the
//! field; a handler that panics gets `internal` and takes nothing else with it; the number of requests
//! at work is bounded.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracing::Instrument;
use troupe_contract::batch::{BatchReply, BatchRequest};
use troupe_contract::{Endpoint, Service, headers, subject};
use troupe_domain::{Code, Fault, Name, TraceContext};

use crate::connect::{Bus, ConnectError, DEFAULT_REQUEST_TIMEOUT};
use crate::discovery::{self, Announced, EndpointStats, Identity, QUEUE_GROUP};
use crate::port::{System, World};
use crate::{trace, wire};

mod batch;

use batch::Batched;

/// Requests of one endpoint that may be at work at once; the next one is refused.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 16_384;
/// How long a drain waits for requests at work.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// One request, as a handler sees it.
#[derive(Debug)]
pub struct Call<R> {
    /// Who asks: the last token of the subject, which the credentials allow.
    pub caller: Name,
    /// What is asked.
    pub request: R,
    /// The idempotency key of the command.
    pub command_id: Option<String>,
    /// Until when the caller waits.
    pub deadline: tokio::time::Instant,
    /// The trace to go on: that of the span around this call, or else the caller's.
    pub trace: Option<TraceContext>,
}

/// Called after every request: operation, seconds, fault code.
pub type Observer = Arc<dyn Fn(&'static str, f64, Option<Code>) + Send + Sync>;

/// A service on the bus, being set up.
pub struct Server {
    bus: Bus,
    service: Service,
    version: &'static str,
    announced: Vec<Announced>,
    loops: Vec<JoinHandle<()>>,
    stop: tokio::sync::watch::Sender<bool>,
    observer: Option<Observer>,
    batched: Batched,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Server {
    /// A server for `service`; `version` is semver.
    pub fn new(bus: &Bus, service: Service, version: &'static str) -> Self {
        Self {
            bus: bus.clone(),
            service,
            version,
            announced: Vec::new(),
            loops: Vec::new(),
            stop: tokio::sync::watch::channel(false).0,
            observer: None,
            batched: Batched::default(),
        }
    }

    /// Tells `observer` of every request.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Serves `E` with `handler`.
    pub async fn endpoint<E, H, F>(&mut self, handler: H) -> Result<(), ConnectError>
    where
        E: Endpoint,
        H: Fn(Call<E::Request>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<E::Reply, Fault>> + Send + 'static,
    {
        debug_assert_eq!(E::SERVICE, self.service);
        let answering = Arc::new(self.answering(E::OPERATION));
        let handler = Arc::new(handler);
        if E::BATCHED {
            self.batched.add::<E, H, F>(&answering, &handler);
        }
        let answered = answering.clone();
        let answer = move |message| {
            let (answering, handler) = (answered.clone(), handler.clone());
            async move { answer_one::<E, H, F>(&answering, &*handler, message).await }
        };
        self.listen(answering, E::SUMMARY, answer).await
    }

    /// Serves several calls in one message: of the endpoints so far that are made for it.
    pub async fn batches<E>(&mut self) -> Result<(), ConnectError>
    where
        E: Endpoint<Request = BatchRequest, Reply = BatchReply>,
    {
        let answering = Arc::new(self.answering(E::OPERATION));
        let batched = Arc::new(std::mem::take(&mut self.batched));
        let answered = answering.clone();
        let answer = move |message| {
            let (answering, batched) = (answered.clone(), batched.clone());
            async move { batch::answer(&batched, &answering, message).await }
        };
        self.listen(answering, E::SUMMARY, answer).await
    }

    fn answering(&self, operation: &'static str) -> Answering {
        Answering {
            bus: self.bus.clone(),
            service: self.service,
            operation,
            stats: Arc::default(),
            observer: self.observer.clone(),
        }
    }

    /// Hears requests, and answers each with `answer`.
    async fn listen<A, F>(
        &mut self,
        answering: Arc<Answering>,
        summary: &'static str,
        answer: A,
    ) -> Result<(), ConnectError>
    where
        A: Fn(async_nats::Message) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let subject = subject::operation(self.service, answering.operation);
        let requests = self
            .bus
            .client
            .queue_subscribe(subject.clone(), QUEUE_GROUP.to_owned())
            .await
            .map_err(|why| self.refused(&why))?;
        let (name, stats) = (answering.operation, answering.stats.clone());
        self.announced.push(Announced { name, subject, summary, stats });
        let stop = self.stop.subscribe();
        self.loops.push(tokio::spawn(serve_loop(requests, answering, answer, stop)));
        Ok(())
    }

    /// Announces the service; from now on it can be discovered.
    pub async fn start(self) -> Result<Serving, ConnectError> {
        let identity = Arc::new(Identity {
            name: self.service.full_name(),
            id: System.ulid().to_string(),
            version: self.version,
            started: System.now().to_string(),
            endpoints: self.announced.clone(),
        });
        let discovery = discovery::answer(self.bus.clone(), identity)
            .await
            .map_err(|why| self.refused(&why))?;
        // What was subscribed reaches the server before anybody is told that we are ready.
        self.bus.round_trip().await?;
        Ok(Serving { discovery, loops: self.loops, stop: self.stop })
    }

    fn refused(&self, why: &dyn std::fmt::Display) -> ConnectError {
        ConnectError::Unreachable { url: self.service.full_name().to_owned(), why: why.to_string() }
    }
}

/// A service that answers.
#[derive(Debug)]
pub struct Serving {
    discovery: JoinHandle<()>,
    loops: Vec<JoinHandle<()>>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Serving {
    /// Takes no new requests, and waits for those at work, at most [`DRAIN_LIMIT`].
    pub async fn drain(self) {
        self.discovery.abort();
        self.stop.send_replace(true);
        let all = futures::future::join_all(self.loops);
        if tokio::time::timeout(DRAIN_LIMIT, all).await.is_err() {
            tracing::warn!("requests were still at work when the drain ended");
        }
    }
}

pub(crate) struct Answering {
    bus: Bus,
    service: Service,
    operation: &'static str,
    stats: Arc<EndpointStats>,
    observer: Option<Observer>,
}

async fn serve_loop<A, F>(
    mut requests: async_nats::Subscriber,
    answering: Arc<Answering>,
    answer: A,
    mut stop: tokio::sync::watch::Receiver<bool>,
) where
    A: Fn(async_nats::Message) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(MAX_REQUESTS_IN_FLIGHT));
    let mut draining = false;
    loop {
        let message = tokio::select! {
            biased;
            message = requests.next() => message,
            Ok(()) = stop.changed(), if !draining => {
                draining = true;
                if requests.drain().await.is_err() { break }
                continue;
            }
        };
        let Some(message) = message else { break };
        if !can_be_answered(&message) {
            answering.ignore(&message);
            continue;
        }
        let Ok(permit) = room.clone().try_acquire_owned() else {
            let full = Fault::exhausted("MAX_REQUESTS_IN_FLIGHT", MAX_REQUESTS_IN_FLIGHT);
            answering.record(Some(&full), std::time::Instant::now());
            answering.reply(&message, Err(full)).await;
            continue;
        };
        let answered = answer(message);
        tokio::spawn(async move {
            answered.await;
            drop(permit);
        });
    }
    // Every permit is back when every request is answered.
    let _ = room.acquire_many(MAX_REQUESTS_IN_FLIGHT as u32).await;
}

/// A request names an inbox for its answer. What does not is not carried out: the server itself sends
/// its answers to any subject that somebody names as a reply subject, and such an answer must not pass
/// for a request; nor must our answer be sent where requests are heard.
fn can_be_answered(message: &async_nats::Message) -> bool {
    message.reply.as_ref().is_some_and(|reply| {
        !reply.starts_with(&format!("{}.", subject::PREFIX)) && !reply.starts_with('$')
    })
}

async fn answer_one<E, H, F>(answering: &Answering, handler: &H, message: async_nats::Message)
where
    E: Endpoint,
    H: Fn(Call<E::Request>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<E::Reply, Fault>> + Send + 'static,
{
    let asked = Asked {
        caller: caller_of(&message),
        body: &message.payload,
        deadline_ms: header(&message, headers::DEADLINE_MS).and_then(|text| text.parse().ok()),
        command_id: header(&message, headers::MSG_ID),
        trace: trace::extract(message.headers.as_ref()),
    };
    let body = carry_out::<E, H, F, _>(answering, handler, asked, wire::encode).await;
    answering.reply(&message, body).await;
}

/// One request as it came.
struct Asked<'a> {
    caller: Result<Name, Fault>,
    body: &'a [u8],
    deadline_ms: Option<u64>,
    command_id: Option<&'a str>,
    trace: Option<TraceContext>,
}

/// Carries one request out, in a span of its own; a panic of the handler is its answer.
async fn carry_out<E, H, F, T>(
    answering: &Answering,
    handler: &H,
    asked: Asked<'_>,
    encode: impl FnOnce(&E::Reply) -> Result<T, Fault>,
) -> Result<T, Fault>
where
    E: Endpoint,
    H: Fn(Call<E::Request>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<E::Reply, Fault>> + Send + 'static,
{
    let began = std::time::Instant::now();
    let span = tracing::info_span!(
        target: trace::TARGET,
        "serve",
        otel.name = %format_args!("{}.{}", answering.service.token(), E::OPERATION),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        service = answering.service.full_name(),
        messaging.system = "nats",
        messaging.operation.type = "process",
        enduser.id = tracing::field::Empty,
        error.r#type = tracing::field::Empty,
    );
    if let Some(context) = &asked.trace {
        trace::set_parent(&span, context);
    }
    let carried = trace::of_span(&span).or_else(|| asked.trace.clone());
    let work = async {
        let call = parse::<E>(asked, carried.clone())?;
        tracing::Span::current().record("enduser.id", call.caller.as_str());
        // In a box: the future of a handler is large, and what wraps it moves it about.
        Box::pin(handler(call)).await
    };
    let guarded = AssertUnwindSafe(trace::carrying(carried.clone(), work)).catch_unwind();
    let result = guarded.instrument(span.clone()).await.unwrap_or_else(|_| {
        tracing::error!(operation = E::OPERATION, "a handler panicked");
        Err(Fault::new(Code::Internal, "the service failed; its log says why"))
    });
    if let Err(fault) = &result {
        span.record("error.type", fault.code.as_str());
        if fault.code.http() >= 500 {
            span.record("otel.status_code", "ERROR");
        }
    }
    let answer = result.and_then(|reply| encode(&reply));
    answering.record(answer.as_ref().err(), began);
    answer
}

fn header<'a>(message: &'a async_nats::Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref().and_then(|map| map.get(name)).map(async_nats::HeaderValue::as_str)
}

fn caller_of(message: &async_nats::Message) -> Result<Name, Fault> {
    subject::caller_of(&message.subject).ok_or_else(|| {
        Fault::invalid("subject", "its last token must be the caller's name, A-Z a-z 0-9 _ -")
    })
}

fn parse<E: Endpoint>(
    asked: Asked<'_>,
    trace: Option<TraceContext>,
) -> Result<Call<E::Request>, Fault> {
    let waits = asked.deadline_ms.map_or(DEFAULT_REQUEST_TIMEOUT, Duration::from_millis);
    troupe_domain::task::spec::check_idempotency_key(asked.command_id)?;
    Ok(Call {
        caller: asked.caller?,
        request: wire::decode(asked.body)?,
        command_id: asked.command_id.map(str::to_owned),
        deadline: tokio::time::Instant::now() + waits.min(Duration::from_hours(1)),
        trace,
    })
}

impl Answering {
    fn ignore(&self, message: &async_nats::Message) {
        let why = "a message without an inbox for the answer is not a request";
        self.stats.record(0, Some(why));
        if let Some(observer) = &self.observer {
            observer(self.operation, 0.0, Some(Code::InvalidArgument));
        }
        tracing::warn!(subject = %message.subject, why, "not carried out");
    }

    /// Counts and times a request that is answered.
    fn record(&self, fault: Option<&Fault>, began: std::time::Instant) {
        let took = began.elapsed();
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.stats.record(nanos, fault.map(|fault| fault.message.as_str()));
        if let Some(observer) = &self.observer {
            observer(self.operation, took.as_secs_f64(), fault.map(|fault| fault.code));
        }
    }

    async fn reply(&self, message: &async_nats::Message, body: Result<bytes::Bytes, Fault>) {
        let Some(reply) = message.reply.clone() else { return };
        let sent = match body {
            Ok(body) => self.bus.client.publish(reply, body).await,
            Err(fault) => {
                let (map, body) = wire::encode_fault(&fault);
                self.bus.client.publish_with_headers(reply, map, body).await
            }
        };
        if let Err(why) = sent {
            tracing::warn!(%why, operation = self.operation, "the answer could not be sent");
        }
    }
}
