//! The hot tier: signs of life in Redis, so that a replica that starts can show them.
//!
//! The only module that knows Redis. Invariant: nothing depends on it. It is written at most once a
//! second in one pipeline, with short timeouts; what is lost is written again with the next heartbeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use troupe_domain::{AgentId, Name, TaskId, Timestamp};

use crate::rules::fleet::Vital;

/// The hash that holds everybody, a field each.
const KEY: &str = "troupe:v1:registry:vitals";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a batch may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Why the hot tier did not do it.
#[derive(Debug, thiserror::Error)]
#[error("Redis: {0}")]
pub struct HotTierError(String);

/// One agent's field.
#[derive(Debug, Serialize, Deserialize)]
struct Field {
    heard_at: Timestamp,
    active_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    running: Option<Vec<TaskId>>,
}

/// The hot tier, as one replica writes to it.
#[derive(Debug)]
pub struct HotTier {
    client: redis::Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    ttl_s: i64,
    healthy: AtomicBool,
}

impl HotTier {
    /// A hot tier at `url` whose facts are forgotten after `ttl` without a write. Does not connect yet.
    pub fn new(url: &str, ttl: Duration) -> Result<Self, HotTierError> {
        let client = redis::Client::open(url).map_err(|why| HotTierError(why.to_string()))?;
        Ok(Self {
            client,
            connection: Mutex::new(None),
            ttl_s: i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX),
            healthy: AtomicBool::new(false),
        })
    }

    /// Whether the last access worked.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Writes vital signs; removes those of agents that are gone.
    pub async fn save(&self, batch: &[(AgentId, Option<Vital>)]) -> Result<(), HotTierError> {
        let mut pipe = redis::pipe();
        for (id, vital) in batch {
            match vital {
                Some(vital) => pipe.hset(KEY, id.as_str(), encode(vital)).ignore(),
                None => pipe.hdel(KEY, id.as_str()).ignore(),
            };
        }
        pipe.expire(KEY, self.ttl_s).ignore();
        self.run::<()>(&pipe).await
    }

    /// Reads back everybody's vital signs.
    pub async fn load(&self) -> Result<Vec<(AgentId, Vital)>, HotTierError> {
        let (fields,): (Vec<(String, String)>,) = self.run(redis::pipe().hgetall(KEY)).await?;
        Ok(fields.iter().filter_map(|(id, text)| decode(id, text)).collect())
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        pipe: &redis::Pipeline,
    ) -> Result<T, HotTierError> {
        let mut slot = self.connection.lock().await;
        let done = async {
            let mut connection = if let Some(connection) = slot.take() {
                connection
            } else {
                let config = redis::AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(Some(RESPONSE_TIMEOUT));
                self.client.get_multiplexed_async_connection_with_config(&config).await?
            };
            let value = pipe.query_async(&mut connection).await?;
            // Only a connection that answered is kept.
            *slot = Some(connection);
            Ok(value)
        };
        let done: Result<T, redis::RedisError> = done.await;
        self.healthy.store(done.is_ok(), Ordering::Relaxed);
        done.map_err(|why| HotTierError(why.to_string()))
    }
}

fn encode(vital: &Vital) -> String {
    let field = Field {
        heard_at: vital.heard_at,
        active_at: vital.active_at,
        running: vital.running.as_ref().map(|ids| ids.to_vec()),
    };
    // Times and names always serialise.
    serde_json::to_string(&field).unwrap_or_default()
}

fn decode(id: &str, text: &str) -> Option<(AgentId, Vital)> {
    let field: Field = serde_json::from_str(text).ok()?;
    let running = field.running.map(Arc::from);
    let vital = Vital { heard_at: field.heard_at, active_at: field.active_at, running };
    Some((Name::parse(id).ok()?, vital))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_survives_and_junk_is_passed_over() {
        let running: Arc<[TaskId]> = [Name::parse("t").unwrap()].into();
        let at = Timestamp::from_millis(5);
        let vital = Vital { heard_at: at, active_at: at, running: Some(running.clone()) };
        let (id, read) = decode("a", &encode(&vital)).unwrap();
        assert_eq!((id.as_str(), read.heard_at, read.running), ("a", at, Some(running)));
        assert!(decode("a", "junk").is_none() && decode("a.b", &encode(&vital)).is_none());
    }
}
