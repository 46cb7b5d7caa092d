//! An OTLP collector inside the test: takes spans and metrics over gRPC, and keeps them.

use std::{
    collections::BTreeSet,
    fmt::Write,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use opentelemetry_proto::tonic::collector::{
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    eventually::try_eventually,
    span::{self, SpanRecord},
};

/// More than any test makes; beyond it exporters are refused, so that the loss is seen.
const KEPT_MAX_SPANS: usize = 1_000_000;
/// How many spans a message about missing ones lists.
const LISTED_MAX_SPANS: usize = 200;

/// A running sink; stops when dropped.
#[derive(Debug)]
pub struct OtlpSink {
    address: SocketAddr,
    kept: Arc<Kept>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Mutex<Vec<SpanRecord>>,
    metrics: Mutex<BTreeSet<String>>,
}

impl OtlpSink {
    /// Listens on a free port of 127.0.0.1.
    #[expect(clippy::unused_async, reason = "needs a running runtime, like every start here")]
    pub async fn start() -> Result<Self> {
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = incoming.local_addr()?;
        let kept = Arc::new(Kept::default());
        let router = Server::builder()
            .add_service(TraceServiceServer::from_arc(kept.clone()))
            .add_service(MetricsServiceServer::from_arc(kept.clone()));
        let server = tokio::spawn(async move {
            // An accept loop that fails shows in the test as spans that never come.
            let _ = router.serve_with_incoming(incoming).await;
        });
        Ok(Self { address, kept, server })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span received so far, in the order of arrival.
    pub fn spans(&self) -> Vec<SpanRecord> {
        self.kept.spans.lock().clone()
    }

    /// The name of every metric received so far.
    pub fn metric_names(&self) -> BTreeSet<String> {
        self.kept.metrics.lock().clone()
    }

    /// Waits until `enough` holds of the spans received, and returns them. Panics with a list of
    /// them when `deadline` has passed.
    pub async fn wait_for(
        &self,
        enough: impl Fn(&[SpanRecord]) -> bool,
        deadline: Duration,
    ) -> Vec<SpanRecord> {
        let seen = try_eventually("the spans expected", deadline, || async {
            let spans = self.kept.spans.lock();
            enough(&spans).then(|| spans.clone())
        });
        match seen.await {
            Ok(spans) => spans,
            Err(error) => panic!("{error}; received:{}", list(&self.spans())),
        }
    }
}

impl Drop for OtlpSink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let new: Vec<_> = resources.into_iter().flat_map(span::records).collect();
        let mut spans = self.spans.lock();
        if spans.len() + new.len() > KEPT_MAX_SPANS {
            return Err(Status::resource_exhausted(format!("over {KEPT_MAX_SPANS} spans")));
        }
        spans.extend(new);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let resources = request.into_inner().resource_metrics;
        let scopes = resources.into_iter().flat_map(|resource| resource.scope_metrics);
        let names = scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name);
        self.metrics.lock().extend(names);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn list(spans: &[SpanRecord]) -> String {
    let mut text = String::new();
    for span in spans.iter().take(LISTED_MAX_SPANS) {
        let SpanRecord { service_name, name, kind, trace_id, span_id, parent_span_id, .. } = span;
        let _ = write!(
            text,
            "\n  {service_name}: {name} ({kind:?}) trace {trace_id} span {span_id} parent \
             {parent_span_id}"
        );
    }
    if spans.len() > LISTED_MAX_SPANS {
        let _ = write!(text, "\n  and {} more", spans.len() - LISTED_MAX_SPANS);
    }
    text
}
