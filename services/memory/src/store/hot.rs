//! The hot tier: copies of entries in Redis, one hash for each id with a field for each namespace.
//!
//! The only module that knows Redis. Invariants: it is a projection, whose truth is the owner's state;
//! nothing that is acknowledged waits for it, what fails is tried again beside the requests, and while
//! there is no connection nothing waits at all. Each copy ends by itself, should nobody remove it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::time::{sleep, timeout};
use troupe_domain::memory::{MemoryId, Namespace};

use crate::rules::request::Found;

/// How long a read may take.
const READ_WITHIN: Duration = Duration::from_millis(50);
/// How long a write may take: nobody waits for it.
const WRITE_WITHIN: Duration = Duration::from_secs(2);
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// How long after a failure the next connection is tried.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long a copy is kept without being written anew.
const KEEP_MS: u64 = 24 * 3_600 * 1_000;
const PREFIX: &str = "troupe:v1:memory:hot";

/// A copy that is to be there, or not.
pub type Change = (Namespace, MemoryId, Option<Found>);

/// The hot tier, as one replica sees it.
pub struct Hot {
    client: redis::Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl std::fmt::Debug for Hot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hot").field("healthy", &self.is_healthy()).finish_non_exhaustive()
    }
}

impl Hot {
    /// The hot tier at `url`. Does not connect yet.
    pub fn new(url: &str) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self { client: redis::Client::open(url)?, connection: Mutex::new(None) }))
    }

    /// Whether there is a connection that works.
    pub fn is_healthy(&self) -> bool {
        self.connection.lock().is_some()
    }

    /// Connects, and connects again whenever the connection is lost.
    pub async fn run(self: Arc<Self>) {
        loop {
            if !self.is_healthy() {
                let config = redis::AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_WITHIN))
                    .set_response_timeout(Some(WRITE_WITHIN));
                match self.client.get_multiplexed_async_connection_with_config(&config).await {
                    Ok(connection) => *self.connection.lock() = Some(connection),
                    Err(why) => tracing::debug!(%why, "Redis cannot be reached; memory goes on"),
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// The copy of an entry; where no namespace is named, that of the default one or of any.
    pub async fn get(&self, namespace: Option<&Namespace>, id: &MemoryId) -> Option<Found> {
        let key = key_of(id);
        let by_default = Namespace::default();
        let field = namespace.unwrap_or(&by_default).as_str();
        let mut get = redis::cmd("HGET");
        get.arg(&key).arg(field);
        let mut text: Option<String> = self.within(READ_WITHIN, get).await.flatten();
        if text.is_none() && namespace.is_none() {
            let mut all = redis::cmd("HVALS");
            all.arg(&key);
            let found: Vec<String> = self.within(READ_WITHIN, all).await?;
            text = found.into_iter().next();
        }
        serde_json::from_str(&text?).ok()
    }

    /// Makes copies be there, or not. Whether all of it was done.
    pub async fn apply(&self, changes: &[Change]) -> bool {
        let mut pipe = redis::pipe();
        for (namespace, id, found) in changes {
            let key = key_of(id);
            match found.as_ref().and_then(|found| serde_json::to_string(found).ok()) {
                Some(text) => {
                    pipe.cmd("HSET").arg(&key).arg(namespace.as_str()).arg(text).ignore();
                    pipe.cmd("PEXPIRE").arg(&key).arg(KEEP_MS).ignore();
                }
                None => _ = pipe.cmd("HDEL").arg(&key).arg(namespace.as_str()).ignore(),
            }
        }
        let Some(mut connection) = self.connection.lock().clone() else { return false };
        let done = timeout(WRITE_WITHIN, pipe.query_async::<()>(&mut connection)).await;
        self.judge(done.map_err(|_| ())).is_some()
    }

    async fn within<T: redis::FromRedisValue>(
        &self,
        limit: Duration,
        command: redis::Cmd,
    ) -> Option<T> {
        let mut connection = self.connection.lock().clone()?;
        let done = timeout(limit, command.query_async::<T>(&mut connection)).await;
        self.judge(done.map_err(|_| ()))
    }

    /// Gives a connection up that did not do it.
    fn judge<T>(&self, done: Result<Result<T, RedisError>, ()>) -> Option<T> {
        match done {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(why)) => tracing::debug!(%why, "Redis"),
            Err(()) => tracing::debug!("Redis took too long"),
        }
        *self.connection.lock() = None;
        None
    }
}

fn key_of(id: &MemoryId) -> String {
    format!("{PREFIX}:{id}")
}
