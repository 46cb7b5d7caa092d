//! Summaries over the same tasks while their history grows.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::task::JoinSet;
use troupe_bus::Bus;
use troupe_contract::progress::{
    Bottlenecks, BottlenecksRequest, Estimate, EstimateRequest, Report, ReportRequest, Summary,
    SummaryRequest,
};

use super::holders::{Held, Holders};
use super::options::Sizes;
use super::reports::request;
use crate::agents::ask;
use crate::latency::{Latency, Recorder};

/// Reads of what takes longer.
const FEW: usize = 20;

/// What reading costs with a history.
#[derive(Debug, Clone, Serialize)]
pub struct Summaries {
    /// Reports that were ever stored.
    pub reports: u64,
    /// Over the graph that the tasks are.
    pub of_the_graph: Latency,
    /// Over the same tasks, each named.
    pub of_named_tasks: Latency,
    /// The worst bottlenecks and the critical path of the graph.
    pub bottlenecks: Latency,
    /// An estimate over the graph.
    pub estimate: Latency,
    /// Resident bytes of the whole process, with its agents.
    pub resident_bytes: Option<u64>,
}

/// Brings the history to `reports`, and measures.
pub(super) async fn run(holders: &Holders, reports: u64, sizes: &Sizes) -> Result<Summaries> {
    fill(holders, reports, sizes.in_flight).await?;
    let graph = Some(holders.graph.clone());
    let over = SummaryRequest { graph_id: graph.clone(), ..SummaryRequest::default() };
    let of_the_graph = timed::<Summary>(holders, &over, sizes.rounds).await?;
    let task_ids = holders.held.iter().map(|held| held.task.clone()).collect();
    let named = SummaryRequest { task_ids, ..SummaryRequest::default() };
    let of_named_tasks = timed::<Summary>(holders, &named, FEW.min(sizes.rounds)).await?;
    let over = BottlenecksRequest { graph_id: graph.clone(), ..BottlenecksRequest::default() };
    let bottlenecks = timed::<Bottlenecks>(holders, &over, FEW).await?;
    let over = EstimateRequest { graph_id: graph, seed: Some(7), ..EstimateRequest::default() };
    let estimate = timed::<Estimate>(holders, &over, FEW).await?;
    Ok(Summaries {
        reports: holders.reports().await?,
        of_the_graph,
        of_named_tasks,
        bottlenecks,
        estimate,
        resident_bytes: crate::processes::resident_bytes(),
    })
}

async fn fill(holders: &Holders, wanted: u64, in_flight: usize) -> Result<()> {
    let missing = wanted.saturating_sub(holders.reports().await?);
    let rounds = missing.div_ceil(holders.held.len() as u64);
    let mut sending = JoinSet::new();
    for worker in 0..in_flight.min(holders.held.len()) {
        let own = holders.held.iter().skip(worker).step_by(in_flight);
        let own = own.map(|held| (holders.agents[held.agent].bus.clone(), held.clone())).collect();
        sending.spawn(send(own, rounds));
    }
    while let Some(sent) = sending.join_next().await {
        sent.context("a worker panicked")??;
    }
    let reports = holders.reports().await?;
    ensure!(reports >= wanted, "{reports} of {wanted} reports are stored");
    Ok(())
}

/// So many reports of each task.
async fn send(own: Vec<(Bus, Held)>, rounds: u64) -> Result<()> {
    for _ in 0..rounds {
        for (bus, held) in &own {
            // With an expectation, so that estimates have something to stand on.
            let request = ReportRequest {
                percentage: None,
                estimated_remaining_minutes: Some(5.0),
                ..request(held, 0)
            };
            ask::<Report>(bus, &request).await?;
        }
    }
    Ok(())
}

async fn timed<E: troupe_contract::Endpoint>(
    holders: &Holders,
    request: &E::Request,
    rounds: usize,
) -> Result<Latency> {
    let recorder = Recorder::default();
    for _ in 0..rounds {
        let began = Instant::now();
        ask::<E>(&holders.operator, request).await?;
        recorder.record(began.elapsed());
    }
    Ok(recorder.summary())
}
