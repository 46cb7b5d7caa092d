//! Every stream of Troupe, declared once.

use crate::Service;
use crate::ingress::Way;
use crate::subject::PREFIX;

/// What a stream does when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// New messages are refused; nothing that was acknowledged goes.
    Refuse,
    /// The oldest go: the stream is a record, not the truth.
    DropOldest,
}

/// Under which subject a stream stores what it takes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// The subject that comes.
    pub source: String,
    /// The subject that is stored, with the server's mapping functions.
    pub destination: String,
}

/// A stream as data.
#[derive(Debug, Clone)]
pub struct StreamSpec {
    /// The stream's name.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// What it stores.
    pub subjects: Vec<String>,
    /// Messages kept per subject; 0 is no bound.
    pub max_messages_per_subject: i64,
    /// Bytes kept.
    pub max_bytes: i64,
    /// How long messages are kept; 0 is for ever.
    pub max_age_s: u64,
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// How long a message id is remembered.
    pub duplicate_window_s: u64,
    /// Facts that are checked when the stream already exists.
    pub metadata: Vec<(&'static str, String)>,
    /// Under which subject it stores what it takes in, where that is another.
    pub transform: Option<Transform>,
}

/// The server reserves what a stream may hold, so that the sum must fit a small machine.
pub(crate) const MIB: i64 = 1024 * 1024;

/// Bytes of the log of one shard of work distribution.
pub const WORK_LOG_BYTES: i64 = 1024 * MIB;
/// Bytes of the log of one shard of semantic routing.
pub const ROUTING_LOG_BYTES: i64 = 1024 * MIB;

/// Bytes of the log of one shard of plan sync.
pub const PLAN_LOG_BYTES: i64 = 512 * MIB;

/// Bytes of the log of the progress service.
pub const PROGRESS_LOG_BYTES: i64 = 1024 * MIB;
/// The progress service's shards: what a fleet gets done is one account, so that a sum over any of its
/// tasks is one lookup.
pub const PROGRESS_SHARDS: u16 = 1;

/// Bytes of the log of one shard of memory.
pub const MEMORY_LOG_BYTES: i64 = 1024 * MIB;

/// The log of one shard of a service: records, snapshots and their manifest. It is the truth, so that
/// nothing ages out: the owner purges what a snapshot covers.
pub fn shard_log(service: Service, shard: u16, shards: u16, max_bytes: i64) -> StreamSpec {
    let token = service.token();
    StreamSpec {
        name: format!("TROUPE_{}_{shard}", token.to_uppercase()),
        description: format!("The log of one shard of {}.", service.title()),
        subjects: vec![format!("{PREFIX}.log.{token}.{shard}.>")],
        max_messages_per_subject: 0,
        max_bytes,
        max_age_s: 0,
        when_full: WhenFull::Refuse,
        duplicate_window_s: 120,
        metadata: vec![("troupe.shards", shards.to_string())],
        transform: None,
    }
}

/// The newest state of every agent.
pub fn agents() -> StreamSpec {
    StreamSpec {
        name: "TROUPE_AGENTS".to_owned(),
        description: "The newest state of every agent, one subject each.".to_owned(),
        subjects: vec![format!("{PREFIX}.state.agent.*")],
        max_messages_per_subject: 1,
        max_bytes: 256 * MIB,
        max_age_s: 0,
        when_full: WhenFull::Refuse,
        duplicate_window_s: 120,
        metadata: Vec::new(),
        transform: None,
    }
}

/// The newest state of every route.
pub fn routes() -> StreamSpec {
    StreamSpec {
        name: "TROUPE_ROUTES".to_owned(),
        description: "The newest state of every route, one subject each.".to_owned(),
        subjects: vec![format!("{PREFIX}.state.route.*")],
        max_messages_per_subject: 1,
        max_bytes: 128 * MIB,
        max_age_s: 0,
        when_full: WhenFull::Refuse,
        duplicate_window_s: 120,
        metadata: Vec::new(),
        transform: None,
    }
}

/// What happened, for whoever wants to know. Derived from the logs and states; replayable.
pub fn events() -> StreamSpec {
    StreamSpec {
        name: "TROUPE_EVENTS".to_owned(),
        description: "What happened, as batches of CloudEvents; and the last word on what ended."
            .to_owned(),
        subjects: vec![format!("{PREFIX}.event.>"), format!("{PREFIX}.archive.>")],
        max_messages_per_subject: 0,
        max_bytes: 2048 * MIB,
        max_age_s: 7 * 24 * 3600,
        when_full: WhenFull::DropOldest,
        duplicate_window_s: 120,
        metadata: Vec::new(),
        transform: None,
    }
}

/// Every stream, where each service with shards has `shards` of them.
pub fn all(shards: u16) -> Vec<StreamSpec> {
    let mut specs = vec![agents(), routes(), events()];
    specs.extend(Way::ALL.map(|way| way.stream(shards)));
    for (service, max_bytes) in [
        (Service::Work, WORK_LOG_BYTES),
        (Service::Routing, ROUTING_LOG_BYTES),
        (Service::Plan, PLAN_LOG_BYTES),
        (Service::Memory, MEMORY_LOG_BYTES),
    ] {
        specs.extend((0..shards).map(|shard| shard_log(service, shard, shards, max_bytes)));
    }
    specs.push(shard_log(Service::Progress, 0, PROGRESS_SHARDS, PROGRESS_LOG_BYTES));
    specs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject;

    #[test]
    fn no_two_streams_have_a_name_in_common() {
        let names: Vec<String> = all(4).into_iter().map(|spec| spec.name).collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        assert!(names.iter().any(|name| name == "TROUPE_INGRESS_INBOX"));
    }

    #[test]
    fn a_shards_stream_and_subjects_follow_from_its_service() {
        let spec = shard_log(Service::Work, 3, 4, WORK_LOG_BYTES);
        assert_eq!((spec.name.as_str(), spec.max_bytes), ("TROUPE_WORK_3", 1 << 30));
        assert_eq!(spec.subjects, ["troupe.v1.log.work.3.>"]);
        let stored = [
            subject::shard_log(Service::Work, 3),
            subject::shard_manifest(Service::Work, 3),
            subject::shard_snapshot(Service::Work, 3, 70, 1),
        ];
        let named = ["record", "manifest", "snapshot.70.1"]
            .map(|rest| format!("troupe.v1.log.work.3.{rest}"));
        assert_eq!(stored, named);
        assert_eq!(subject::shard_owner(Service::Work, 3), "troupe.v1.internal.work.shard.3");
    }
}
