//! How far events lie behind: an answer is given before the events that follow from it are published,
//! so a rate is only sustained if they keep up.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_nats::jetstream;
use tokio::time::Instant;
use troupe_contract::stream;

use crate::stack::Stack;

/// Nothing new for so long: everything is published.
const QUIET: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_mins(10);

/// Waits until events come no more; seconds from now to the last one.
pub(super) async fn events(stack: &Stack) -> Result<f64> {
    let context = jetstream::new(async_nats::connect(stack.nats.url()).await?);
    let mut events = context.get_stream(stream::events().name).await.context("the events")?;
    let began = Instant::now();
    let (mut last, mut since) = (0, began);
    while since.elapsed() < QUIET {
        if began.elapsed() > LIMIT {
            bail!("events were still published {} s after the load", LIMIT.as_secs());
        }
        let sequence = events.info().await.context("the events")?.state.last_sequence;
        if sequence != last {
            (last, since) = (sequence, Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(since.duration_since(began).as_secs_f64())
}
