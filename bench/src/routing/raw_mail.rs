//! The raw baseline: what the same server does for someone who publishes each message to a stream,
//! takes it with a pull consumer of the recipient's, acknowledges it, and does nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use bytes::Bytes;
use futures::StreamExt;
use tokio::task::JoinSet;

use super::posting::Arrivals;
use super::stack::Stack;
use crate::latency::Recorder;
use crate::load::{Loaded, Span, closed_loop};

const STREAM: &str = "BENCH_MAIL";
/// Bytes of a payload that say whose message it is.
const WORKER_BYTES: usize = size_of::<u32>();
/// Messages that a recipient may have before it acknowledges them.
const OUT_MAX: i64 = 4_096;
const ACK_WAIT: Duration = Duration::from_secs(30);

/// Messages of `body_bytes` by `in_flight` workers over `connections` connections, to as many
/// recipients with a connection each.
pub(super) async fn run(
    stack: &Stack,
    connections: usize,
    in_flight: usize,
    body_bytes: usize,
    span: Span,
    until_acknowledged: &Arc<Recorder>,
) -> Result<Loaded> {
    let mut senders = Vec::with_capacity(connections);
    for _ in 0..connections {
        senders.push(jetstream::new(async_nats::connect(stack.nats.url()).await?));
    }
    let jetstream = senders.first().context("at least one connection")?.clone();
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["bench.mail.*".to_owned()],
        storage: StorageType::File,
        num_replicas: 1,
        // What was acknowledged is gone, as it is from a mailbox.
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    jetstream.create_stream(config).await.context("the baseline's stream")?;
    let arrivals = Arrivals::new(in_flight);
    // They end with this function.
    let mut takers = JoinSet::new();
    for number in 0..connections {
        let consumer = recipient(&stack.nats.url(), number).await?;
        let arrivals = arrivals.clone();
        takers.spawn(async move {
            if let Err(why) = take(consumer, &arrivals).await {
                arrivals.fail(&why);
            }
        });
    }
    let body = |worker: usize| {
        let mut body = vec![b'x'; body_bytes.max(WORKER_BYTES)];
        body[..WORKER_BYTES].copy_from_slice(&(worker as u32).to_be_bytes());
        Bytes::from(body)
    };
    let others = stack.others();
    let loaded = closed_loop(in_flight, span, &others, |worker, phase| {
        let (context, body) = (senders[worker % connections].clone(), body(worker));
        let (arrivals, recorder) = (arrivals.clone(), until_acknowledged.clone());
        let mut round = worker;
        move || {
            round += 1;
            let subject = format!("bench.mail.{}", round % connections);
            let (context, body) = (context.clone(), body.clone());
            let (arrivals, recorder) = (arrivals.clone(), recorder.clone());
            let phase = phase.clone();
            async move {
                let began = Instant::now();
                context.publish(subject, body).await?.await?;
                arrivals.wait(worker).await?;
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
    loaded
}

/// The consumer of one recipient, on a connection of its own.
async fn recipient(url: &str, number: usize) -> Result<PullConsumer> {
    let context = jetstream::new(async_nats::connect(url).await?);
    let stream = context.get_stream(STREAM).await?;
    let config = pull::Config {
        durable_name: Some(format!("recipient-{number}")),
        filter_subject: format!("bench.mail.{number}"),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: OUT_MAX,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.context("the baseline's consumer")
}

/// Takes messages and acknowledges them; does not wait for the server to say so.
async fn take(consumer: PullConsumer, arrivals: &Arrivals) -> Result<()> {
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        message.ack().await.map_err(|why| anyhow::anyhow!("acknowledging: {why}"))?;
        let worker = message.payload.first_chunk::<WORKER_BYTES>().copied().map(u32::from_be_bytes);
        arrivals.tell(worker.context("a message without its worker")? as usize);
    }
    anyhow::bail!("the baseline's consumer ended")
}
