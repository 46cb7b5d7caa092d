//! Running the service in a process: connection, replica, readiness, metrics, drain.

use std::sync::Arc;

use troupe_bus::serve::Observer;
use troupe_bus::{Bus, Settings};
use troupe_domain::{Code, Name};
use troupe_runtime::requests::Requests;
use troupe_runtime::{Metrics, ServiceContext};

use crate::config::Config;
use crate::rules::state::PlanState;
use crate::service::Replica;
use crate::{NAME, VERSION};

/// Runs the service until it is told to stop.
pub async fn run(context: ServiceContext, config: Config) -> anyhow::Result<()> {
    config.check().map_err(|fault| anyhow::anyhow!("configuration: {}", fault.message))?;
    let nats = &config.common.nats;
    let settings = Settings {
        url: nats.url.as_str().to_owned(),
        user: nats.user.clone(),
        password: nats.password.as_ref().map(|secret| secret.expose().to_owned()),
        credentials_file: nats.credentials_file.clone(),
    };
    let bus = Bus::connect(&settings, Name::parse(NAME)?).await?;
    bus.check_server().await?;
    let replica = Replica::start(&bus, &config, Some(observer(&context.metrics))).await?;
    replica.ready().await;
    observe(&context.metrics, &replica);
    context.serving();
    tracing::info!(version = VERSION, "serving");
    context.shutdown.cancelled().await;
    replica.drain().await;
    bus.close().await;
    Ok(())
}

/// Counts and times every request.
fn observer(metrics: &Metrics) -> Observer {
    let requests = Requests::new(metrics);
    Arc::new(move |operation, seconds, code| {
        requests.record(operation, seconds, code.map(Code::as_str));
    })
}

/// The gauges of what this replica's shards hold.
fn observe(metrics: &Metrics, replica: &Replica) {
    let sum = |name, help, count: fn(&PlanState) -> usize| {
        let router = replica.router().clone();
        metrics.observed_gauge(name, help, &[], move || {
            router.local().iter().map(|shard| shard.look(count)).sum::<usize>() as f64
        });
    };
    sum(
        "troupe_plan_objects",
        "Plans and other objects of this replica's shards.",
        PlanState::object_count,
    );
    sum(
        "troupe_plan_bytes",
        "Bytes of states and kept batches of this replica's shards.",
        PlanState::bytes,
    );
    sum(
        "troupe_plan_unarchived_batches",
        "Batches of this replica's shards that are not in the archive.",
        PlanState::unarchived,
    );
    sum(
        "troupe_plan_open_conflicts",
        "Conflicts of this replica's shards that nobody has decided.",
        PlanState::open_conflicts,
    );
    let router = replica.router().clone();
    let help = "Shards that this replica owns.";
    metrics
        .observed_gauge("troupe_plan_owned_shards", help, &[], move || router.local().len() as f64);
}
