//! Running the service in a process: connection, replica, readiness, metrics, drain.

use std::sync::Arc;
use std::time::Duration;

use troupe_bus::serve::Observer;
use troupe_bus::{Bus, Settings};
use troupe_domain::{Code, Name};
use troupe_runtime::requests::Requests;
use troupe_runtime::{Metrics, ServiceContext};

use crate::config::Config;
use crate::rules::state::RoutingState;
use crate::service::Replica;
use crate::{NAME, VERSION};

/// How long a start waits for routes to be learned; after that they are learned beside the requests.
const LEARN_WITHIN: Duration = Duration::from_secs(10);

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
    replica.intents().ready(LEARN_WITHIN).await;
    observe(&context.metrics, &replica);
    replica.intents().observe(&context.metrics);
    context.serving();
    tracing::info!(version = VERSION, "serving");
    let broken = tokio::select! {
        () = context.shutdown.cancelled() => None,
        name = replica.intents().broken() => Some(name),
    };
    replica.drain().await;
    bus.close().await;
    match broken {
        None => Ok(()),
        Some(name) => anyhow::bail!("the loop {name:?} of routing by intent panicked"),
    }
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
    let sum = |name, help, count: fn(&RoutingState) -> usize| {
        let router = replica.router().clone();
        metrics.observed_gauge(name, help, &[], move || {
            router.local().iter().map(|shard| shard.look(count)).sum::<usize>() as f64
        });
    };
    sum(
        "troupe_routing_mailboxes",
        "Mailboxes of this replica's shards.",
        RoutingState::mailbox_count,
    );
    sum(
        "troupe_routing_mailbox_bytes",
        "Bytes of the messages in the mailboxes of this replica's shards.",
        RoutingState::mailbox_bytes,
    );
    sum(
        "troupe_routing_waiting_letters",
        "Letters to other shards that wait to be delivered.",
        |state| state.outbox().len(),
    );
    sum(
        "troupe_routing_open_sessions",
        "Sessions of this replica's shards that go on.",
        RoutingState::open_session_count,
    );
    let router = replica.router().clone();
    let help = "Shards that this replica owns.";
    metrics.observed_gauge("troupe_routing_owned_shards", help, &[], move || {
        router.local().len() as f64
    });
    let waiters = replica.waiters().clone();
    let help = "Long polls that wait for a message here.";
    metrics.observed_gauge("troupe_routing_waiting_polls", help, &[], move || waiters.len() as f64);
}
