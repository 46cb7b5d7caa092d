//! What replicas tell each other: work that began and ended, breakers, answers that were wrong.
//!
//! Hints without any promise, over the bus. Invariant: whoever heard none of it decides well all the
//! same, a little later: breakers are told again and again while they are not closed, and work that
//! nobody ended is let go of.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use troupe_bus::Bus;
use troupe_bus::events::Listener;
use troupe_contract::subject;
use troupe_domain::{AgentId, Name};

use super::knowledge::Knowledge;
use crate::rules::breaker::fleet::Change;
use crate::rules::flow::Ended;
use crate::rules::unfit::Unfitness;

/// What waits to be told.
pub(super) const WAITING_TELLS: usize = 16_384;
/// What is told in one message.
const MAX_TELLS: usize = 256;
/// How long what is not urgent waits for more.
const GATHER_FOR: Duration = Duration::from_millis(10);
/// How often breakers that are not closed are told again.
const REPEAT_EVERY: Duration = Duration::from_secs(2);

/// One thing to tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tell {
    /// An agent got work.
    Started(AgentId),
    /// A piece of work ended: by whom, under which key, how, and after how many microseconds.
    Ended(AgentId, Name, Option<bool>, u64),
    /// A breaker is in this state.
    Breaker(Change),
    /// What was remembered under this key was wrong.
    Wrong(String),
    /// A replica has begun, and wants to know which breakers are not closed.
    Hello,
}

/// What travels.
#[derive(Debug, Serialize, Deserialize)]
struct Word {
    from: Name,
    tells: Vec<Tell>,
}

/// Tells what comes.
pub(super) async fn tell(bus: Bus, me: Name, mut waiting: mpsc::Receiver<Tell>) {
    let mut tells = Vec::with_capacity(MAX_TELLS);
    while waiting.recv_many(&mut tells, MAX_TELLS).await > 0 {
        let urgent = |tell: &Tell| !matches!(tell, Tell::Started(_) | Tell::Ended(..));
        if tells.len() < MAX_TELLS && !tells.iter().any(urgent) {
            sleep(GATHER_FOR).await;
            while tells.len() < MAX_TELLS
                && let Ok(tell) = waiting.try_recv()
            {
                tells.push(tell);
            }
        }
        let word = Word { from: me.clone(), tells: std::mem::take(&mut tells) };
        // Names and numbers always serialise.
        let body = serde_json::to_vec(&word).unwrap_or_default();
        bus.tell(subject::routing_peers(), body.into()).await;
    }
}

/// Hears what the others tell.
pub(super) async fn hear(knowledge: Arc<Knowledge>, mut listener: Listener) {
    while let Some(heard) = listener.next().await {
        match heard.decode::<Word>() {
            Ok(word) if word.from != knowledge.me => {
                word.tells.into_iter().for_each(|tell| take(&knowledge, tell));
            }
            Ok(_) => {}
            Err(why) => tracing::warn!(%why, "not a word of a replica; passed over"),
        }
    }
}

fn take(knowledge: &Knowledge, tell: Tell) {
    let now = knowledge.now();
    match tell {
        Tell::Started(agent) => knowledge.flow.lock().started(&agent, now),
        Tell::Ended(agent, key, success, latency_us) => {
            let ended = Ended { success, latency_us };
            let change = knowledge.flow.lock().told_ended(&agent, &key, ended, now);
            if let Some(change) = change {
                knowledge.breaker_changed(change);
            }
        }
        Tell::Breaker(change) => {
            if knowledge.flow.lock().merge(&change) {
                knowledge.is_unfit(&change.agent, Unfitness::Failing(change.capability));
            }
        }
        Tell::Wrong(key) => knowledge.memory.lock().forget(&key),
        Tell::Hello => repeat(knowledge),
    }
}

/// Tells every breaker that is not closed.
fn repeat(knowledge: &Knowledge) {
    let changes: Vec<Change> = {
        let flow = knowledge.flow.lock();
        let open = flow.breakers.not_closed().take(WAITING_TELLS / 4);
        open.map(|(agent, capability, breaker)| Change {
            agent: agent.clone(),
            capability: capability.clone(),
            shared: breaker.shared().clone(),
        })
        .collect()
    };
    changes.into_iter().for_each(|change| knowledge.tell(Tell::Breaker(change)));
}

/// Tells breakers that are not closed again, and lets go of work that nobody ended.
pub(super) async fn look_after(knowledge: Arc<Knowledge>) {
    knowledge.tell(Tell::Hello);
    let mut timer = interval(REPEAT_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        knowledge.flow.lock().sweep(knowledge.now());
        repeat(&knowledge);
    }
}
