//! The archive: terminal tasks that left memory are found by their last event.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use troupe_bus::port::Log;
use troupe_contract::event::{self, TaskEvent};
use troupe_contract::subject;
use troupe_domain::{Code, Fault, Task, TaskId, Timestamp};

use crate::rules::memory::ENDED_AT;

/// How often the archive is asked for a task whose last event is on its way.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The terminal task that a shard does not know, as it said in `absent`. One that left the shard's
/// memory lately is waited for until `until`.
pub async fn find(
    events: &dyn Log,
    id: &TaskId,
    absent: &Fault,
    until: Instant,
) -> Result<Option<Arc<Task>>, Fault> {
    let ended = absent.details.get(ENDED_AT).cloned();
    let ended: Option<Timestamp> = ended.and_then(|at| serde_json::from_value(at).ok());
    loop {
        let task = last(events, id).await?;
        let Some(ended) = ended else { return Ok(task) };
        // What is older than what left is from before a revival.
        if let Some(task) = task.filter(|task| task.completed_at >= Some(ended)) {
            return Ok(Some(task));
        }
        if Instant::now() + LOOK_EVERY >= until {
            let why = format!("the last event of task {id} is not stored yet");
            return Err(Fault::new(Code::Unavailable, why));
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn last(events: &dyn Log, id: &TaskId) -> Result<Option<Arc<Task>>, Fault> {
    let last = events
        .last(&subject::archive(event::TASK, id))
        .await
        .map_err(|why| Fault::new(Code::Unavailable, why.to_string()))?;
    let event = last.and_then(|entry| serde_json::from_slice::<TaskEvent>(&entry.body).ok());
    Ok(event.and_then(|event| event.task).filter(|task| task.status.is_terminal()))
}
