//! Agents as processes: what they were told goes to standard output, one line each, once they were
//! told it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::Endpoint;
use troupe_contract::registry::{Heartbeat, HeartbeatRequest, Register};
use troupe_contract::work::*;
use troupe_domain::{AgentId, Code, Fault, Json, TaskId, TaskStatus};
use troupe_testkit::history::Acknowledged;
pub use troupe_testkit::hostile::Chance;

use super::parts::READY;
use super::{connect_to, declaration, done, failed};

const TOLD: &str = "@@told ";
const BEAT: Duration = Duration::from_millis(250);
/// A request that took longer went to somebody who is paused or dead.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
/// How long a write is repeated while its outcome is unknown.
const INSIST_FOR: Duration = Duration::from_secs(90);

#[derive(serde::Serialize, serde::Deserialize)]
enum Told {
    Claimed(TaskId, u64, AgentId),
    Completed(TaskId, u64, Json),
}

fn tell(told: &Told) {
    println!("{TOLD}{}", serde_json::to_string(told).unwrap());
}

/// What the agents of a process were told, read from its output.
pub fn told(output: &str) -> Acknowledged {
    let mut all = Acknowledged::default();
    // What follows the last newline was not written whole.
    let whole = output.rfind('\n').map_or("", |end| &output[..end]);
    for line in whole.lines().filter_map(|line| line.split_once(TOLD).map(|(_, told)| told)) {
        match serde_json::from_str(line).unwrap() {
            Told::Claimed(id, epoch, by) => all.claimed.push((id, epoch, by)),
            Told::Completed(id, epoch, result) => all.completed.push((id, epoch, Some(result))),
        }
    }
    all
}

/// Sends a request again until its outcome is known.
pub async fn insist<E: Endpoint>(
    bus: &Bus,
    request: &E::Request,
    command_id: Option<&str>,
) -> Result<E::Reply, Fault> {
    let end = tokio::time::Instant::now() + INSIST_FOR;
    let options = CallOptions {
        command_id: command_id.map(str::to_owned),
        ..CallOptions::within(ANSWER_WITHIN)
    };
    loop {
        match bus.call_with::<E>(request, &options).await {
            Err(fault) if fault.code.is_transient() && tokio::time::Instant::now() < end => {}
            answer => return answer,
        }
    }
}

pub type Running = Arc<Mutex<BTreeSet<TaskId>>>;

/// Says every [`BEAT`] that the agent is there and what it works on.
pub async fn beat(bus: Bus, running: Running) {
    let mut tick = tokio::time::interval(BEAT);
    loop {
        tick.tick().await;
        let ids = running.lock().iter().cloned().collect();
        let request =
            HeartbeatRequest { running_task_ids: Some(ids), ..HeartbeatRequest::default() };
        let answer = bus
            .call_with::<Heartbeat>(&request, &CallOptions::within(Duration::from_secs(1)))
            .await;
        if answer.is_err_and(|fault| fault.code == Code::NotFound) {
            let _ = bus.call::<Register>(&declaration("implementer", &[])).await;
        }
    }
}

/// Agents, by their names separated by commas, that work for ever.
pub async fn run_all(url: &str, names: &str) {
    let agents = names.split(',').map(|name| run(url.to_owned(), name.to_owned()));
    let agents: Vec<_> = agents.map(tokio::spawn).collect();
    println!("{READY}");
    for agent in agents {
        agent.await.unwrap();
    }
}

async fn run(url: String, name: String) {
    let bus = connect_to(&url, &name).await;
    insist::<Register>(&bus, &declaration("implementer", &[]), None).await.unwrap();
    let running = Running::default();
    tokio::spawn(beat(bus.clone(), running.clone()));
    let mut chance = Chance(u64::from(std::process::id()) ^ (name.len() as u64) << 32);
    for poll in 0_u64.. {
        let command = format!("{name}-{}-{poll}", std::process::id());
        let claimed = match insist::<Next>(&bus, &NextRequest::waiting(500), Some(&command)).await {
            Ok(NextReply { task: Some(claimed) }) => claimed,
            Ok(NextReply { task: None }) => continue,
            Err(fault) => {
                eprintln!("{name}: {fault}");
                tokio::time::sleep(BEAT).await;
                continue;
            }
        };
        let (id, epoch) = (claimed.task.id.clone(), claimed.task.epoch);
        tell(&Told::Claimed(id.clone(), epoch, bus.name().clone()));
        if chance.percent(4) {
            continue; // forgets it: no heartbeat will list it
        }
        running.lock().insert(id.clone());
        attempt(&bus, &HoldRequest { task_id: id.clone(), epoch }, &mut chance).await;
        running.lock().remove(&id);
    }
}

/// One attempt at a task; refusals end it, because the task is somebody else's then.
async fn attempt(bus: &Bus, hold: &HoldRequest, chance: &mut Chance) {
    if insist::<Start>(bus, hold, None).await.is_err() {
        return;
    }
    // The work itself: long enough that some of it is interrupted.
    tokio::time::sleep(Duration::from_millis(chance.next() % 40)).await;
    if chance.percent(5) {
        let _ = insist::<Fail>(bus, &failed(hold, chance.percent(80)), None).await;
    } else if chance.percent(4) {
        let why = ReleaseRequest {
            task_id: hold.task_id.clone(),
            epoch: hold.epoch,
            reason: "another time".into(),
        };
        let _ = insist::<Release>(bus, &why, None).await;
    } else {
        let result = format!("{} by {} at {}", hold.task_id, bus.name(), hold.epoch);
        if insist::<Complete>(bus, &done(hold, &result), None).await.is_ok() {
            tell(&Told::Completed(hold.task_id.clone(), hold.epoch, Json::text(&result)));
        }
    }
}

/// Says the code that each of the five writes of a holder gets.
async fn try_all(bus: &Bus, hold: &HoldRequest, when: &str) {
    let HoldRequest { task_id, epoch } = hold.clone();
    let say = |operation: &str, code: Option<Code>| {
        println!("@@{when} {operation} {}", code.map_or("ok", Code::as_str));
    };
    say("start", refusal(insist::<Start>(bus, hold, None).await));
    let more =
        ExtendRequest { task_id: task_id.clone(), epoch, lease_ms: None, progress_percent: None };
    say("extend", refusal(insist::<Extend>(bus, &more, None).await));
    say("complete", refusal(insist::<Complete>(bus, &done(hold, "stale"), None).await));
    say("fail", refusal(insist::<Fail>(bus, &failed(hold, true), None).await));
    let back = ReleaseRequest { task_id, epoch, reason: String::new() };
    say("release", refusal(insist::<Release>(bus, &back, None).await));
}

/// Holds one task and extends it until that is refused; then tries every write, at once and again
/// when the task is done.
pub async fn cling(url: &str, name: &str) {
    let bus = connect_to(url, name).await;
    bus.call::<Register>(&declaration("implementer", &[])).await.unwrap();
    let poll = NextRequest::waiting(60_000);
    let options = CallOptions::within(Duration::from_secs(61));
    let claimed = bus.call_with::<Next>(&poll, &options).await.unwrap().task.unwrap();
    let running = Running::default();
    running.lock().insert(claimed.task.id.clone());
    tokio::spawn(beat(bus.clone(), running.clone()));
    let hold = super::hold(&claimed);
    insist::<Start>(&bus, &hold, None).await.unwrap();
    let HoldRequest { task_id, epoch } = hold.clone();
    let more = ExtendRequest { task_id, epoch, lease_ms: None, progress_percent: Some(50.0) };
    println!("@@holds {} {epoch}", hold.task_id);
    while insist::<Extend>(&bus, &more, None).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("@@lost it");
    try_all(&bus, &hold, "held-by-another").await;
    println!("@@tried while another holds it");
    let read = TaskRef { task_id: hold.task_id.clone() };
    while insist::<GetTask>(&bus, &read, None).await.unwrap().task.status != TaskStatus::Completed {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    try_all(&bus, &hold, "done-by-another").await;
    println!("@@the end");
}

fn refusal<T>(result: Result<T, Fault>) -> Option<Code> {
    result.err().map(|fault| fault.code)
}
