//! One thread that runs batches until the queue is closed and empty.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use troupe_domain::{Code, Fault};

use crate::Embedding;
use crate::queue::{Job, Queue};
use crate::session::Session;

/// Runs until the queue is closed and empty.
pub(crate) fn run(queue: &Queue, session: &mut Session, max_batch: usize) {
    while let Some(jobs) = queue.next_batch(max_batch) {
        answer(queue, session, jobs);
    }
}

fn answer(queue: &Queue, session: &mut Session, jobs: Vec<Job>) {
    match embed(queue, session, &jobs) {
        Ok(embeddings) => {
            queue.counters.texts.fetch_add(jobs.len() as u64, Relaxed);
            for (job, embedding) in jobs.into_iter().zip(embeddings) {
                // Whoever gave up meanwhile does not mind.
                let _ = job.reply.send(Ok(embedding));
            }
        }
        // One text that the model cannot take must not fail its neighbours.
        Err(_) if jobs.len() > 1 => {
            for job in jobs {
                answer(queue, session, vec![job]);
            }
        }
        Err(why) => {
            tracing::error!(%why, "a text could not be embedded");
            queue.counters.failed.fetch_add(jobs.len() as u64, Relaxed);
            for job in jobs {
                let fault = Fault::new(Code::Internal, format!("the model failed: {why}"));
                let _ = job.reply.send(Err(fault));
            }
        }
    }
}

fn embed(queue: &Queue, session: &mut Session, jobs: &[Job]) -> Result<Vec<Embedding>, String> {
    let texts: Vec<&str> = jobs.iter().map(|job| job.text.as_str()).collect();
    let began = Instant::now();
    // A panic in the model costs the batch, not the thread that everybody else waits for.
    let embedded = catch_unwind(AssertUnwindSafe(|| session.embed(&texts)))
        .unwrap_or_else(|_| Err("it panicked".to_owned()));
    let busy_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    queue.counters.busy_us.fetch_add(busy_us, Relaxed);
    queue.counters.batches.fetch_add(1, Relaxed);
    embedded
}
