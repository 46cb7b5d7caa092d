//! The raw baseline: what the same server does for someone who writes each task four times by
//! compare-and-set on the task's own subject, and does nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use async_nats::jetstream;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};
use bytes::Bytes;

use super::shape::BODY_BYTES;
use crate::load::{Loaded, Span, closed_loop};
use crate::stack::Stack;

/// Writes per task: one for each of created, claimed, started, completed.
const WRITES_PER_TASK: usize = 4;
const STREAM: &str = "BENCH_RAW";

/// Four writes per task, `in_flight` tasks at once, over `connections` connections.
pub(super) async fn run(
    stack: &Stack,
    connections: usize,
    in_flight: usize,
    span: Span,
) -> Result<Loaded> {
    let mut contexts = Vec::new();
    for _ in 0..connections {
        contexts.push(jetstream::new(async_nats::connect(stack.nats.url()).await?));
    }
    let jetstream = contexts.first().context("at least one connection")?.clone();
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["bench.raw.*".to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        ..Config::default()
    };
    jetstream.create_stream(config).await.context("the baseline's stream")?;
    let next = Arc::new(AtomicU64::new(0));
    let body = Bytes::from(vec![b'x'; BODY_BYTES]);
    let others = stack.others();
    let loaded = closed_loop(in_flight, span, &others, |worker, _| {
        let context = contexts[worker % connections].clone();
        let (next, body) = (next.clone(), body.clone());
        move || {
            let (context, body) = (context.clone(), body.clone());
            let subject = format!("bench.raw.{}", next.fetch_add(1, Ordering::Relaxed));
            async move { one_task(&context, subject, body).await }
        }
    });
    let loaded = loaded.await;
    // Whatever comes next must not carry this stream along.
    jetstream.delete_stream(STREAM).await.context("removing the baseline's stream")?;
    loaded
}

async fn one_task(context: &jetstream::Context, subject: String, body: Bytes) -> Result<()> {
    let mut sequence = 0;
    for _ in 0..WRITES_PER_TASK {
        let write =
            PublishMessage::build().payload(body.clone()).expected_last_subject_sequence(sequence);
        sequence = context.send_publish(subject.clone(), write).await?.await?.sequence;
    }
    Ok(())
}
