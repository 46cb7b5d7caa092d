//! One connection for each caller, opened when it is needed, closed when it is idle.
//!
//! Invariants: what a caller asks goes over a connection that was opened with that caller's own
//! credentials; there are never more than a named number of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use troupe_client::{Settings, Troupe};
use troupe_domain::{AgentId, Code, Fault};

use crate::identity::Caller;

/// Bounds of the connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionSettings {
    /// Connections at once.
    pub(crate) max_connections: usize,
    /// A connection that nobody used for so long is closed.
    pub(crate) idle: Duration,
}

/// A caller's connection.
#[derive(Debug)]
pub(crate) struct Member {
    troupe: Troupe,
}

impl Member {
    pub(crate) fn troupe(&self) -> &Troupe {
        &self.troupe
    }

    /// A member over a connection that is there already.
    pub(crate) fn over(troupe: Troupe) -> Arc<Self> {
        Arc::new(Self { troupe })
    }
}

/// The connections of all callers.
#[derive(Debug)]
pub(crate) struct Connections {
    settings: ConnectionSettings,
    places: Mutex<HashMap<Key, Place>>,
}

/// The same name with other credentials is another connection: a token that was replaced must not
/// live on in what it opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    agent: AgentId,
    user: Option<String>,
    password: Option<String>,
    credentials_file: Option<std::path::PathBuf>,
}

impl Key {
    fn of(caller: &Caller) -> Self {
        let Settings { user, password, credentials_file, .. } = &caller.settings;
        Self {
            agent: caller.agent.clone(),
            user: user.clone(),
            password: password.clone(),
            credentials_file: credentials_file.clone(),
        }
    }
}

#[derive(Debug)]
struct Place {
    member: Arc<OnceCell<Arc<Member>>>,
    used_at: Instant,
}

impl Place {
    /// Whether a call, or the loop that keeps the caller alive, has it in its hands.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.member) > 1
            || self.member.get().is_some_and(|member| Arc::strong_count(member) > 1)
    }
}

impl Connections {
    pub(crate) fn new(settings: ConnectionSettings) -> Self {
        Self { settings, places: Mutex::default() }
    }

    /// The caller's connection; opens it the first time.
    pub(crate) async fn member(&self, caller: &Caller) -> Result<Arc<Member>, Fault> {
        let key = Key::of(caller);
        let cell = self.place(&key)?;
        let opened = cell
            .get_or_try_init(|| async {
                let connecting = Troupe::connect(&caller.settings, caller.agent.clone());
                // Large, and rarely needed.
                let troupe = Box::pin(connecting).await;
                troupe.map(Member::over).map_err(|why| {
                    tracing::warn!(agent = %caller.agent, %why, "no connection for a caller");
                    Fault::new(Code::Unavailable, "the fleet cannot be reached under your name")
                })
            })
            .await;
        match opened {
            Ok(member) => Ok(member.clone()),
            Err(fault) => {
                let mut places = self.places.lock();
                // Nobody else may be waiting for the same connection at this moment.
                if places.get(&key).is_some_and(|place| place.member.get().is_none()) {
                    places.remove(&key);
                }
                Err(fault)
            }
        }
    }

    fn place(&self, key: &Key) -> Result<Arc<OnceCell<Arc<Member>>>, Fault> {
        let mut places = self.places.lock();
        let used_at = Instant::now();
        if let Some(place) = places.get_mut(key) {
            place.used_at = used_at;
            return Ok(place.member.clone());
        }
        if places.len() >= self.settings.max_connections {
            let idle = places.iter().filter(|(_, place)| !place.is_in_use());
            let longest = idle.min_by_key(|(_, place)| place.used_at).map(|(key, _)| key.clone());
            let Some(longest) = longest else {
                return Err(Fault::exhausted("max_connections", self.settings.max_connections));
            };
            if let Some(place) = places.remove(&longest) {
                close(&place);
            }
        }
        let member = Arc::new(OnceCell::new());
        places.insert(key.clone(), Place { member: member.clone(), used_at });
        Ok(member)
    }

    /// Closes what nobody used for long.
    pub(crate) fn sweep(&self) {
        let idle = self.settings.idle;
        self.places.lock().retain(|_, place| {
            let keep = place.is_in_use() || place.used_at.elapsed() < idle;
            if !keep {
                close(place);
            }
            keep
        });
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.places.lock().len()
    }

    /// Closes everything.
    pub(crate) async fn close(&self) {
        let places = std::mem::take(&mut *self.places.lock());
        for member in places.into_values().filter_map(|place| place.member.get().cloned()) {
            member.troupe.bus().close().await;
        }
    }
}

fn close(place: &Place) {
    if let Some(member) = place.member.get().cloned() {
        tokio::spawn(async move { member.troupe.bus().close().await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_domain::Name;

    fn caller(name: &str) -> Caller {
        Caller { agent: Name::parse(name).unwrap(), settings: Settings::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_than_allowed_and_what_is_used_stays() {
        let bounds = ConnectionSettings { max_connections: 2, idle: Duration::from_secs(60) };
        let connections = Connections::new(bounds);
        let first = connections.place(&Key::of(&caller("a"))).unwrap();
        let _second = connections.place(&Key::of(&caller("b"))).unwrap();
        let full = connections.place(&Key::of(&caller("c"))).unwrap_err();
        assert_eq!(full.details["limit"], "max_connections");
        drop(first);
        assert!(connections.place(&Key::of(&caller("c"))).is_ok(), "the idle one gives way");
        assert_eq!(connections.open(), 2);
        tokio::time::advance(Duration::from_secs(61)).await;
        connections.sweep();
        assert_eq!(connections.open(), 1, "one is in use still");
    }

    #[test]
    fn other_credentials_are_another_connection() {
        let one = Key::of(&caller("a"));
        let mut other = caller("a");
        other.settings.password = Some("new".to_owned());
        assert_ne!(one, Key::of(&other));
    }
}
