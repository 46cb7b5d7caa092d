//! Reports: as many as go, and one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use troupe_contract::progress::{Report, ReportRequest};
use troupe_domain::Name;

use super::holders::{Held, Holders};
use super::options::Sizes;
use crate::agents::ask;
use crate::latency::{Latency, Recorder};
use crate::load::{Loaded, closed_loop};
use crate::stack::Stack;

/// What an agent says of its work, about as long as people's and models' reports are.
const MESSAGE: &str = "parsed the grammar, wrote the tests that were missing, two of them fail";
/// A task moves on by so much with a report: a thousand of them are a whole task.
const STEP: f64 = 0.1;
const FULL: f64 = 100.0;

/// The report number `number` of a task. What was done stays done: it never goes down.
pub(super) fn request(held: &Held, number: u64) -> ReportRequest {
    ReportRequest {
        percentage: Some((number as f64 * STEP).min(FULL)),
        message: MESSAGE.to_owned(),
        ..ReportRequest::new(held.task.clone(), held.epoch)
    }
}

/// Bytes of a report's body.
pub(super) fn body_bytes() -> usize {
    let task = "01JZZZZZZZZZZZZZZZZZZZZZZZ";
    let held = Name::parse(task).map(|task| Held { task, epoch: 1, agent: 0 });
    let body = held.ok().and_then(|held| serde_json::to_vec(&request(&held, 1)).ok());
    body.map_or(0, |body| body.len())
}

/// One report a round, each task in turn.
pub(super) async fn run(
    stack: &Stack,
    holders: &Holders,
    sizes: &Sizes,
) -> Result<(Loaded, Latency)> {
    let recorder = Arc::new(Recorder::default());
    // Each worker has tasks of its own: of one task the reports come one after the other.
    let per_task = holders.reports().await? / holders.held.len() as u64 + 1;
    let others = stack.others();
    let loaded = closed_loop(sizes.in_flight, sizes.span, &others, |worker, phase| {
        let own: Vec<Held> =
            holders.held.iter().skip(worker).step_by(sizes.in_flight).cloned().collect();
        let buses: Vec<_> = own.iter().map(|held| holders.agents[held.agent].bus.clone()).collect();
        let (recorder, rounds) = (recorder.clone(), AtomicU64::new(0));
        move || {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let place = round as usize % own.len().max(1);
            let number = per_task + round / own.len().max(1) as u64;
            let one = own.get(place).map(|held| (buses[place].clone(), request(held, number)));
            let (phase, recorder) = (phase.clone(), recorder.clone());
            async move {
                let Some((bus, request)) = one else {
                    tokio::task::yield_now().await;
                    return Ok(());
                };
                let began = Instant::now();
                // Whoever reported more often in another repetition is further on already.
                ask_upwards(&bus, request).await?;
                if phase.measuring() {
                    recorder.record(began.elapsed());
                }
                Ok(())
            }
        }
    });
    Ok((loaded.await?, recorder.summary()))
}

/// A report that says again where the task is, if that is further than it would say.
async fn ask_upwards(bus: &troupe_bus::Bus, request: ReportRequest) -> Result<()> {
    let known = bus.call::<Report>(&request).await;
    match known {
        Ok(_) => Ok(()),
        Err(fault) if fault.details.contains_key("percentage") => {
            let request = ReportRequest { percentage: None, ..request };
            ask::<Report>(bus, &request).await.map(|_| ())
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Reports one by one, while nothing else happens.
pub(super) async fn idle(holders: &Holders, rounds: usize) -> Result<Latency> {
    let recorder = Recorder::default();
    for held in holders.held.iter().cycle().take(rounds) {
        let bus = &holders.agents[held.agent].bus;
        let request = ReportRequest { percentage: None, ..request(held, 0) };
        let began = Instant::now();
        ask::<Report>(bus, &request).await?;
        recorder.record(began.elapsed());
    }
    Ok(recorder.summary())
}
