//! One graph of ten thousand tasks: taken in one request, and run through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::JoinSet;
use troupe_bus::Bus;
use troupe_contract::work::{CreateGraph, GraphSpec, Next, NextRequest};
use troupe_domain::Name;
use troupe_domain::task::spec::{DependencySpec, TaskSpec};

use super::shape::{Shape, result};
use crate::agents::{Agent, ask};

/// Tasks side by side; each depends on two of the layer before.
const WIDTH: usize = 100;
/// How long a worker waits before it looks whether everything is done.
const WAIT_MS: u64 = 250;

/// What became of the graph.
#[derive(Debug, Clone, Serialize)]
pub struct Graph {
    /// Its tasks.
    pub tasks: usize,
    /// Its edges.
    pub dependencies: usize,
    /// Bytes of the request.
    pub request_bytes: usize,
    /// From the request to its answer.
    pub submit_s: f64,
    /// From the answer to the end of the last task.
    pub run_s: f64,
    /// Tasks per second while it ran.
    pub tasks_per_s: f64,
}

/// Submits a graph of `tasks` tasks in layers, and works it off with `in_flight` workers.
pub(super) async fn run(
    creator: &Bus,
    agents: &[Arc<Agent>],
    tasks: usize,
    in_flight: usize,
) -> Result<Graph> {
    let graph = layers(tasks)?;
    let dependencies = graph.tasks.iter().map(|task| task.depends_on.len()).sum();
    let request_bytes = serde_json::to_vec(&graph)?.len();
    let began = Instant::now();
    ask::<CreateGraph>(creator, &graph).await?;
    let submit_s = began.elapsed().as_secs_f64();

    let began = Instant::now();
    let left = Arc::new(AtomicUsize::new(tasks));
    let mut workers = JoinSet::new();
    for number in 0..in_flight {
        let (agent, left) = (agents[number % agents.len()].clone(), left.clone());
        workers.spawn(async move {
            while left.load(Ordering::Relaxed) > 0 {
                let poll = NextRequest::waiting(WAIT_MS);
                let reply = ask::<Next>(&agent.bus, &poll).await?;
                let Some(claimed) = reply.task else { continue };
                agent.finish(&claimed, result()).await?;
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    return Ok(Some(Instant::now()));
                }
            }
            anyhow::Ok(None)
        });
    }
    let mut end = None;
    while let Some(ended) = workers.join_next().await {
        end = end.or(ended.context("a worker panicked")??);
    }
    let run_s = end.context("nobody finished the last task")?.duration_since(began).as_secs_f64();
    let tasks_per_s = tasks as f64 / run_s;
    Ok(Graph { tasks, dependencies, request_bytes, submit_s, run_s, tasks_per_s })
}

fn layers(tasks: usize) -> Result<GraphSpec> {
    let shape = Shape::in_graph()?;
    let key = |number: usize| Name::parse(&format!("t{number}"));
    let mut graph = GraphSpec::default();
    for number in 0..tasks {
        let depends_on = match number.checked_sub(WIDTH) {
            None => Vec::new(),
            Some(above) => {
                let beside = above - above % WIDTH + (above + 1) % WIDTH;
                vec![DependencySpec::Plain(key(above)?), DependencySpec::Plain(key(beside)?)]
            }
        };
        graph.tasks.push(TaskSpec { key: Some(key(number)?), depends_on, ..shape.task(number) });
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_rests_on_the_one_before() {
        let graph = layers(2 * WIDTH + 1).unwrap();
        assert!(graph.tasks[..WIDTH].iter().all(|task| task.depends_on.is_empty()));
        let names: Vec<_> =
            graph.tasks[2 * WIDTH - 1].depends_on.iter().map(|edge| edge.task().as_str()).collect();
        assert_eq!(names, ["t99", "t0"]);
        troupe_domain::graph::check(graph.tasks).unwrap();
    }
}
