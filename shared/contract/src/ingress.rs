//! How messages that agents publish themselves come in.
//!
//! Each way has a stream. Its subject transform puts a message under the shard that handles it, so
//! that the shard's owner reads its own part, in the order in which the server stored it. The server
//! picks the shard with `partition`, which is FNV-1a of 32 bits over the key, modulo the shards:
//! [`partition`] is the same function, so that what comes through an endpoint goes to the same shard.

use troupe_domain::{AgentId, Name, Topic};

use crate::stream::{MIB, StreamSpec, Transform, WhenFull};
use crate::subject::PREFIX;

/// A way to publish a message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `troupe.v1.agent.<recipient>.inbox.<sender>`
    Inbox,
    /// `troupe.v1.topic.<name>….<sender>`
    Topic,
    /// `troupe.v1.broadcast.<sender>`
    Broadcast,
    /// `troupe.v1.intent.<sender>`
    Intent,
}

/// Where a message came from, and for whom it is, as its subject says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// Who published it.
    pub sender: AgentId,
    /// For whom.
    pub target: Target,
}

/// For whom a message is, as its subject says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One agent.
    Agent(AgentId),
    /// Whoever follows a topic.
    Topic(Topic),
    /// Everybody.
    Everybody,
    /// Whoever can act on it.
    Anybody,
}

/// FNV-1a of 32 bits modulo `shards`: what the server's subject transforms call `partition`.
pub fn partition(key: &str, shards: u16) -> u16 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in key.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    (hash % u32::from(shards.max(1))) as u16
}

/// The shard of an agent's mailbox, and of what it sends to everybody or to whoever can act.
pub fn shard_of_agent(agent: &AgentId, shards: u16) -> u16 {
    partition(agent.as_str(), shards)
}

/// The shard that handles what `sender` says on a topic: the key is the whole subject, because the
/// server cannot name the last token of a subject of any length.
pub fn shard_of_topic(topic: &Topic, sender: &AgentId, shards: u16) -> u16 {
    partition(&topic_subject(topic, sender), shards)
}

/// `troupe.v1.topic.<name>….<sender>`
pub fn topic_subject(topic: &Topic, sender: &AgentId) -> String {
    format!("{PREFIX}.topic.{topic}.{sender}")
}

/// `troupe.v1.agent.<recipient>.inbox.<sender>`
pub fn inbox_subject(recipient: &AgentId, sender: &AgentId) -> String {
    format!("{PREFIX}.agent.{recipient}.inbox.{sender}")
}

/// `troupe.v1.broadcast.<sender>`
pub fn broadcast_subject(sender: &AgentId) -> String {
    format!("{PREFIX}.broadcast.{sender}")
}

/// `troupe.v1.intent.<sender>`
pub fn intent_subject(sender: &AgentId) -> String {
    format!("{PREFIX}.intent.{sender}")
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Inbox, Self::Topic, Self::Broadcast, Self::Intent];

    /// The token in stored subjects.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Topic => "topic",
            Self::Broadcast => "broadcast",
            Self::Intent => "intent",
        }
    }

    /// What one shard reads of the stream.
    pub fn filter(self, shard: u16) -> String {
        format!("{PREFIX}.ingress.{}.{shard}.>", self.token())
    }

    /// The stream.
    pub fn stream(self, shards: u16) -> StreamSpec {
        let token = self.token();
        let ingress = format!("{PREFIX}.ingress.{token}");
        let (source, destination, mebibytes) = match self {
            Self::Inbox => (
                format!("{PREFIX}.agent.*.inbox.*"),
                format!(
                    "{ingress}.{{{{partition({shards},1)}}}}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}"
                ),
                256,
            ),
            Self::Topic => {
                let stem = format!("{ingress}.{{{{partition({shards})}}}}");
                (format!("{PREFIX}.topic.>"), format!("{stem}.>"), 128)
            }
            Self::Broadcast | Self::Intent => (
                format!("{PREFIX}.{token}.*"),
                format!("{ingress}.{{{{partition({shards},1)}}}}.{{{{wildcard(1)}}}}"),
                64,
            ),
        };
        StreamSpec {
            name: format!("TROUPE_INGRESS_{}", token.to_uppercase()),
            description: format!(
                "What agents publish to `{source}`, until routing has taken it in."
            ),
            subjects: vec![source.clone()],
            max_messages_per_subject: 0,
            max_bytes: mebibytes * MIB,
            max_age_s: 7 * 24 * 3600,
            when_full: WhenFull::Refuse,
            duplicate_window_s: 120,
            metadata: vec![("troupe.shards", shards.to_string())],
            transform: Some(Transform { source, destination }),
        }
    }

    /// Reads a stored subject; none if it is not one, because a name in it is no name.
    pub fn origin(self, stored: &str) -> Option<Origin> {
        let rest = stored.strip_prefix(&format!("{PREFIX}.ingress.{}.", self.token()))?;
        let (_shard, rest) = rest.split_once('.')?;
        let name = |text: &str| Name::parse(text).ok();
        match self {
            Self::Inbox => {
                let (recipient, sender) = rest.split_once('.')?;
                Some(Origin { sender: name(sender)?, target: Target::Agent(name(recipient)?) })
            }
            Self::Topic => {
                let (topic, sender) = rest.rsplit_once('.')?;
                let topic = Topic::parse(topic).ok()?;
                Some(Origin { sender: name(sender)?, target: Target::Topic(topic) })
            }
            Self::Broadcast => Some(Origin { sender: name(rest)?, target: Target::Everybody }),
            Self::Intent => Some(Origin { sender: name(rest)?, target: Target::Anybody }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the server's own tests of its subject transforms.
    #[test]
    fn the_partition_is_the_servers() {
        assert_eq!(["foo", "baz", "qux"].map(|key| partition(key, 10)), [3, 0, 9]);
        assert_eq!(partition("foo.bar", 10), 6);
        assert_eq!(partition("test.subject", 5), 0);
    }

    #[test]
    fn a_stored_subject_is_read_back() {
        let name = |text| Name::parse(text).unwrap();
        let stored = "troupe.v1.ingress.topic.3.deploy.eu.ann";
        let origin = Way::Topic.origin(stored).unwrap();
        assert_eq!(origin.sender, name("ann"));
        assert_eq!(origin.target, Target::Topic(Topic::parse("deploy.eu").unwrap()));
        let origin = Way::Inbox.origin("troupe.v1.ingress.inbox.0.bob.ann").unwrap();
        assert_eq!(origin, Origin { sender: name("ann"), target: Target::Agent(name("bob")) });
        assert_eq!(Way::Inbox.origin("troupe.v1.ingress.inbox.0.bob"), None);
        assert_eq!(Way::Intent.origin("troupe.v1.ingress.intent.0.a b"), None);
    }
}
