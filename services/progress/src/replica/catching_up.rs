//! Reading what was there before the events were followed, or went with events that nobody heard.
//!
//! Invariant: it is done when work distribution has told every task that it lists, and has been asked
//! about every open task that it did not list: such a task may have ended unheard.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use troupe_bus::{Bus, CallOptions};
use troupe_contract::work::{ListTasks, TaskFilter};
use troupe_domain::limits::MAX_PAGE_ROWS;
use troupe_domain::{Fault, Task, TaskId};

use super::asking;
use crate::handlers::Shard;
use crate::rules::facts::{Fact, Facts};
use crate::rules::request::ProgressRequest;
use crate::rules::state::ProgressState;

/// Tasks of one page.
const PAGE_ROWS: usize = MAX_PAGE_ROWS / 4;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// Reads everything once, unless that was done; it is tried until it works.
pub(super) async fn run(bus: Bus, shard: Arc<Shard>) {
    let mut wait = FIRST_RETRY;
    while shard.closed().is_none() && !shard.look(ProgressState::is_complete) {
        if let Err(fault) = read(&bus, &shard).await {
            tracing::info!(%fault, "the tasks that are there already are read later");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
        }
    }
}

async fn read(bus: &Bus, shard: &Shard) -> Result<(), Fault> {
    let mut listed: HashSet<TaskId> = HashSet::new();
    let mut filter = TaskFilter { limit: Some(PAGE_ROWS), ..TaskFilter::default() };
    loop {
        let page = bus.call_with::<ListTasks>(&filter, &CallOptions::default()).await?;
        listed.extend(page.tasks.iter().map(|task| task.id.clone()));
        let seen = |task: &Arc<Task>| Fact::Seen(Box::new(Facts::from(&**task)));
        learn(shard, page.tasks.iter().map(seen).collect(), None).await?;
        match page.next_after {
            None => break,
            after => filter.after = after,
        }
    }
    let open = shard.look(ProgressState::open_tasks);
    let unlisted: Vec<TaskId> = open.into_iter().filter(|id| !listed.contains(id)).collect();
    for some in unlisted.chunks(PAGE_ROWS) {
        let known = asking::ask_all(bus, some).await?;
        let facts = known.into_iter().map(|facts| Fact::Seen(Box::new(facts))).collect();
        learn(shard, facts, None).await?;
    }
    learn(shard, Vec::new(), Some(true)).await
}

async fn learn(shard: &Shard, facts: Vec<Fact>, complete: Option<bool>) -> Result<(), Fault> {
    shard.call(ProgressRequest::Learn { facts, heard: None, complete }).await?;
    Ok(())
}
