//! Running the service in a process: connection, replica, readiness, metrics, drain.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use troupe_bus::serve::Observer;
use troupe_bus::{Bus, Settings as BusSettings};
use troupe_domain::{Code, Name};
use troupe_runtime::requests::Requests;
use troupe_runtime::{Metrics, ServiceContext};

use crate::config::Config;
use crate::service::Replica;
use crate::store::agents::OUTBOX_EVENTS;
use crate::{NAME, VERSION};

/// How often the connection is looked at for the readiness check.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Runs the service until it is told to stop, or until something ends that must not end.
pub async fn run(context: ServiceContext, config: Config) -> anyhow::Result<()> {
    config.check().map_err(|fault| anyhow::anyhow!("configuration: {}", fault.message))?;
    let nats = &config.common.nats;
    let settings = BusSettings {
        url: nats.url.as_str().to_owned(),
        user: nats.user.clone(),
        password: nats.password.as_ref().map(|secret| secret.expose().to_owned()),
        credentials_file: nats.credentials_file.clone(),
    };
    let bus = Bus::connect(&settings, Name::parse(NAME)?).await?;
    bus.check_server().await?;
    let observer = observer(&context.metrics);
    let mut replica = Replica::start(&bus, &config.settings(), Some(observer)).await?;
    observe(&context.metrics, &replica);
    watch_connection(&context, &bus);
    context.serving();
    tracing::info!(version = VERSION, "serving");
    let failed = tokio::select! {
        () = context.shutdown.cancelled() => None,
        failed = replica.failed() => Some(failed),
    };
    replica.drain().await;
    bus.close().await;
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

/// Not ready while the connection is down.
fn watch_connection(context: &ServiceContext, bus: &Bus) {
    let (check, bus) = (context.check("nats"), bus.clone());
    context.tasks.spawn_once("watch-connection", |stop| async move {
        loop {
            if bus.is_connected() {
                check.pass();
            } else {
                check.fail("the connection to NATS is down");
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
        }
    });
}

/// Counts and times every request.
fn observer(metrics: &Metrics) -> Observer {
    let requests = Requests::new(metrics);
    Arc::new(move |operation, seconds, code| {
        requests.record(operation, seconds, code.map(Code::as_str));
    })
}

fn observe(metrics: &Metrics, replica: &Replica) {
    let registry = replica.registry.clone();
    let help = "Agents in the directory.";
    metrics.observed_gauge("troupe_registry_agents", help, &[], move || {
        registry.fleet.read().len() as f64
    });
    let registry = replica.registry.clone();
    let help = "Heartbeats heard since the start of this replica.";
    metrics.observed_gauge("troupe_registry_heartbeats_heard", help, &[], move || {
        registry.heartbeats.load(Ordering::Relaxed) as f64
    });
    let registry = replica.registry.clone();
    let help = "Events that wait to be acknowledged.";
    metrics.observed_gauge("troupe_registry_waiting_events", help, &[], move || {
        OUTBOX_EVENTS.saturating_sub(registry.store.outbox().capacity()) as f64
    });
    let hot_tier = replica.hot_tier.clone();
    let help = "1 if the hot tier answers, 0 if it does not or there is none.";
    metrics.observed_gauge("troupe_registry_hot_tier_up", help, &[], move || {
        f64::from(u8::from(hot_tier.as_ref().is_some_and(|tier| tier.is_healthy())))
    });
}
