//! Mailboxes beside raw JetStream: a message is sent, taken by its recipient, and acknowledged; same
//! server, same bytes, same connections, same number at once.

use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use troupe_bus::Bus;
use troupe_domain::message::MessageSpec;
use troupe_domain::{Json, Name};

use super::options::Sizes;
use super::report::Series;
use super::stack::Stack;
use super::{posting, raw_mail};
use crate::agents::Agent;
use crate::latency::{Latency, Recorder};

/// Bytes of what a sender says, and of a raw message.
pub(super) const BODY_BYTES: usize = 512;

/// Messages per second, ours and raw.
#[derive(Debug, Clone, Serialize)]
pub struct Mailboxes {
    /// Bytes of a raw message, and of what is said to `routing.send`.
    pub body_bytes: usize,
    /// Publish, pull, acknowledge.
    pub raw: Series,
    /// From before it is published until it is acknowledged, in the last repetition.
    pub raw_latency: Latency,
    /// Send, inbox, ack.
    pub mailboxes: Series,
    /// From before it is sent until its acknowledgement is stored, in the last repetition.
    pub latency: Latency,
    /// The medians' ratio, mailboxes to raw.
    pub ratio: f64,
}

/// Measures both in turn.
pub(super) async fn run(
    stack: &Stack,
    senders: &[Bus],
    agents: &[Arc<Agent>],
    sizes: Sizes,
) -> Result<Mailboxes> {
    let Sizes { connections, in_flight, repetitions, span, .. } = sizes;
    let seconds = span.measured.as_secs_f64();
    let (mut raw, mut ours) = <(Series, Series)>::default();
    let (mut raw_latency, mut latency) = (Latency::default(), Latency::default());
    let shape = shape(agents.iter().map(|agent| agent.bus.name().clone()).collect())?;
    for repetition in 1..=repetitions {
        super::say(&format!("mailboxes, {repetition} of {repetitions}"));
        let timed = Arc::<Recorder>::default();
        let loaded = raw_mail::run(stack, connections, in_flight, BODY_BYTES, span, &timed).await?;
        raw.add(loaded.rounds_per_s, seconds, &loaded.used);
        raw_latency = timed.summary();
        let timed = Arc::<Recorder>::default();
        let shape = shape.clone();
        let loaded = posting::run(stack, senders, agents, in_flight, span, shape, &timed).await?;
        ours.add(loaded.rounds_per_s, seconds, &loaded.used);
        latency = timed.summary();
    }
    Ok(Mailboxes {
        body_bytes: BODY_BYTES,
        ratio: ours.median_per_s / raw.median_per_s.max(1.0),
        raw,
        raw_latency,
        mailboxes: ours,
        latency,
    })
}

/// Messages to the agents in turn, of [`BODY_BYTES`] each, about: a worker's number has one to four
/// digits.
fn shape(agents: Vec<Name>) -> Result<impl posting::Shape> {
    let longest = agents.iter().max_by_key(|name| name.as_str().len()).cloned();
    let mut template = MessageSpec {
        recipient_id: longest,
        subject: posting::subject(0),
        body: Some(Json::text("")),
        ..MessageSpec::default()
    };
    let bare = serde_json::to_vec(&template)?.len();
    template.body = Some(Json::text(&"x".repeat(BODY_BYTES.saturating_sub(bare))));
    Ok(move |worker: usize, round: usize| MessageSpec {
        recipient_id: agents.get((worker + round) % agents.len().max(1)).cloned(),
        subject: posting::subject(worker),
        ..template.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_size_that_is_stated() {
        let agents = ["agent-0", "agent-1"].map(|name| Name::parse(name).unwrap());
        let shape = shape(agents.to_vec()).unwrap();
        let message = shape(3, 1);
        assert_eq!(serde_json::to_vec(&message).unwrap().len(), BODY_BYTES);
        assert_eq!(message.recipient_id.unwrap().as_str(), "agent-0");
        assert_eq!(message.subject, "3");
    }
}
