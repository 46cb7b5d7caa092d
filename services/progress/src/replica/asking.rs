//! Asking work distribution what it knows of tasks: it decides who holds them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::work::{GetTask, TaskRef};
use troupe_domain::{Code, Fault, TaskId};
use troupe_shard::{Ask, Shard};

use crate::rules::facts::Facts;
use crate::rules::firing::SilentTask;
use crate::rules::state::ProgressState;

/// How long work distribution may take.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// Questions on their way at once.
const MAX_QUESTIONS: usize = 16;

/// What work distribution knows of a task; none if it knows no such task.
pub async fn ask(bus: &Bus, task: &TaskId) -> Result<Option<Facts>, Fault> {
    let request = TaskRef { task_id: task.clone() };
    match bus.call_with::<GetTask>(&request, &CallOptions::within(ASK_WITHIN)).await {
        Ok(reply) => Ok(Some(Facts::from(&*reply.task))),
        Err(fault) if fault.code == Code::NotFound => Ok(None),
        Err(fault) => {
            let why = format!("work distribution does not say what it knows of {task}: {fault}");
            Err(Fault::new(Code::Unavailable, why))
        }
    }
}

/// The same of several tasks; those that it does not know are left out.
pub async fn ask_all(bus: &Bus, tasks: &[TaskId]) -> Result<Vec<Facts>, Fault> {
    let mut known = Vec::new();
    for some in tasks.chunks(MAX_QUESTIONS) {
        for answer in join_all(some.iter().map(|task| ask(bus, task))).await {
            known.extend(answer?);
        }
    }
    Ok(known)
}

/// Gives what the timers hand silent tasks to.
pub fn asker(bus: &Bus) -> Ask<ProgressState> {
    let bus = bus.clone();
    Arc::new(move |shard, silent| {
        tokio::spawn(judge(bus.clone(), shard.clone(), silent));
    })
}

/// Asks about silent tasks. Those that it gets no answer for are asked about again.
async fn judge(bus: Bus, shard: Arc<Shard<ProgressState>>, silent: Vec<SilentTask>) {
    for some in silent.chunks(MAX_QUESTIONS) {
        let answers = join_all(some.iter().map(|silent| ask(&bus, &silent.task))).await;
        for (answer, silent) in answers.into_iter().zip(some) {
            match answer {
                Ok(Some(facts)) => {
                    shard.act(|state, now| state.judge_silence(silent, facts, now));
                }
                Ok(None) => {
                    tracing::warn!(task = %silent.task, "nobody knows a task that is at work");
                }
                Err(fault) => tracing::warn!(%fault, "a silent task is asked about again"),
            }
        }
    }
}
