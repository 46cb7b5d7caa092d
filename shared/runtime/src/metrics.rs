//! Metrics: one registry a process, one API, seen on `/metrics` and, where an endpoint is set,
//! over OTLP.
//!
//! The OpenTelemetry API with its Prometheus exporter was chosen over a Prometheus client with a
//! bridge of our own: the exporter is released with the SDK, version by version, and OTLP
//! histograms cannot be bridged through observable instruments. Its one weakness, a look-up of the
//! labels at each recording, is met by bound instruments (an SDK feature still called
//! experimental, which is why no type of it leaves this module).
//!
//! Names are shown as given: counters end in `_total`, units stand in the name. Labels come from
//! closed sets: beyond 2,000 combinations the SDK folds what is new into one overflow series.

mod process;

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{BoundCounter, BoundGauge, BoundHistogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider};
use prometheus::{Encoder, TextEncoder};

use crate::telemetry::{TelemetryError, export};

/// What `/metrics` says it serves.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";
const SERVICE_LABEL: &str = "service";
/// From a tenth of a millisecond to ten seconds, in seconds.
pub const LATENCY_BOUNDS_SECONDS: [f64; 14] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Makes metrics; cheap to clone. Handles are made once, at start, and kept.
#[derive(Clone, Debug)]
pub struct Metrics {
    provider: SdkMeterProvider,
    registry: prometheus::Registry,
    meter: Meter,
    service: Option<Arc<str>>,
}

impl Metrics {
    pub(crate) fn new(resource: Resource, otlp: Option<&str>) -> Result<Self, TelemetryError> {
        let registry = prometheus::Registry::new();
        let scrape = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_counter_suffixes()
            .without_units()
            .build()
            .map_err(|why| TelemetryError::Metrics(why.to_string()))?;
        let mut builder = SdkMeterProvider::builder().with_resource(resource).with_reader(scrape);
        if let Some(endpoint) = otlp {
            builder = builder.with_periodic_exporter(export::metrics(endpoint)?);
        }
        let provider = builder.build();
        let meter = provider.meter("troupe");
        process::observe(&meter);
        Ok(Self { provider, registry, meter, service: None })
    }

    /// The same registry; what is made from it carries the label `service`.
    pub fn for_service(&self, service: &str) -> Self {
        Self { service: Some(service.into()), ..self.clone() }
    }

    /// A count that only grows; `name` ends in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &Labels<'_>) -> Counter {
        let instrument = self.meter.u64_counter(name).with_description(help).build();
        Counter(instrument.bind(&self.labels(labels)))
    }

    /// A value that goes up and down, set by whoever knows it.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &Labels<'_>) -> Gauge {
        let instrument = self.meter.f64_gauge(name).with_description(help).build();
        Gauge(instrument.bind(&self.labels(labels)))
    }

    /// A value that is asked for at each scrape.
    pub fn observed_gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &Labels<'_>,
        observe: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let labels = self.labels(labels);
        let builder = self.meter.f64_observable_gauge(name).with_description(help);
        builder.with_callback(move |observer| observer.observe(observe(), &labels)).build();
    }

    /// A distribution over buckets with the upper bounds `bounds`, in the unit of `name`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &[f64],
        labels: &Labels<'_>,
    ) -> Histogram {
        let builder = self.meter.f64_histogram(name).with_description(help);
        let instrument = builder.with_boundaries(bounds.to_vec()).build();
        Histogram(instrument.bind(&self.labels(labels)))
    }

    /// Every metric in Prometheus' text format.
    pub fn text(&self) -> Result<String, TelemetryError> {
        let mut text = Vec::new();
        let failed = |why: String| TelemetryError::Metrics(why);
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .map_err(|why| failed(why.to_string()))?;
        String::from_utf8(text).map_err(|why| failed(why.to_string()))
    }

    pub(crate) fn shutdown(&self, limit: Duration) -> Result<(), String> {
        self.provider.shutdown_with_timeout(limit).map_err(|why| format!("metrics: {why}"))
    }

    fn labels(&self, labels: &Labels<'_>) -> Vec<KeyValue> {
        let service =
            self.service.iter().map(|service| KeyValue::new(SERVICE_LABEL, service.to_string()));
        let own = labels.iter().map(|(name, value)| KeyValue::new(*name, (*value).to_owned()));
        service.chain(own).collect()
    }
}

/// Label names and values.
pub type Labels<'a> = [(&'static str, &'a str)];

/// A count that only grows.
#[derive(Clone, Debug)]
pub struct Counter(BoundCounter<u64>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.0.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.add(count);
    }
}

/// A value that goes up and down.
#[derive(Clone, Debug)]
pub struct Gauge(BoundGauge<f64>);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: f64) {
        self.0.record(value);
    }
}

/// A distribution.
#[derive(Clone, Debug)]
pub struct Histogram(BoundHistogram<f64>);

impl Histogram {
    /// Adds one observation.
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }

    /// Adds one duration, in seconds.
    pub fn record_duration(&self, value: Duration) {
        self.0.record(value.as_secs_f64());
    }
}
