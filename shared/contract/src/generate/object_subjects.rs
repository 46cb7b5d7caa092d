//! The subjects on which batches of shared objects are told, live and without a promise: what is missed
//! is asked for with `plan.sync`.

use serde_json::{Map, Value, json};
use troupe_domain::Name;

use crate::subject;

/// A subject of shared objects.
#[derive(Debug, Clone)]
pub struct ObjectSubject {
    /// What people call it.
    pub name: &'static str,
    /// The subject, with its places in braces.
    pub address: String,
    /// One sentence.
    pub summary: &'static str,
    /// What a message holds.
    pub content: &'static str,
    /// `send` where plan sync tells, `receive` where agents tell each other.
    pub action: &'static str,
}

/// Every subject of shared objects.
pub fn all() -> Vec<ObjectSubject> {
    let (object, sender) = (marker("object"), marker("sender"));
    let braced = |subject: String| {
        subject.replace(object.as_str(), "{object_id}").replace(sender.as_str(), "{sender}")
    };
    vec![
        ObjectSubject {
            name: "batch",
            address: braced(subject::object_batches(&object)),
            summary: "Each batch of a plan or another shared object, once it is durable.",
            content: "One batch as its replica signed it: the bytes that `plan.apply` takes as base64.",
            action: "send",
        },
        ObjectSubject {
            name: "peer",
            address: braced(subject::object_peer(&object, &sender)),
            summary: "What replicas of one object tell each other, with or without the service.",
            content: "A version, a question or batches, in the encoding of the SDK's replicas.",
            action: "receive",
        },
    ]
}

impl ObjectSubject {
    /// The places in the subject.
    pub(super) fn parameters(&self) -> Map<String, Value> {
        let places = self.address.split('.').filter_map(|token| {
            let place = token.strip_prefix('{')?.strip_suffix('}')?;
            let said = match place {
                "sender" => "The name in the sender's credentials.",
                _ => "The plan or other shared object.",
            };
            Some((place.to_owned(), json!({ "description": said })))
        });
        places.collect()
    }
}

/// A name that stands in a subject until it is replaced.
fn marker(place: &str) -> Name {
    Name::parse(&format!("place-of-{place}"))
        .unwrap_or_else(|_| unreachable!("letters and dashes are a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stand_in_braces() {
        let addresses: Vec<String> = all().into_iter().map(|told| told.address).collect();
        let wanted =
            ["troupe.v1.object.{object_id}.batch", "troupe.v1.object.{object_id}.peer.{sender}"];
        assert_eq!(addresses, wanted);
    }
}
