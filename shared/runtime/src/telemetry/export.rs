//! The OTLP exporters: gRPC without TLS, to a collector beside the service.

use std::time::Duration;

use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};

use super::TelemetryError;

/// A batch that takes longer is given up.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn spans(endpoint: &str) -> Result<SpanExporter, TelemetryError> {
    let builder = SpanExporter::builder().with_tonic();
    builder
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|why| refused(endpoint, &why))
}

pub(crate) fn metrics(endpoint: &str) -> Result<MetricExporter, TelemetryError> {
    let builder = MetricExporter::builder().with_tonic();
    builder
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|why| refused(endpoint, &why))
}

fn refused(endpoint: &str, why: &dyn std::error::Error) -> TelemetryError {
    TelemetryError::Exporter { endpoint: endpoint.to_owned(), reason: why.to_string() }
}
