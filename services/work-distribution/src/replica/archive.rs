//! The archive: terminal tasks that left memory are found by their last event.

use std::sync::Arc;

use troupe_bus::port::Log;
use troupe_contract::event::{self, TaskEvent};
use troupe_contract::subject;
use troupe_domain::{Code, Fault, Task, TaskId};

/// The terminal task, if its last event is still kept.
pub async fn find(events: &dyn Log, id: &TaskId) -> Result<Option<Arc<Task>>, Fault> {
    let last = events
        .last(&subject::archive(event::TASK, id))
        .await
        .map_err(|why| Fault::new(Code::Unavailable, why.to_string()))?;
    let event = last.and_then(|entry| serde_json::from_slice::<TaskEvent>(&entry.body).ok());
    Ok(event.and_then(|event| event.task).filter(|task| task.status.is_terminal()))
}
