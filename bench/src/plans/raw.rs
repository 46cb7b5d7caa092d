//! The raw baseline: acknowledged publishes to a stream of files, and nothing else.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, StorageType};
use bytes::Bytes;

use super::options::Sizes;
use crate::latency::{Latency, Recorder};
use crate::load::{Loaded, closed_loop};

const STREAM: &str = "BENCH_RAW_PLANS";
const SUBJECT: &str = "bench.raw.plans";

/// One publish a round.
pub(super) async fn run(
    url: &str,
    others: &[(&str, u32)],
    sizes: Sizes,
    body_bytes: usize,
) -> Result<(Loaded, Latency)> {
    let mut contexts = Vec::new();
    for _ in 0..sizes.connections {
        contexts.push(jetstream::new(async_nats::connect(url).await?));
    }
    let jetstream = contexts.first().context("at least one connection")?.clone();
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        ..Config::default()
    };
    jetstream.create_stream(config).await.context("the baseline's stream")?;
    let recorder = Arc::new(Recorder::default());
    let body = Bytes::from(vec![b'x'; body_bytes]);
    let loaded = closed_loop(sizes.in_flight, sizes.span, others, |worker, phase| {
        let context = contexts[worker % contexts.len()].clone();
        let (body, recorder) = (body.clone(), recorder.clone());
        move || {
            let (context, body) = (context.clone(), body.clone());
            let (phase, recorder) = (phase.clone(), recorder.clone());
            async move {
                let began = Instant::now();
                context.publish(SUBJECT, body).await?.await?;
                if phase.measuring() {
                    recorder.record(began.elapsed());
                }
                Ok(())
            }
        }
    });
    let loaded = loaded.await;
    // Whatever comes next must not carry this stream along.
    jetstream.delete_stream(STREAM).await.context("removing the baseline's stream")?;
    Ok((loaded?, recorder.summary()))
}
