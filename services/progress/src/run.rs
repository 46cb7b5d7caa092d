//! Running the service in a process: connection, replica, readiness, metrics, drain.

use std::sync::Arc;

use troupe_bus::serve::Observer;
use troupe_bus::{Bus, Settings};
use troupe_domain::{Code, Name};
use troupe_runtime::requests::Requests;
use troupe_runtime::{Metrics, ServiceContext};

use crate::NAME;
use crate::config::Config;
use crate::rules::state::ProgressState;
use crate::service::Replica;

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

/// The gauges of what this replica holds.
fn observe(metrics: &Metrics, replica: &Replica) {
    let gauge = |name, help, count: fn(&ProgressState) -> usize| {
        let router = replica.router().clone();
        metrics.observed_gauge(name, help, &[], move || {
            router.local().iter().map(|shard| shard.look(count)).sum::<usize>() as f64
        });
    };
    gauge("troupe_progress_tasks", "Tasks that are followed here.", ProgressState::task_count);
    gauge(
        "troupe_progress_stalled_tasks",
        "Tasks at work of which nothing was heard for long.",
        ProgressState::stalled_count,
    );
    gauge("troupe_progress_milestones", "Milestones.", ProgressState::milestone_count);
    gauge(
        "troupe_progress_report_bytes",
        "Bytes of the reports that are kept one by one, about.",
        ProgressState::report_bytes,
    );
    let router = replica.router().clone();
    let help = "Whether this replica owns the state: 1, or 0.";
    metrics.observed_gauge("troupe_progress_owner", help, &[], move || router.local().len() as f64);
}
