//! Documents that are made from the declarations: never written by hand, always committed.
//!
//! Every function here is pure and gives the same text for the same declarations, whatever the
//! order in which features or maps happen to be built: keys are sorted when they are written. The
//! committed copies stand in `docs/contract`, so that a change of the contract is a diff.

pub mod agent_messages;
mod asyncapi;
pub mod limits;
mod nats_config;
pub mod object_subjects;
pub mod permissions;
mod reference;
mod schemas;
mod sorted_json;

pub use asyncapi::asyncapi;
pub use nats_config::{BadUser, User, nats_config};
pub use reference::reference;
pub use schemas::schemas;

/// Shards that documents speak of; deployments choose their own number.
const DOCUMENTED_SHARDS: u16 = 1;

/// Every document: its path relative to `docs/contract`, and its text.
pub fn documents() -> Vec<(&'static str, String)> {
    vec![
        ("schemas.json", schemas()),
        ("asyncapi.json", asyncapi()),
        ("permissions.json", permissions::permissions()),
        ("reference.md", reference()),
    ]
}

/// The subject of an operation with `{caller}` in the caller's place.
fn operation_address(entry: &crate::endpoint::EndpointEntry) -> String {
    with_last_token(&crate::subject::operation(entry.service, entry.operation), "{caller}")
}

/// A subject with another last token.
fn with_last_token(subject: &str, last: &str) -> String {
    match subject.rsplit_once('.') {
        Some((stem, _)) => format!("{stem}.{last}"),
        None => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_the_same_each_time_and_end_in_one_newline() {
        let (first, second) = (documents(), documents());
        assert_eq!(first, second);
        for (path, text) in first {
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}");
            assert!(!text.contains('\t') && !text.contains('\r'), "{path}");
        }
    }
}
