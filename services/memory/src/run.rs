//! Running the service in a process: connection, replica, readiness, metrics, drain.

use std::sync::Arc;

use troupe_bus::serve::Observer;
use troupe_bus::{Bus, Settings};
use troupe_domain::{Code, Name};
use troupe_runtime::requests::Requests;
use troupe_runtime::{Metrics, ServiceContext};

use crate::NAME;
use crate::config::Config;
use crate::rules::state::MemoryState;
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

/// The gauges of what this replica holds, and of what works.
fn observe(metrics: &Metrics, replica: &Replica) {
    let gauge = |name, help, count: fn(&MemoryState) -> usize| {
        let router = replica.router().clone();
        metrics.observed_gauge(name, help, &[], move || {
            router.local().iter().map(|shard| shard.look(count)).sum::<usize>() as f64
        });
    };
    gauge("troupe_memory_entries", "Entries in the shards owned here.", MemoryState::entry_count);
    gauge("troupe_memory_resident_bytes", "Bytes of contents in memory.", |state| state.bytes().1);
    gauge("troupe_memory_content_bytes", "Bytes of contents in every tier.", |state| {
        state.bytes().0
    });
    gauge("troupe_memory_index_bytes", "Bytes of the indexes, about.", MemoryState::index_bytes);
    gauge(
        "troupe_memory_without_vector",
        "Entries whose vector is not made yet.",
        MemoryState::unembedded_count,
    );
    gauge(
        "troupe_memory_pending_deletions",
        "Deletions that are not done in every tier.",
        MemoryState::pending_deletions,
    );
    let router = replica.router().clone();
    let help = "Shards that this replica owns.";
    metrics.observed_gauge("troupe_memory_shards", help, &[], move || router.local().len() as f64);
    let works = |name, help, works: fn(&crate::handlers::Memories) -> bool| {
        let memories = replica.memories().clone();
        metrics.observed_gauge(name, help, &[], move || f64::from(u8::from(works(&memories))));
    };
    works("troupe_memory_hot", "Whether Redis answers: 1, or 0.", |memories| {
        memories.hot.as_ref().is_some_and(|hot| hot.is_healthy())
    });
    works("troupe_memory_cold", "Whether the cold tier takes what is due: 1, or 0.", |memories| {
        memories.segments.is_some() && memories.cold_health.error().is_none()
    });
    works("troupe_memory_model", "Whether a model makes vectors: 1, or 0.", |memories| {
        memories.embedder.as_ref().is_some_and(|one| one.status().model().is_some())
    });
}
