//! Logs and traces of the command line itself, as the global options say.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use troupe_domain::TraceContext;
use troupe_runtime::config::{Common, Log, LogFilter, LogFormat, Otlp, OtlpEndpoint};
use troupe_runtime::telemetry::Telemetry;

use crate::args::{self, Global};
use crate::exit::Usage;

/// The version in telemetry.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the last spans may take to be sent.
const FLUSH_LIMIT_MS: u64 = 2_000;

/// What the global options say about logs and traces.
pub(crate) fn common(global: &Global, default_level: &str) -> Result<Common> {
    let level = global.log_level.as_deref().unwrap_or(default_level);
    let level = LogFilter::new(level).map_err(|why| Usage(format!("--log-level: {why}")))?;
    let format = match global.log_format {
        args::LogFormat::Pretty => LogFormat::Pretty,
        args::LogFormat::Json => LogFormat::Json,
    };
    let endpoint = match global.otlp_endpoint.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => {
            let refused = |why| Usage(format!("--otlp-endpoint: {why}"));
            Some(OtlpEndpoint::new(text).map_err(refused)?)
        }
        None => None,
    };
    Ok(Common { log: Log { format, level }, otlp: Otlp { endpoint }, ..Common::default() })
}

/// The trace that this process was started in, if its environment names one.
pub(crate) fn inherited() -> Option<TraceContext> {
    let state = std::env::var("TRACESTATE").ok();
    TraceContext::parse(&std::env::var("TRACEPARENT").ok()?, state.as_deref())
}

/// Log lines on standard error.
pub(crate) fn start(service: &str, common: &Common) -> Result<Telemetry> {
    Ok(Telemetry::init(service, VERSION, common)?)
}

/// Log lines in a file, so that a live view is not disturbed.
pub(crate) fn start_in(file: &Path, service: &str, common: &Common) -> Result<Telemetry> {
    let place = || file.display().to_string();
    let file = std::fs::File::options().create(true).append(true).open(file).with_context(place)?;
    let writer = tracing_subscriber::fmt::writer::BoxMakeWriter::new(std::sync::Arc::new(file));
    let (dispatch, telemetry) = Telemetry::build(service, VERSION, common, writer)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|why| anyhow!(why))?;
    Ok(telemetry)
}

/// Sends what is still queued; a collector that is away is no reason for another exit code.
pub(crate) async fn finish(telemetry: Telemetry) {
    if let Err(why) = telemetry.flush(Duration::from_millis(FLUSH_LIMIT_MS)).await {
        tracing::warn!(%why, "traces");
    }
}
