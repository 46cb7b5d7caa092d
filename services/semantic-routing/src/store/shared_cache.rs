//! What replicas share in Redis: verdicts by key, a list of the newest with their vectors, breakers,
//! and vectors of the texts of routes.
//!
//! The only module of this service that knows Redis. Invariant: nothing depends on it. What a request
//! waits for has [`ANSWER_WITHIN`], what fails is counted and never passed on, and while there is no
//! connection nothing waits: one attempt at a time is made beside the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};
use troupe_domain::{AgentId, MessageId, Name};
use troupe_embedding::Embedding;

use crate::intents::Routed;
use crate::rules::breaker::Shared;
use crate::rules::breaker::fleet::Change;
use crate::rules::cache_index::Generation;
use crate::rules::verdict::Verdict;

/// How long an access may take.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(20);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// How long after a failure the next connection is tried.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Accesses in a row that may take too long before the connection is given up.
const MAX_LATE: u64 = 3;
/// Entries that a replica can take over with their vectors.
const MAX_NEWEST: usize = 4_096;
/// Entries that are read at once.
const READ_ENTRIES: usize = 256;
/// Bytes of one entry; a larger one is not shared.
const MAX_ENTRY_BYTES: usize = 32 * 1024;
/// How long a breaker's state is kept.
const BREAKER_FOR_MS: u64 = 24 * 3_600 * 1_000;
/// How long many vectors may take: nobody waits for them.
const MANY_WITHIN: Duration = Duration::from_secs(2);
/// How long a vector is kept without being written anew.
const VECTOR_FOR_MS: u64 = 7 * 24 * 3_600 * 1_000;
const PREFIX: &str = "troupe:v1:routing";

/// Stores a breaker's state if it is newer than what is there; else gives what is there.
const STORE_BREAKER: &str = r"
local stored = redis.call('GET', KEYS[1])
if stored and cjson.decode(stored).version >= tonumber(ARGV[2]) then return stored end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return false";

/// A verdict with everything that another replica needs to use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedEntry {
    /// Its key.
    pub key: String,
    /// The text that was asked.
    pub text: String,
    /// What it means.
    pub verdict: Verdict,
    /// Its vector, each part in four bytes, the lowest first, as hexadecimal digits.
    vector: String,
}

impl SharedEntry {
    /// An entry with its vector.
    pub fn new(key: String, text: String, verdict: Verdict, vector: &[f32]) -> Self {
        let mut digits = String::with_capacity(vector.len() * 8);
        for part in vector {
            use std::fmt::Write as _;
            // Writing to a string cannot fail.
            let _ = write!(digits, "{:08x}", part.to_bits());
        }
        Self { key, text, verdict, vector: digits }
    }

    /// The vector; `None` where it is none.
    pub fn vector(&self) -> Option<Vec<f32>> {
        let digits = self.vector.as_bytes();
        let (parts, rest) = digits.as_chunks::<8>();
        let part = |part: &[u8; 8]| {
            let text = std::str::from_utf8(part).ok()?;
            let part = f32::from_bits(u32::from_str_radix(text, 16).ok()?);
            part.is_finite().then_some(part)
        };
        if rest.is_empty() { parts.iter().map(part).collect() } else { None }
    }
}

/// What replicas share, as one of them sees it.
pub struct SharedCache {
    client: redis::Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    keep_ms: u64,
    store_breaker: redis::Script,
    hits: AtomicU64,
    failures: AtomicU64,
    /// Accesses in a row that took too long.
    late: AtomicU64,
}

impl std::fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedCache").field("healthy", &self.is_healthy()).finish_non_exhaustive()
    }
}

impl SharedCache {
    /// What is shared at `url`; entries are kept for `keep_ms`. Does not connect yet.
    pub fn new(url: &str, keep_ms: u64) -> anyhow::Result<Arc<Self>> {
        let client = redis::Client::open(url)?;
        Ok(Arc::new(Self {
            client,
            connection: Mutex::new(None),
            keep_ms,
            store_breaker: redis::Script::new(STORE_BREAKER),
            hits: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            late: AtomicU64::new(0),
        }))
    }

    /// Whether there is a connection that works.
    pub fn is_healthy(&self) -> bool {
        self.connection.lock().is_some()
    }

    /// Verdicts that were found here.
    pub fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// Accesses that failed or took too long.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Connects, and connects again whenever the connection is lost.
    pub async fn run(self: Arc<Self>) {
        loop {
            if !self.is_healthy() {
                let config = redis::AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_WITHIN))
                    .set_response_timeout(Some(CONNECT_WITHIN));
                match self.client.get_multiplexed_async_connection_with_config(&config).await {
                    Ok(connection) => *self.connection.lock() = Some(connection),
                    Err(why) => tracing::debug!(%why, "Redis cannot be reached; decisions go on"),
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// The verdict under `key`.
    pub async fn get(&self, key: &str) -> Option<SharedEntry> {
        let text: Option<String> =
            self.ask(redis::cmd("GET").arg(verdict_key(key))).await.flatten();
        let entry: SharedEntry = serde_json::from_str(&text?).ok()?;
        self.hits.fetch_add(1, Relaxed);
        Some(entry)
    }

    /// Stores a verdict, and puts it at the end of the list of the newest of `generation`.
    pub async fn put(&self, generation: &Generation, entry: &SharedEntry) {
        // Names, numbers and texts always serialise.
        let text = serde_json::to_string(entry).unwrap_or_default();
        if text.len() > MAX_ENTRY_BYTES {
            return;
        }
        let newest = newest_key(generation);
        let mut pipe = redis::pipe();
        pipe.cmd("SET")
            .arg(verdict_key(&entry.key))
            .arg(&text)
            .arg("PX")
            .arg(self.keep_ms)
            .ignore();
        pipe.cmd("XADD").arg(&newest).arg("MAXLEN").arg("~").arg(MAX_NEWEST);
        pipe.arg("*").arg("entry").arg(&text).ignore();
        pipe.cmd("PEXPIRE").arg(&newest).arg(self.keep_ms).ignore();
        let Some(mut connection) = self.connection() else { return };
        self.within(pipe.query_async::<()>(&mut connection)).await;
    }

    /// What a message wanted, for as long as verdicts are kept.
    pub(crate) async fn put_routed(&self, message: &MessageId, routed: &Routed) {
        let text = serde_json::to_string(routed).unwrap_or_default();
        let mut set = redis::cmd("SET");
        set.arg(routed_key(message)).arg(text).arg("PX").arg(self.keep_ms);
        self.ask::<()>(&set).await;
    }

    /// What a message wanted that another replica routed.
    pub(crate) async fn routed(&self, message: &MessageId) -> Option<Routed> {
        let text: Option<String> =
            self.ask(redis::cmd("GET").arg(routed_key(message))).await.flatten();
        serde_json::from_str(&text?).ok()
    }

    /// Forgets a verdict.
    pub async fn remove(&self, key: &str) {
        self.ask::<()>(redis::cmd("DEL").arg(verdict_key(key))).await;
    }

    /// The entries of `generation` after `last`, oldest first, and the place to go on from.
    pub async fn newer(&self, generation: &Generation, last: &str) -> Option<Newer> {
        let from = if last.is_empty() { "-".to_owned() } else { format!("({last}") };
        let mut command = redis::cmd("XRANGE");
        command.arg(newest_key(generation)).arg(from).arg("+").arg("COUNT").arg(READ_ENTRIES);
        let rows: Vec<(String, Vec<String>)> = self.ask(&command).await?;
        let last = rows.last().map_or_else(|| last.to_owned(), |(id, _)| id.clone());
        let more = rows.len() == READ_ENTRIES;
        let read = |(_, fields): &(String, Vec<String>)| serde_json::from_str(fields.get(1)?).ok();
        let entries = self.still_there(rows.iter().filter_map(read).collect()).await?;
        Some(Newer { entries, last, more })
    }

    /// Those that nobody removed since: the list keeps what was said to be wrong.
    async fn still_there(&self, entries: Vec<SharedEntry>) -> Option<Vec<SharedEntry>> {
        if entries.is_empty() {
            return Some(entries);
        }
        let mut pipe = redis::pipe();
        for entry in &entries {
            pipe.cmd("EXISTS").arg(verdict_key(&entry.key));
        }
        let mut connection = self.connection()?;
        let there: Vec<bool> = self.within(pipe.query_async(&mut connection)).await?;
        let both = entries.into_iter().zip(there);
        Some(both.filter(|(_, there)| *there).map(|(entry, _)| entry).collect())
    }

    /// Vectors of texts that some replica embedded with `model`; those that are not known are left
    /// out.
    pub async fn vectors(&self, model: &str, texts: &[String]) -> Vec<(String, Embedding)> {
        if texts.is_empty() {
            return Vec::new();
        }
        let mut command = redis::cmd("MGET");
        texts.iter().for_each(|text| _ = command.arg(vector_key(model, text)));
        let Some(mut connection) = self.connection() else { return Vec::new() };
        let bodies = command.query_async::<Vec<Option<Vec<u8>>>>(&mut connection);
        let Ok(Ok(bodies)) = timeout(MANY_WITHIN, bodies).await else { return Vec::new() };
        let both = texts.iter().zip(bodies);
        both.filter_map(|(text, body)| Some((text.clone(), Embedding::from_bytes(&body?)?)))
            .collect()
    }

    /// Lets other replicas, and this one after a restart, do without embedding texts again.
    pub async fn store_vectors(&self, model: &str, texts: &[String], vectors: &[Embedding]) {
        if texts.is_empty() {
            return;
        }
        let mut pipe = redis::pipe();
        for (text, vector) in texts.iter().zip(vectors) {
            let set = pipe.cmd("SET").arg(vector_key(model, text)).arg(vector.to_bytes());
            set.arg("PX").arg(VECTOR_FOR_MS).ignore();
        }
        let Some(mut connection) = self.connection() else { return };
        if timeout(MANY_WITHIN, pipe.query_async::<()>(&mut connection)).await.is_err() {
            tracing::debug!("Redis took too long to keep vectors");
        }
    }

    /// Stores a breaker's state on top of an older one. Gives the state that was there first, if
    /// there was one that is not older.
    pub async fn store_breaker(&self, change: &Change) -> Option<Change> {
        let Change { agent, capability, shared } = change;
        let mut call = self.store_breaker.prepare_invoke();
        call.key(format!("{PREFIX}:breaker:{agent}:{capability}"));
        call.arg(serde_json::to_string(shared).unwrap_or_default());
        call.arg(shared.version).arg(BREAKER_FOR_MS);
        let mut connection = self.connection()?;
        let stored: Option<String> =
            self.within(call.invoke_async(&mut connection)).await.flatten();
        let stored: Shared = serde_json::from_str(&stored?).ok()?;
        let (agent, capability): (AgentId, Name) = (agent.clone(), capability.clone());
        (stored != *shared).then_some(Change { agent, capability, shared: stored })
    }

    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let mut connection = self.connection()?;
        self.within(command.query_async(&mut connection)).await
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.lock().clone()
    }

    /// Runs an access, in time or not at all.
    async fn within<T>(&self, access: impl Future<Output = Result<T, RedisError>>) -> Option<T> {
        match timeout(ANSWER_WITHIN, access).await {
            Ok(Ok(value)) => {
                self.late.store(0, Relaxed);
                return Some(value);
            }
            Ok(Err(why)) => {
                tracing::debug!(%why, "Redis");
                if why.is_connection_dropped() || why.is_io_error() || why.is_timeout() {
                    *self.connection.lock() = None;
                }
            }
            // Slow once is no reason to connect again. A server that hangs costs nobody more than this.
            Err(_) => {
                tracing::debug!("Redis took too long");
                if self.late.fetch_add(1, Relaxed) + 1 >= MAX_LATE {
                    *self.connection.lock() = None;
                }
            }
        }
        self.failures.fetch_add(1, Relaxed);
        None
    }
}

/// Entries that other replicas may have made.
#[derive(Debug)]
pub struct Newer {
    /// The entries, oldest first.
    pub entries: Vec<SharedEntry>,
    /// The place to go on from.
    pub last: String,
    /// Whether there are more.
    pub more: bool,
}

fn verdict_key(key: &str) -> String {
    format!("{PREFIX}:verdict:{key}")
}

fn routed_key(message: &MessageId) -> String {
    format!("{PREFIX}:routed:{message}")
}

/// By a digest: texts are long, and nobody needs to read them there.
fn vector_key(model: &str, text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digits = digest.iter().fold(String::with_capacity(64), |mut digits, byte| {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    format!("{PREFIX}:vector:{model}:{digits}")
}

fn newest_key(generation: &Generation) -> String {
    format!("{PREFIX}:newest:{}:{}", generation.version(), generation.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_survives_and_junk_is_none() {
        let vector = [0.25_f32, -1.0, 1e-7];
        let entry = SharedEntry::new("k".into(), "t".into(), Verdict::default(), &vector);
        let read: SharedEntry =
            serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
        assert_eq!(read, entry);
        assert_eq!(read.vector().unwrap(), vector);
        for junk in ["3f80000", "zzzzzzzz", "7fc00000"] {
            let wrong = SharedEntry { vector: junk.into(), ..entry.clone() };
            assert_eq!(wrong.vector(), None, "{junk}");
        }
    }
}
