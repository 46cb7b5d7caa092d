//! Logs, traces and metrics of one process, for one service or several.
//!
//! Log lines go to standard error, and inside an exported span each carries `trace_id` and
//! `span_id`. Spans with the target [`TRACE_TARGET`] are exported over OTLP, and nothing else is;
//! without an endpoint no layer wants them, so their call sites are off and cost one load.
//! Invariant: a span is exported under the name of the service that made it (see [`routing`]).

pub(crate) mod export;
mod format;
mod resource;
pub mod routing;

use std::{sync::Arc, time::Duration};

use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Dispatch, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, filter_fn},
    fmt::{format::JsonFields, writer::BoxMakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
};

use self::{
    format::{JsonLines, PrettyLines},
    resource::resource,
    routing::{Router, RoutingTracer},
};
use crate::{
    config::{Common, LogFilter, LogFormat},
    metrics::Metrics,
};

pub use routing::{current_service, in_service};

/// The `tracing` target of the spans that are exported.
pub const TRACE_TARGET: &str = "troupe::trace";

/// Telemetry that cannot start, or not end well.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter cannot be built.
    #[error("cannot export telemetry to {endpoint}: {reason}")]
    Exporter {
        /// Where to.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// `/metrics` cannot be set up.
    #[error("cannot collect metrics: {0}")]
    Metrics(String),
    /// A process has one log; this one has it already.
    #[error("the log of this process is already set up")]
    AlreadyInstalled,
    /// What was still queued did not reach the collector.
    #[error("telemetry was lost at the end: {0}")]
    Flush(String),
}

/// The telemetry of a process. Ask it to [`Telemetry::flush`] at the end: a drop alone flushes
/// nothing.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    router: Option<Arc<Router>>,
    endpoint: Option<String>,
}

impl Telemetry {
    /// Sets up the log of this process, the propagator, and the first service.
    /// Needs a running Tokio runtime, which the exporters use.
    pub fn init(service: &str, version: &str, common: &Common) -> Result<Self, TelemetryError> {
        let writer = BoxMakeWriter::new(std::io::stderr);
        let (dispatch, telemetry) = Self::build(service, version, common, writer)?;
        tracing::dispatcher::set_global_default(dispatch)
            .map_err(|_| TelemetryError::AlreadyInstalled)?;
        Ok(telemetry)
    }

    /// Like [`Telemetry::init`], with a subscriber that the caller installs.
    pub fn build(
        service: &str,
        version: &str,
        common: &Common,
        writer: BoxMakeWriter,
    ) -> Result<(Dispatch, Self), TelemetryError> {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let endpoint = common.otlp.endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned());
        let metrics = Metrics::new(resource(service, version), endpoint.as_deref())?;
        let telemetry = Self {
            metrics,
            router: endpoint.is_some().then(|| Arc::new(Router::default())),
            endpoint,
        };
        telemetry.add_service(service, version)?;

        let dispatch = match telemetry.router.clone() {
            // Not an absent layer: that would count as one which wants every span.
            None => Registry::default().with(log_lines(service, common, writer)).into(),
            Some(router) => {
                let spans = tracing_opentelemetry::layer()
                    .with_tracer(RoutingTracer::new(router))
                    .with_location(false)
                    .with_threads(false)
                    .with_target(false)
                    .with_tracked_inactivity(false)
                    .with_filter(filter_fn(is_trace).with_max_level_hint(LevelFilter::TRACE));
                Registry::default().with(spans).with(log_lines(service, common, writer)).into()
            }
        };
        Ok((dispatch, telemetry))
    }

    /// Makes a further service of this process known, so that its spans carry its name.
    pub fn add_service(&self, service: &str, version: &str) -> Result<(), TelemetryError> {
        if let (Some(router), Some(endpoint)) = (&self.router, &self.endpoint) {
            let exporter = export::spans(endpoint)?;
            router.add(service, resource(service, version), exporter);
        }
        Ok(())
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sends what is queued and stops exporting; waits for `limit` at most.
    pub async fn flush(self, limit: Duration) -> Result<(), TelemetryError> {
        let ending = tokio::task::spawn_blocking(move || {
            let spans = self.router.map_or_else(|| Ok(()), |router| router.shutdown(limit));
            let metrics = self.metrics.shutdown(limit);
            spans.and(metrics)
        });
        match tokio::time::timeout(limit, ending).await {
            Ok(Ok(result)) => result.map_err(TelemetryError::Flush),
            Ok(Err(why)) => Err(TelemetryError::Flush(why.to_string())),
            Err(_) => Err(TelemetryError::Flush(format!("no end within {limit:?}"))),
        }
    }
}

fn log_lines<S>(service: &str, common: &Common, writer: BoxMakeWriter) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let filter = log_filter(&common.log.level);
    match common.log.format {
        LogFormat::Json => lines
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::new(service))
            .with_filter(filter)
            .boxed(),
        LogFormat::Pretty => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .event_format(PrettyLines::default())
            .with_filter(filter)
            .boxed(),
    }
}

fn is_trace(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TRACE_TARGET
}

fn log_filter<S>(level: &LogFilter) -> impl tracing_subscriber::layer::Filter<S> + use<S>
where
    S: Subscriber,
    EnvFilter: tracing_subscriber::layer::Filter<S>,
{
    let lines = filter_fn(|metadata| !is_trace(metadata)).with_max_level_hint(LevelFilter::TRACE);
    FilterExt::<S>::and(EnvFilter::new(level.as_str()), lines)
}
