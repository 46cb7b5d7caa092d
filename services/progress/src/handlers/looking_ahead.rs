//! Bottlenecks and estimates: the state gives what they rest on, and is not held up by the arithmetic.

use std::sync::Arc;

use troupe_bus::Call;
use troupe_contract::progress::{
    BottlenecksReply, BottlenecksRequest, EstimateReply, EstimateRequest, Over,
};
use troupe_domain::{Code, Fault};

use super::{Progress, answer_of, deadline, page_rows};
use crate::rules::bottlenecks as rules;
use crate::rules::estimate::{self, MAX_WORKERS};
use crate::rules::network::Network;
use crate::rules::reads::set_of;
use crate::rules::request::ProgressRequest;

/// `progress.bottlenecks`
pub async fn bottlenecks(
    progress: &Progress,
    call: Call<BottlenecksRequest>,
) -> Result<BottlenecksReply, Fault> {
    let limit = page_rows(call.request.limit, 10)?;
    let network = network(progress, call.request.over(), deadline(&call)).await?;
    aside(move || rules::bottlenecks(&network, limit)).await
}

/// `progress.estimate`
pub async fn estimate(
    progress: &Progress,
    call: Call<EstimateRequest>,
) -> Result<EstimateReply, Fault> {
    let workers = call.request.workers;
    if workers.is_some_and(|workers| !(1..=MAX_WORKERS).contains(&workers)) {
        let why = format!("must be within 1 and {MAX_WORKERS}");
        return Err(Fault::invalid("workers", why));
    }
    let seed = call.request.seed.unwrap_or_else(|| progress.world.random() as u64 >> 11);
    let network = network(progress, call.request.over(), deadline(&call)).await?;
    aside(move || estimate::estimate(&network, workers, seed)).await
}

async fn network(
    progress: &Progress,
    over: Over,
    until: tokio::time::Instant,
) -> Result<Arc<Network>, Fault> {
    set_of(&over)?;
    answer_of!(progress.ask(ProgressRequest::Network { over }, until).await?, Network)
}

/// Computes where it holds up no other request.
async fn aside<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let computed = tokio::task::spawn_blocking(compute).await;
    computed.map_err(|why| Fault::new(Code::Internal, why.to_string()))
}
