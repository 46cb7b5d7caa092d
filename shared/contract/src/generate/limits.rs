//! The bounds that a caller can meet, as a list for documents.

use troupe_domain::limits;

/// A bound: its name, whose end is its unit, its value, and what it bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// As faults name it.
    pub name: &'static str,
    /// In the unit that the name ends with.
    pub value: u64,
    /// One sentence.
    pub meaning: &'static str,
}

macro_rules! limits {
    ($($name:ident: $meaning:literal,)+) => {
        /// Every bound, in the order of `troupe_domain::limits`.
        pub const ALL: &[Limit] = &[$(Limit {
            name: stringify!($name),
            value: limits::$name as u64,
            meaning: $meaning,
        }),+];
    };
}

limits! {
    MAX_NAME_CHARS: "Characters in an id, a role, an agent's name or a capability's name.",
    MAX_TITLE_CHARS: "Characters in a task's title.",
    MAX_TEXT_BYTES: "Bytes in any longer text: a description, a reason, an error, a message.",
    MAX_PAYLOAD_BYTES: "Bytes in a task's payload.",
    MAX_RESULT_BYTES: "Bytes in a task's result.",
    MAX_METADATA_BYTES: "Bytes in a metadata object.",
    MAX_INLINE_INPUT_BYTES: "Bytes of dependency results that travel inside a claimed task; the rest is read by id.",
    MAX_GRAPH_TASKS: "Tasks in one graph.",
    MAX_DEPENDENCIES: "Dependencies of one task.",
    MAX_AGENT_CAPABILITIES: "Capabilities of one agent.",
    MAX_CAPABILITY_UTTERANCES: "Example utterances of one capability.",
    MAX_UTTERANCE_BYTES: "Bytes in one example utterance.",
    MAX_REQUIRED_CAPABILITIES: "Capabilities that one task may require.",
    MAX_EVIDENCE: "Pieces of evidence in one result or verdict.",
    MAX_REASONS: "Past reasons that a task keeps (the oldest go first).",
    MAX_RETRIES: "Retries that a task may ask for.",
    MAX_LEASE_EXPIRIES: "Lease expiries after which a task is dead: it takes its agents down with it.",
    MAX_CONCURRENT_TASKS: "Tasks that one agent may hold at once.",
    MAX_RUNNING_TASK_IDS: "Task ids that one heartbeat may list.",
    MAX_PAGE_ROWS: "Rows in one page of a list.",
    MAX_FILTER_NAMES: "Names in one filter.",
    MAX_WAIT_MS: "How long a long poll may wait.",
    MAX_MESSAGE_BYTES: "Bytes of one message on the bus; the server's `max_payload` is the same.",
    MIN_LEASE_MS: "Shortest lease.",
    MAX_LEASE_MS: "Longest lease.",
    MAX_BODY_BYTES: "Bytes in the body of a message.",
    MIN_EXPIRY_MS: "Shortest time for which a message counts, or a request waits.",
    MAX_EXPIRY_MS: "Longest time for which a message counts, or a request waits.",
    MAX_HOPS: "Times that a message may be handed on.",
    MAX_TOPIC_TOKENS: "Names in a topic or a pattern of topics.",
    MAX_INBOX_MESSAGES: "Messages that one poll of a mailbox may get, or one acknowledgement may name.",
    MAX_CLOCK_ENTRIES: "Names in a vector clock.",
    MAX_CLOCK_COUNT: "Largest count in a vector clock: the largest whole number that every JSON reader keeps.",
    MAX_TURNS_AHEAD: "Turns of one participant that a session may be short of before a later one is refused.",
    MIN_SESSION_IDLE_MS: "Shortest time after which a silent session ends by itself.",
    MAX_SESSION_IDLE_MS: "Longest time after which a silent session ends by itself.",
    MAX_APPLY_BATCHES: "Batches of replicas that one request may bring.",
    MAX_APPLY_BYTES: "Bytes of batches of replicas that one request may bring.",
    MAX_SYNC_BYTES: "Bytes of batches, or of a snapshot, that one answer to a replica may have.",
    MAX_CHANGE_NAMES: "Dependencies, tags or collaborators that one change may add to a plan or an item, or remove.",
    MAX_BULK_ITEMS: "Items that one request may add to a plan, change or put into an order.",
    MAX_BLOCKERS: "What a holder may name as a blocker in one report.",
    MAX_BLOCKER_BYTES: "Bytes in the name of a blocker.",
    MAX_MINUTES: "Minutes that a report may speak of: twenty years.",
    MAX_MILESTONE_TASKS: "Tasks that one milestone may require.",
    MAX_MILESTONE_DEPTH: "Milestones above each other.",
    MAX_MILESTONE_CHILDREN: "Parts of one milestone.",
    MAX_MILESTONE_TAGS: "Tags of one milestone.",
    MAX_SUMMARY_TASKS: "Tasks over which one summary, estimate or search for bottlenecks goes.",
    MAX_MEMORY_BYTES: "Bytes in the content of one memory entry.",
    MAX_MEMORY_TAGS: "Tags of one memory entry.",
    MAX_MEMORY_TAG_BYTES: "Bytes in one tag of a memory entry.",
    MAX_DERIVED_FROM: "Entries that one memory entry may derive from.",
    MAX_SOURCE_URI_BYTES: "Bytes in where a memory entry came from.",
    MAX_NAMESPACE_NAMES: "Names in a namespace of memory.",
    MAX_MEMORY_QUERY_BYTES: "Bytes in what is searched for in memory.",
    MAX_MEMORY_RESULTS: "Results in one page of a search in memory.",
    MAX_MEMORY_DEPTH: "Results of a search in memory that pages may reach.",
    MAX_ITERATIONS: "Attempts of one refinement trace.",
    MAX_CONSENSUS_VOTES: "Votes of one consensus entry.",
    MAX_MOVED_MEMORIES: "Entries in one page of an export, or in one import.",
    MAX_MOVED_BYTES: "Bytes of entries in one page of an export, or in one import.",
    MIN_MEMORY_TTL_MS: "Shortest time after which a memory entry deletes itself.",
    MAX_MEMORY_TTL_MS: "Longest time after which a memory entry deletes itself.",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names and sentences of the declarations themselves.
    fn declared() -> Vec<(String, String)> {
        let source = include_str!("../../../domain/src/limits.rs");
        let mut said = Vec::new();
        let mut found = Vec::new();
        for line in source.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("/// ") {
                said.push(text);
            } else if let Some(rest) = line.strip_prefix("pub const ") {
                let name = rest.split(':').next().unwrap_or_default();
                found.push((name.to_owned(), said.join(" ")));
                said.clear();
            }
        }
        found
    }

    #[test]
    fn the_list_is_complete_and_says_what_the_declarations_say() {
        let listed: Vec<_> =
            ALL.iter().map(|limit| (limit.name.to_owned(), limit.meaning.to_owned())).collect();
        assert_eq!(listed, declared());
    }
}
