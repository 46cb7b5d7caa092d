//! Services in one process: readiness and liveness over HTTP, policies, and the order of a stop.

mod http;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{anyhow, bail};
use parking_lot::Mutex;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use troupe_runtime::{Backoff, Common, Host, Signals, Stopped, Telemetry};
use troupe_testkit::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

async fn host(common: &Common) -> Host {
    let writer = BoxMakeWriter::new(io::sink);
    let (_dispatch, telemetry) = Telemetry::build("troupe-dev", "1", common, writer).unwrap();
    Host::with_telemetry(telemetry, common).await.unwrap()
}

#[tokio::test]
async fn ready_when_every_check_passes_and_not_before() {
    let host = host(&Common::default()).await;
    let address = host.admin_address();
    let (status, body) = http::get(address, "/readyz").await;
    assert_eq!((status, body.contains("starting")), (503, true), "{body}");

    let (handles, given) = tokio::sync::oneshot::channel();
    host.add("troupe-a", "1.2.3", Common::default(), |context, _| async move {
        handles.send((context.clone(), context.check("nats"))).map_err(|_| anyhow!("gone"))?;
        context.shutdown.cancelled().await;
        Ok(())
    })
    .unwrap();
    let (context, nats) = given.await.unwrap();
    context.serving();
    let (status, body) = http::get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains(r#""troupe-a":"ok""#), "{body}");
    assert!(body.contains(r#""troupe-a/nats":"starting""#), "{body}");
    nats.pass();
    assert_eq!(http::get(address, "/readyz").await.0, 200);
    nats.fail("disconnected");
    let (status, body) = http::get(address, "/readyz").await;
    assert_eq!((status, body.contains("disconnected")), (503, true), "{body}");

    assert_eq!(http::get(address, "/livez").await.0, 200);
    let (_, body) = http::get(address, "/version").await;
    assert_eq!(body, r#"[{"service":"troupe-a","version":"1.2.3"}]"#);
    assert!(http::get(address, "/metrics").await.1.contains("process_open_fds"));
    assert_eq!(http::get(address, "/other").await.0, 404);

    host.supervisor().stop();
    host.run(Signals::none()).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut common = Common::default();
    common.admin.listen = taken.local_addr().unwrap();
    let writer = BoxMakeWriter::new(io::sink);
    let (_dispatch, telemetry) = Telemetry::build("troupe-a", "1", &common, writer).unwrap();
    let error = Host::with_telemetry(telemetry, &common).await.unwrap_err().to_string();
    let address = common.admin.listen.to_string();
    assert!(error.contains(&address) && error.contains("admin.listen"), "{error}");
}

#[tokio::test]
async fn a_critical_panic_is_not_alive_and_stops_all_services() {
    let host = host(&Common::default()).await;
    let address = host.admin_address();
    let (fall, falls) = tokio::sync::oneshot::channel::<()>();
    host.add("troupe-a", "1", Common::default(), |context, _| async move {
        context.tasks.spawn_critical("timers", |_| async move {
            falls.await?;
            panic!("out of time")
        });
        context.shutdown.cancelled().await;
        Ok(())
    })
    .unwrap();
    let (stopped, other) = tokio::sync::oneshot::channel();
    host.add("troupe-b", "1", Common::default(), |context, _| async move {
        context.shutdown.cancelled().await;
        stopped.send(()).map_err(|()| anyhow!("gone"))
    })
    .unwrap();
    assert_eq!(http::get(address, "/livez").await.0, 200);
    fall.send(()).unwrap();
    host.supervisor().stop_asked().await;
    let (status, body) = http::get(address, "/livez").await;
    assert_eq!(status, 500);
    assert!(body.contains("troupe-a") && body.contains("timers"), "{body}");
    let error = host.run(Signals::none()).await.unwrap_err();
    assert!(matches!(&error, Stopped::Failed(failure) if failure.task == "timers"), "{error}");
    assert!(error.to_string().contains("out of time"), "{error}");
    other.await.expect("the other service was drained, not aborted");
}

#[tokio::test]
async fn a_service_that_returns_unasked_is_a_failure() {
    let host = host(&Common::default()).await;
    host.add("troupe-a", "1", Common::default(), |_, _| async { Ok(()) }).unwrap();
    let error = host.run(Signals::none()).await.unwrap_err();
    assert!(error.to_string().contains("nobody asked"), "{error}");
}

#[tokio::test]
async fn a_failing_task_starts_again_and_a_failed_one_off_does_not_stop_the_process() {
    let host = host(&Common::default()).await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    host.add("troupe-a", "1", Common::default(), |context, _| async move {
        context.tasks.spawn_once("once", |_| async { bail!("not critical") });
        let backoff =
            Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(2) };
        context.tasks.spawn_restarting("again", backoff, move |stop| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match run {
                    0 => bail!("first"),
                    1 => panic!("second"),
                    _ => stop.cancelled().await,
                }
                Ok(())
            }
        });
        context.shutdown.cancelled().await;
        Ok(())
    })
    .unwrap();
    eventually("a third run", DEADLINE, || async {
        (runs.load(Ordering::SeqCst) == 3).then_some(())
    })
    .await;
    assert_eq!(host.supervisor().failure(), None);
    host.supervisor().stop();
    host.run(Signals::none()).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn services_end_before_the_tasks_behind_them() {
    let host = host(&Common::default()).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    for service in ["troupe-a", "troupe-b"] {
        let order = order.clone();
        host.add(service, "1", Common::default(), |context, _| async move {
            let flushed = order.clone();
            context.tasks.spawn_critical("flusher", |stop| async move {
                stop.cancelled().await;
                flushed.lock().push("task");
                Ok(())
            });
            context.shutdown.cancelled().await;
            // A request in flight, which needs the task behind it for a while.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            order.lock().push("service");
            Ok(())
        })
        .unwrap();
    }
    host.supervisor().stop();
    host.run(Signals::none()).await.unwrap();
    assert_eq!(*order.lock(), ["service", "service", "task", "task"]);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut_and_named() {
    let common = Common { drain_timeout_ms: 1, ..Common::default() };
    let host = host(&common).await;
    host.add("troupe-a", "1", common, |_, _| std::future::pending()).unwrap();
    host.supervisor().stop();
    let error = host.run(Signals::none()).await.unwrap_err();
    let left = "troupe-a/service".to_owned();
    assert_eq!(error, Stopped::DrainTimeout { limit_ms: 1, left });
}
