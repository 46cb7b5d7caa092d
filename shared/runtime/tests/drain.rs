//! The drain of a real process by real signals. The process is this test binary itself, started
//! again to run only [`probe`], which is then a service's `main`.

mod http;

use std::{ffi::OsString, net::SocketAddr, process::ExitCode, time::Duration};

use troupe_runtime::{Common, ServiceContext, main_from};
use troupe_testkit::{Proc, eventually};

const ROLE: &str = "DRAIN_PROBE";
const DEADLINE: Duration = Duration::from_secs(30);

/// Does nothing as a test; in the process that the other tests start it is the service.
#[test]
fn probe() -> ExitCode {
    let Ok(arguments) = std::env::var(ROLE) else {
        return ExitCode::SUCCESS;
    };
    let arguments = std::iter::once("probe").chain(arguments.split_whitespace());
    main_from(arguments.map(OsString::from), "troupe-probe", "1", serve)
}

async fn serve(context: ServiceContext, config: Common) -> anyhow::Result<()> {
    context.tasks.spawn_critical("flusher", |stop| async move {
        stop.cancelled().await;
        tracing::info!("task stopped");
        Ok(())
    });
    context.serving();
    tracing::info!("serving");
    context.shutdown.cancelled().await;
    tracing::info!("service stops");
    if config.nats.name == "hangs" {
        std::future::pending::<()>().await;
    }
    tracing::info!("service stopped");
    Ok(())
}

struct Probe(Proc);

impl Probe {
    async fn start(arguments: &str) -> Self {
        let probe = Self::launch(arguments);
        probe.says("serving").await;
        probe
    }

    fn launch(arguments: &str) -> Self {
        let this = std::env::current_exe().unwrap();
        let child = Proc::build("probe", this)
            .args(["--exact", "probe", "--nocapture", "--test-threads=1"])
            .env(ROLE, arguments)
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        Self(child.start().unwrap())
    }

    async fn says(&self, message: &str) {
        let quoted = format!("\"message\":\"{message}\"");
        eventually(format!("the probe's {message:?}"), DEADLINE, || async {
            assert!(self.0.ended().is_none(), "{}", self.0.quoted_output());
            self.0.stderr().contains(&quoted).then_some(())
        })
        .await;
    }

    fn admin(&self) -> SocketAddr {
        let line = self
            .0
            .stderr()
            .lines()
            .find(|line| line.contains("admin server"))
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line"));
        line.expect("the address")["fields"]["address"].as_str().unwrap().parse().unwrap()
    }

    /// Waits for the end: whether it was a success, and what was said.
    async fn end(&self) -> (bool, String) {
        let status = eventually("the probe's end", DEADLINE, || async { self.0.ended() }).await;
        (status.success(), self.0.stderr())
    }
}

#[tokio::test]
async fn a_signal_drains_in_order() {
    for interrupt in [false, true] {
        let probe = Probe::start("--log-format json").await;
        let address = probe.admin();
        assert_eq!(http::get(address, "/readyz").await.0, 200);
        if interrupt {
            probe.0.interrupt().unwrap();
        } else {
            probe.0.terminate().unwrap();
        }
        let (success, said) = probe.end().await;
        assert!(success, "{said}");
        let steps = ["draining", "service stops", "service stopped", "task stopped", "drained"];
        let places = steps.map(|step| said.find(&format!("\"message\":\"{step}\"")));
        assert!(places.iter().all(Option::is_some), "{said}");
        assert!(places.is_sorted(), "{said}");
    }
}

#[tokio::test]
async fn not_ready_but_alive_while_it_drains_and_a_second_signal_aborts() {
    let probe = Probe::start("--set nats.name=hangs --set drain_timeout_ms=600000").await;
    let address = probe.admin();
    probe.0.terminate().unwrap();
    probe.says("service stops").await;
    let (status, body) = http::get(address, "/readyz").await;
    assert_eq!((status, body.contains("draining")), (503, true), "{body}");
    assert_eq!(http::get(address, "/livez").await.0, 200);
    probe.0.terminate().unwrap();
    let (success, said) = probe.end().await;
    assert!(!success, "{said}");
    assert!(said.contains("a second signal (SIGTERM)"), "{said}");
    assert!(said.contains("troupe-probe/service"), "{said}");
    assert!(!said.contains("service stopped"), "{said}");
}

#[tokio::test]
async fn a_drain_over_its_limit_ends_with_an_error() {
    let probe = Probe::start("--set nats.name=hangs --set drain_timeout_ms=20").await;
    probe.0.terminate().unwrap();
    let (success, said) = probe.end().await;
    assert!(!success && said.contains("drain_timeout_ms"), "{said}");
}

#[tokio::test]
async fn a_bad_flag_is_refused_at_start() {
    let (success, said) = Probe::launch("--set drain_timeout_ms=soon").end().await;
    assert!(!success, "{said}");
    assert!(said.contains("`drain_timeout_ms`") && said.contains("whole number"), "{said}");
    assert!(!said.contains("serving"), "{said}");
}
