//! Which service a span belongs to, where several share one process.
//!
//! `tracing` has one subscriber a process, and an OpenTelemetry resource (hence `service.name`)
//! belongs to a tracer provider. So there is one layer, whose tracer picks among one provider per
//! service at the moment a span starts:
//!
//! 1. the span's own `service` field, which whoever answers a request sets;
//! 2. else the service of its parent, where the parent is a live span of this process;
//! 3. else the service that the current task runs under ([`in_service`]);
//! 4. else the first service of the process.
//!
//! Rejected: one OpenTelemetry layer a service with filters (setting a parent then reaches only
//! one of them, and traces that cross services break); a task-local alone (lost at every spawn
//! inside a library). The table of live spans is kept only while there are several services.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::{
    Context,
    trace::{Span as _, SpanBuilder, SpanId, TraceContextExt, Tracer, TracerProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter,
        SpanProcessor,
    },
};
use parking_lot::{Mutex, RwLock};

/// The span field that names the service; it is not exported as an attribute.
pub const SERVICE_FIELD: &str = "service";
const SHARDS: usize = 16;

tokio::task_local! {
    static SERVICE: Arc<str>;
}

/// Runs `future` as part of `service`.
pub async fn in_service<F: Future>(service: Arc<str>, future: F) -> F::Output {
    SERVICE.scope(service, future).await
}

/// The service that the current task runs under.
pub fn current_service() -> Option<Arc<str>> {
    SERVICE.try_with(Clone::clone).ok()
}

#[derive(Debug)]
struct Routed {
    service: String,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// The services of this process.
#[derive(Debug, Default)]
pub(super) struct Router {
    services: RwLock<Vec<Routed>>,
    live: Arc<LiveSpans>,
}

impl Router {
    /// Adds a service; a name that is known already is left as it is.
    pub(super) fn add(
        &self,
        service: &str,
        resource: Resource,
        exporter: impl SpanExporter + 'static,
    ) {
        let mut services = self.services.write();
        if services.iter().any(|known| known.service == service) {
            return;
        }
        let processor = Forgetting {
            inner: BatchSpanProcessor::builder(exporter).build(),
            live: self.live.clone(),
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("troupe");
        services.push(Routed { service: service.to_owned(), provider, tracer });
        self.live.tracked_services.store(services.len(), Ordering::Relaxed);
    }

    /// Sends what is queued and ends, within `limit` for all together.
    pub(super) fn shutdown(&self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        let mut lost = Vec::new();
        for routed in self.services.read().iter() {
            let left = end.saturating_duration_since(Instant::now());
            if let Err(why) = routed.provider.shutdown_with_timeout(left) {
                lost.push(format!("{}: {why}", routed.service));
            }
        }
        if lost.is_empty() { Ok(()) } else { Err(lost.join("; ")) }
    }

    fn start(&self, mut builder: SpanBuilder, parent: &Context) -> Span {
        let named = take_service(&mut builder);
        let services = self.services.read();
        let by_name = |name: &str| services.iter().position(|known| known.service == name);
        let index = if services.len() < 2 {
            0
        } else {
            named
                .and_then(|name| by_name(&name))
                .or_else(|| self.live.of_parent(parent))
                .or_else(|| SERVICE.try_with(|name| by_name(name)).ok().flatten())
                .unwrap_or(0)
        };
        let span = services[index].tracer.build_with_context(builder, parent);
        if services.len() > 1 && span.is_recording() {
            self.live.insert(span.span_context().span_id(), index);
        }
        span
    }
}

fn take_service(builder: &mut SpanBuilder) -> Option<String> {
    let attributes = builder.attributes.as_mut()?;
    let at = attributes.iter().position(|attribute| attribute.key.as_str() == SERVICE_FIELD)?;
    Some(attributes.swap_remove(at).value.as_str().into_owned())
}

/// The tracer of the one OpenTelemetry layer. There is always a service: the first is added
/// before the layer is installed.
#[derive(Debug, Clone)]
pub(super) struct RoutingTracer(Arc<Router>);

impl RoutingTracer {
    pub(super) fn new(router: Arc<Router>) -> Self {
        Self(router)
    }
}

impl Tracer for RoutingTracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        self.0.start(builder, parent)
    }
}

/// The service of each span of this process that has not ended.
#[derive(Debug, Default)]
struct LiveSpans {
    tracked_services: AtomicUsize,
    shards: [Mutex<HashMap<SpanId, usize>>; SHARDS],
}

impl LiveSpans {
    fn shard(&self, id: SpanId) -> &Mutex<HashMap<SpanId, usize>> {
        &self.shards[usize::from(id.to_bytes()[7]) % SHARDS]
    }

    fn insert(&self, id: SpanId, index: usize) {
        self.shard(id).lock().insert(id, index);
    }

    fn of_parent(&self, parent: &Context) -> Option<usize> {
        let span = parent.span();
        let context = span.span_context();
        // A context that came over the wire is another service's, even when that one lives here.
        if !context.is_valid() || context.is_remote() {
            return None;
        }
        self.shard(context.span_id()).lock().get(&context.span_id()).copied()
    }

    fn remove(&self, id: SpanId) {
        if self.tracked_services.load(Ordering::Relaxed) > 1 {
            self.shard(id).lock().remove(&id);
        }
    }
}

/// Takes ended spans out of the table. It wraps the processor, since beside it each would get a
/// copy of the span.
#[derive(Debug)]
struct Forgetting<P> {
    inner: P,
    live: Arc<LiveSpans>,
}

impl<P: SpanProcessor> SpanProcessor for Forgetting<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.live.remove(span.span_context.span_id());
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
