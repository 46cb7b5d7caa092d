//! Following the stream of agents, so that every replica knows what any replica wrote.

use std::sync::Arc;

use tokio::sync::mpsc;
use troupe_bus::follow::Follower;
use troupe_bus::port::{Entry, Log, OutgoingEvent};
use troupe_domain::Timestamp;

use crate::rules::fleet::{Fleet, Source};
use crate::service::Registry;
use crate::store::record::{Record, carried_on, event_of};

/// Everything that is stored of agents.
pub fn subjects() -> String {
    format!("{}.state.agent.*", troupe_contract::subject::PREFIX)
}

/// Reads the whole stream into `fleet`. Gives the last sequence read, and the events that may not
/// have been told yet.
pub async fn replay(
    log: &dyn Log,
    fleet: &mut Fleet,
    now: Timestamp,
    now_ms: u64,
) -> Result<(u64, Vec<OutgoingEvent>), troupe_bus::port::ReadError> {
    let mut last = 0;
    let mut untold = Vec::new();
    let mut take = |entry: Entry| {
        last = last.max(entry.sequence);
        match Record::decode(&entry) {
            Ok(record) => {
                for told in carried_on(&record.told(entry.sequence), now) {
                    untold.push(event_of(&told, &record.agent, record.trace.clone()));
                }
                fleet.apply(
                    record.version(entry.sequence, entry.body.len()),
                    Source::Replay,
                    now_ms,
                );
            }
            Err(why) => tracing::error!(subject = entry.subject, why, "not an agent; passed over"),
        }
    };
    log.read(&subjects(), 0, &mut take).await?;
    Ok((last, untold))
}

/// Takes in what is written from now on. What another replica wrote is handed to `retell`, which
/// makes sure that its events are told.
pub async fn run(
    registry: Arc<Registry>,
    mut follower: Follower,
    retell: mpsc::Sender<OutgoingEvent>,
) {
    loop {
        let entry = follower.next().await;
        let record = match Record::decode(&entry) {
            Ok(record) => record,
            Err(why) => {
                tracing::error!(subject = entry.subject, why, "not an agent; passed over");
                continue;
            }
        };
        let version = record.version(entry.sequence, entry.body.len());
        let now_ms = registry.store.now_ms();
        registry.fleet.write().apply(version, Source::Live, now_ms);
        if record.writer == *registry.store.replica() {
            continue;
        }
        for told in record.told(entry.sequence).iter().filter(|t| t.sequence == entry.sequence) {
            let event = event_of(told, &record.agent, record.trace.clone());
            if retell.try_send(event).is_err() {
                tracing::warn!("too many events of other replicas wait; theirs to tell");
            }
        }
    }
}
