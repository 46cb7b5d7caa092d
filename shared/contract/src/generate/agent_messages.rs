//! The subjects on which agents speak to each other without a service between them.
//!
//! Invariant: each ends in the sender's name, so that credentials bind it. What carries such a
//! message today is said here, so that no document promises more than exists.

use troupe_domain::limits::MAX_TOPIC_TOKENS;

use crate::subject::PREFIX;

/// The place that may have more than one token.
const TOPIC: &str = "{topic}";

/// What happens to a message once it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// Semantic routing puts it into mailboxes.
    Delivered,
    /// The same; and whoever is subscribed at that moment hears it as well.
    DeliveredAndLive,
}

impl Carried {
    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::DeliveredAndLive => "delivered_and_live",
        }
    }

    /// One sentence.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Delivered => {
                "A stream keeps the message until semantic routing has put it into the mailboxes \
                 of those whom it is for."
            }
            Self::DeliveredAndLive => {
                "A stream keeps the message until semantic routing has put it into the mailboxes \
                 of those whom it is for; whoever is subscribed at that moment hears it as well."
            }
        }
    }
}

/// A subject for agents' messages. Places in braces are single tokens, but for `{topic}`, which may
/// have more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentMessage {
    /// What people call it.
    pub name: &'static str,
    /// What follows `troupe.v1.`
    tail: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What happens to the message.
    pub carried: Carried,
    /// Whether every credential may subscribe to all of them.
    pub public: bool,
}

/// Every subject for agents' messages.
pub const ALL: [AgentMessage; 4] = [
    AgentMessage {
        name: "mailbox",
        tail: "agent.{recipient}.inbox.{sender}",
        summary: "A message to one agent.",
        carried: Carried::Delivered,
        public: false,
    },
    AgentMessage {
        name: "topic",
        tail: "topic.{topic}.{sender}",
        summary: "A message to whoever follows a topic; a topic is 1 to 8 names with dots between.",
        carried: Carried::DeliveredAndLive,
        public: true,
    },
    AgentMessage {
        name: "broadcast",
        tail: "broadcast.{sender}",
        summary: "A message to the whole fleet.",
        carried: Carried::DeliveredAndLive,
        public: true,
    },
    AgentMessage {
        name: "intent",
        tail: "intent.{sender}",
        summary: "A message to whoever can act on it.",
        carried: Carried::Delivered,
        public: false,
    },
];

impl AgentMessage {
    /// The subject, with its places in braces.
    pub fn address(&self) -> String {
        format!("{PREFIX}.{}", self.tail)
    }

    /// What `sender` publishes to: its own name at the end, everything else open. A pattern cannot
    /// leave a number of tokens open before a name, so that there is one for each length of a topic.
    pub fn published_by(&self, sender: &str) -> Vec<String> {
        let lengths = if self.tail.contains(TOPIC) { MAX_TOPIC_TOKENS } else { 1 };
        (1..=lengths)
            .map(|length| {
                let topic = vec!["*"; length].join(".");
                self.filled(|place| match place {
                    "{sender}" => sender.to_owned(),
                    TOPIC => topic.clone(),
                    _ => "*".to_owned(),
                })
            })
            .collect()
    }

    /// What `reader` subscribes to: its own mailbox, or what is public.
    pub fn read_by(&self, reader: &str) -> Option<String> {
        if self.public
            && let Some((stem, _)) = self.tail.split_once(TOPIC)
        {
            return Some(format!("{PREFIX}.{stem}>"));
        }
        let own = self.tail.contains("{recipient}");
        let fill = |place: &str| if place == "{recipient}" { reader } else { "*" }.to_owned();
        (own || self.public).then(|| self.filled(fill))
    }

    fn filled(&self, fill: impl Fn(&str) -> String) -> String {
        let tokens: Vec<_> = self
            .tail
            .split('.')
            .map(|token| if token.starts_with('{') { fill(token) } else { token.to_owned() })
            .collect();
        format!("{PREFIX}.{}", tokens.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingress::Way;
    use troupe_domain::Name;

    #[test]
    fn every_one_ends_in_its_sender() {
        for message in ALL {
            assert!(message.address().ends_with(".{sender}"), "{}", message.name);
            for subject in message.published_by("alice") {
                assert_eq!(subject.rsplit('.').next(), Some("alice"), "{}", message.name);
            }
        }
    }

    #[test]
    fn each_is_taken_in_by_the_stream_of_its_way() {
        for (message, way) in ALL.into_iter().zip(Way::ALL) {
            let open = message.filled(|place| if place == TOPIC { ">" } else { "*" }.to_owned());
            // Nothing follows what is open at the end.
            let wanted =
                open.split_once(".>").map_or(open.clone(), |(stem, _)| format!("{stem}.>"));
            assert_eq!(way.stream(4).subjects, [wanted], "{}", message.name);
        }
        let alice = Name::parse("alice").unwrap();
        let mailbox = ALL[0].read_by(alice.as_str()).unwrap();
        assert_eq!(
            mailbox,
            crate::ingress::inbox_subject(&alice, &Name::parse("x").unwrap()).replace(".x", ".*")
        );
    }
}
