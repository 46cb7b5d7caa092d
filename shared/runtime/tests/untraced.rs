//! What trace spans cost where nothing is exported. Alone in its process: a call site asks every
//! subscriber of the process, and another test's would keep it on.

use std::io;

use tracing::{dispatcher, info_span};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use troupe_runtime::{Common, Telemetry, config::LogFilter};

#[test]
fn without_an_endpoint_trace_spans_are_off() {
    let mut common = Common::default();
    common.log.level = LogFilter::new("trace").unwrap();
    let writer = BoxMakeWriter::new(io::sink);
    let (dispatch, _telemetry) = Telemetry::build("troupe-a", "1", &common, writer).unwrap();
    dispatcher::with_default(&dispatch, || {
        assert!(info_span!(target: "troupe::trace", "off").is_disabled());
        assert!(!info_span!("logged").is_disabled());
    });
}
