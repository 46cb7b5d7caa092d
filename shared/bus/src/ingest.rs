//! Rounds of messages with one acknowledgement: JetStream's fast ingest (ADR-50, server 2.14 or newer).
//!
//! Each message of a round names its place in its reply subject,
//! `<inbox>.<flow>.fail.<place>.<operation>.$FI`; the inbox's last token, which is unique, is the
//! round's id in the whole stream. The server stores what comes in order, and
//! ends the round at the first gap. The last message commits: its acknowledgement says how many of the
//! round are stored, and only a full count counts.

use serde::Deserialize;

use crate::connect::Bus;
use crate::flock::Message;
use crate::lines::{Line, Lines, Silence};
use crate::log::{APPEND_TIMEOUT, Ack};
use crate::port::AppendError;

/// The server may acknowledge the progress of a round this seldom; nobody here waits for it.
const FLOW_MESSAGES: u16 = u16::MAX;

const START: u8 = 0;
const APPEND: u8 = 1;
const COMMIT: u8 = 2;

/// What the server says of a round: its progress, a gap, an error, or the end.
#[derive(Deserialize)]
struct Word {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    count: usize,
    #[serde(flatten)]
    ack: Ack,
}

/// Stores `messages`, at least two, in order; returns when all of them are stored.
pub(crate) async fn publish_round(
    bus: &Bus,
    lines: &Lines,
    messages: &[Message],
) -> Result<(), AppendError> {
    let mut line = lines.take(bus).await.map_err(|why| unknown(&why))?;
    publish_on(&mut line, bus, messages).await?;
    lines.give_back(line);
    Ok(())
}

async fn publish_on(line: &mut Line, bus: &Bus, messages: &[Message]) -> Result<(), AppendError> {
    let round = line.exchange(bus);
    for (index, message) in messages.iter().enumerate() {
        let operation = match index {
            _ if index + 1 == messages.len() => COMMIT,
            0 => START,
            _ => APPEND,
        };
        let place = index + 1;
        let reply = format!("{round}.{FLOW_MESSAGES}.fail.{place}.{operation}.$FI");
        let (subject, body) = (message.subject.clone(), message.body.clone());
        bus.client.publish_with_reply(subject, reply, body).await.map_err(|why| unknown(&why))?;
    }
    loop {
        let word = line.next(&round, APPEND_TIMEOUT).await.map_err(|silence| match silence {
            Silence::Unheard => AppendError::Refused("no stream listens".to_owned()),
            Silence::TimedOut => unknown(&"no acknowledgement of the round came in time"),
            Silence::Closed => unknown(&"the connection ended"),
        })?;
        let word: Word = serde_json::from_slice(&word.payload).map_err(|why| unknown(&why))?;
        match (&*word.kind, word.ack.error) {
            ("ack", _) => {}
            (_, Some(error)) => return Err(AppendError::Refused(error.description)),
            ("gap", _) => return Err(unknown(&"messages of the round were lost")),
            _ if word.count == messages.len() => return Ok(()),
            _ => return Err(unknown(&format!("{} of {} are stored", word.count, messages.len()))),
        }
    }
}

fn unknown(why: &dyn std::fmt::Display) -> AppendError {
    AppendError::Unknown(why.to_string())
}
