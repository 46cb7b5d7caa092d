//! Messages by intent: sent to whoever can act on them, taken by that agent, and acknowledged.

use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use troupe_bus::Bus;
use troupe_domain::message::{Fallback, Intent, IntentFilters, MessageSpec};
use troupe_domain::{Json, Name};

use super::options::Sizes;
use super::report::Series;
use super::stack::Stack;
use super::{phrases, posting};
use crate::agents::{Agent, ROLE};
use crate::latency::{Latency, Recorder};

/// Bytes of what a message says beside its intent.
const BODY_BYTES: usize = 256;

/// Messages per second that found their agent.
#[derive(Debug, Clone, Serialize)]
pub struct Messages {
    /// With texts that are known to the letter.
    pub known: Series,
    /// From before it is sent until its acknowledgement is stored, in the last repetition.
    pub known_latency: Latency,
    /// With texts that were never sent before: each is embedded.
    pub new: Series,
    /// The same of those.
    pub new_latency: Latency,
}

/// Measures both in turn.
pub(super) async fn run(
    stack: &Stack,
    senders: &[Bus],
    agents: &[Arc<Agent>],
    texts: &[String],
    sizes: Sizes,
) -> Result<Messages> {
    let Sizes { in_flight, repetitions, span, .. } = sizes;
    let seconds = span.measured.as_secs_f64();
    let (mut known, mut new) = <(Series, Series)>::default();
    let (mut known_latency, mut new_latency) = (Latency::default(), Latency::default());
    let texts: Arc<[String]> = texts.into();
    let fallback = Fallback::Role(Name::parse(ROLE)?);
    for repetition in 1..=repetitions {
        super::say(&format!("messages by intent, {repetition} of {repetitions}"));
        let timed = Arc::<Recorder>::default();
        let shape = shape(texts.clone(), fallback.clone(), |text, _, _| text.to_owned());
        let loaded = posting::run(stack, senders, agents, in_flight, span, shape, &timed).await?;
        known.add(loaded.rounds_per_s, seconds, &loaded.used);
        known_latency = timed.summary();
        let timed = Arc::<Recorder>::default();
        let shape = shape_of_new(texts.clone(), fallback.clone(), repetition);
        let loaded = posting::run(stack, senders, agents, in_flight, span, shape, &timed).await?;
        new.add(loaded.rounds_per_s, seconds, &loaded.used);
        new_latency = timed.summary();
    }
    Ok(Messages { known, known_latency, new, new_latency })
}

fn shape_of_new(
    texts: Arc<[String]>,
    fallback: Fallback,
    repetition: usize,
) -> impl posting::Shape {
    let apart = repetition * 10_000_000;
    shape(texts, fallback, move |text, worker, round| {
        phrases::new(text, apart + worker * 100_000 + round)
    })
}

fn shape(
    texts: Arc<[String]>,
    fallback: Fallback,
    say: impl Fn(&str, usize, usize) -> String + Clone + Send + 'static,
) -> impl posting::Shape {
    let body = Json::text(&"x".repeat(BODY_BYTES));
    move |worker: usize, round: usize| MessageSpec {
        intent: Some(Intent {
            text: say(&texts[(worker + round) % texts.len()], worker, round),
            filters: IntentFilters::default(),
            // Whoever is not sure of a text must not end the run.
            fallback: Some(fallback.clone()),
        }),
        subject: posting::subject(worker),
        body: Some(body.clone()),
        ..MessageSpec::default()
    }
}
