//! Every bound that a caller can meet, by name, with its unit in the name.

/// Characters in an id, a role, an agent's name or a capability's name.
pub const MAX_NAME_CHARS: usize = 64;
/// Characters in a task's title.
pub const MAX_TITLE_CHARS: usize = 256;
/// Bytes in any longer text: a description, a reason, an error, a message.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Bytes in a task's payload.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// Bytes in a task's result.
pub const MAX_RESULT_BYTES: usize = 256 * 1024;
/// Bytes in a metadata object.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;
/// Bytes of dependency results that travel inside a claimed task; the rest is read by id.
pub const MAX_INLINE_INPUT_BYTES: usize = 1024 * 1024;
/// Tasks in one graph.
pub const MAX_GRAPH_TASKS: usize = 10_000;
/// Dependencies of one task.
pub const MAX_DEPENDENCIES: usize = 1_024;
/// Capabilities of one agent.
pub const MAX_AGENT_CAPABILITIES: usize = 256;
/// Example utterances of one capability.
pub const MAX_CAPABILITY_UTTERANCES: usize = 32;
/// Bytes in one example utterance.
pub const MAX_UTTERANCE_BYTES: usize = 1024;
/// Capabilities that one task may require.
pub const MAX_REQUIRED_CAPABILITIES: usize = 32;
/// Pieces of evidence in one result or verdict.
pub const MAX_EVIDENCE: usize = 64;
/// Past reasons that a task keeps (the oldest go first).
pub const MAX_REASONS: usize = 16;
/// Retries that a task may ask for.
pub const MAX_RETRIES: u32 = 100;
/// Lease expiries after which a task is dead: it takes its agents down with it.
pub const MAX_LEASE_EXPIRIES: u32 = 10;
/// Tasks that one agent may hold at once.
pub const MAX_CONCURRENT_TASKS: u32 = 1_024;
/// Task ids that one heartbeat may list.
pub const MAX_RUNNING_TASK_IDS: usize = 1_024;
/// Rows in one page of a list.
pub const MAX_PAGE_ROWS: usize = 1_000;
/// Names in one filter.
pub const MAX_FILTER_NAMES: usize = 256;
/// How long a long poll may wait.
pub const MAX_WAIT_MS: u64 = 60_000;
/// Bytes of one message on the bus; the server's `max_payload` is the same.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Shortest lease.
pub const MIN_LEASE_MS: u64 = 250;
/// Longest lease.
pub const MAX_LEASE_MS: u64 = 24 * 60 * 60 * 1000;
/// Bytes in the body of a message.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Shortest time for which a message counts, or a request waits.
pub const MIN_EXPIRY_MS: u64 = 100;
/// Longest time for which a message counts, or a request waits.
pub const MAX_EXPIRY_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Times that a message may be handed on.
pub const MAX_HOPS: u32 = 10;
/// Names in a topic or a pattern of topics.
pub const MAX_TOPIC_TOKENS: usize = 8;
/// Messages that one poll of a mailbox may get, or one acknowledgement may name.
pub const MAX_INBOX_MESSAGES: usize = 256;
/// Names in a vector clock.
pub const MAX_CLOCK_ENTRIES: usize = 256;
/// Largest count in a vector clock: the largest whole number that every JSON reader keeps.
pub const MAX_CLOCK_COUNT: u64 = (1 << 53) - 1;
/// Turns of one participant that a session may be short of before a later one is refused.
pub const MAX_TURNS_AHEAD: u64 = 256;
/// Shortest time after which a silent session ends by itself.
pub const MIN_SESSION_IDLE_MS: u64 = 1_000;
/// Longest time after which a silent session ends by itself.
pub const MAX_SESSION_IDLE_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Batches of replicas that one request may bring.
pub const MAX_APPLY_BATCHES: usize = 256;
/// Bytes of batches of replicas that one request may bring.
pub const MAX_APPLY_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of batches, or of a snapshot, that one answer to a replica may have.
pub const MAX_SYNC_BYTES: usize = 2 * 1024 * 1024;
/// Dependencies, tags or collaborators that one change may add to a plan or an item, or remove.
pub const MAX_CHANGE_NAMES: usize = 60;
/// Items that one request may add to a plan, change or put into an order.
pub const MAX_BULK_ITEMS: usize = 1_000;
/// What a holder may name as a blocker in one report.
pub const MAX_BLOCKERS: usize = 16;
/// Bytes in the name of a blocker.
pub const MAX_BLOCKER_BYTES: usize = 1024;
/// Minutes that a report may speak of: twenty years.
pub const MAX_MINUTES: f64 = 20.0 * 366.0 * 24.0 * 60.0;
/// Tasks that one milestone may require.
pub const MAX_MILESTONE_TASKS: usize = 10_000;
/// Milestones above each other.
pub const MAX_MILESTONE_DEPTH: usize = 16;
/// Parts of one milestone.
pub const MAX_MILESTONE_CHILDREN: usize = 256;
/// Tags of one milestone.
pub const MAX_MILESTONE_TAGS: usize = 32;
/// Tasks over which one summary, estimate or search for bottlenecks goes.
pub const MAX_SUMMARY_TASKS: usize = 10_000;
/// Bytes in the content of one memory entry.
pub const MAX_MEMORY_BYTES: usize = 64 * 1024;
/// Tags of one memory entry.
pub const MAX_MEMORY_TAGS: usize = 32;
/// Bytes in one tag of a memory entry.
pub const MAX_MEMORY_TAG_BYTES: usize = 64;
/// Entries that one memory entry may derive from.
pub const MAX_DERIVED_FROM: usize = 64;
/// Bytes in where a memory entry came from.
pub const MAX_SOURCE_URI_BYTES: usize = 2 * 1024;
/// Names in a namespace of memory.
pub const MAX_NAMESPACE_NAMES: usize = 3;
/// Bytes in what is searched for in memory.
pub const MAX_MEMORY_QUERY_BYTES: usize = 4 * 1024;
/// Results in one page of a search in memory.
pub const MAX_MEMORY_RESULTS: usize = 100;
/// Results of a search in memory that pages may reach.
pub const MAX_MEMORY_DEPTH: usize = 1_000;
/// Attempts of one refinement trace.
pub const MAX_ITERATIONS: usize = 64;
/// Votes of one consensus entry.
pub const MAX_CONSENSUS_VOTES: usize = 64;
/// Entries in one page of an export, or in one import.
pub const MAX_MOVED_MEMORIES: usize = 256;
/// Bytes of entries in one page of an export, or in one import.
pub const MAX_MOVED_BYTES: usize = 2 * 1024 * 1024;
/// Shortest time after which a memory entry deletes itself.
pub const MIN_MEMORY_TTL_MS: u64 = 1_000;
/// Longest time after which a memory entry deletes itself.
pub const MAX_MEMORY_TTL_MS: u64 = 366 * 24 * 60 * 60 * 1000;
