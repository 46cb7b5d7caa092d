//! Presence: which replicas are there, and which shards each says it owns.
//!
//! Presence only decides who tries to own a shard. Safety is the fence of the log. A replica that was
//! itself deaf discounts its own absence before it takes anybody for gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use troupe_bus::Bus;
use troupe_bus::connect::ConnectError;
use troupe_contract::{Service, subject};

use crate::place::digest;

/// How often a replica says that it is there.
pub const PRESENCE_INTERVAL: Duration = Duration::from_millis(500);
/// Silence after which a replica is taken for gone.
pub const GONE_AFTER: Duration = Duration::from_millis(2_500);
/// How long a new replica listens before it concludes who is there.
const FIRST_LOOK: Duration = Duration::from_millis(150);

/// What a replica says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hello {
    replica: String,
    owned: BTreeSet<u16>,
    leaving: bool,
    /// Please answer at once: I am new.
    asking: bool,
}

/// Who is there, as far as this replica knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// The shards that each living replica says it owns; this replica included.
    pub owned: BTreeMap<String, BTreeSet<u16>>,
}

impl Members {
    /// The replica that should own `shard`: rendezvous hashing, so that a change of members moves as
    /// few shards as possible.
    pub fn owner_of(&self, shard: u16) -> Option<&String> {
        self.owned.keys().max_by_key(|replica| {
            (digest(format!("{replica}/{shard}").as_bytes()), (*replica).clone())
        })
    }

    /// Whether a replica other than `me` says that it owns `shard`.
    pub fn is_owned_by_another(&self, me: &str, shard: u16) -> bool {
        self.owned.iter().any(|(replica, owned)| replica != me && owned.contains(&shard))
    }
}

/// This replica's presence.
#[derive(Debug)]
pub struct Presence {
    /// Its name.
    pub replica: String,
    service: Service,
    members: watch::Sender<Members>,
    owned: parking_lot::Mutex<BTreeSet<u16>>,
    leaving: watch::Sender<bool>,
    say: Notify,
}

impl Presence {
    /// A replica of `service` by the name `replica`, unique to this process. Nobody is there yet.
    pub fn new(service: Service, replica: String) -> Self {
        Self {
            replica,
            service,
            members: watch::channel(Members::default()).0,
            owned: parking_lot::Mutex::default(),
            leaving: watch::channel(false).0,
            say: Notify::new(),
        }
    }

    /// Changes of who is there.
    pub fn members(&self) -> watch::Receiver<Members> {
        self.members.subscribe()
    }

    /// Whether no other replica is there.
    pub fn is_alone(&self) -> bool {
        self.members.borrow().owned.len() < 2
    }

    /// Says at once that this replica owns, or no longer owns, a shard.
    pub fn owns(&self, shard: u16, owns: bool) {
        let mut owned = self.owned.lock();
        if owns {
            owned.insert(shard)
        } else {
            owned.remove(&shard)
        };
        drop(owned);
        self.say.notify_one();
    }

    /// Says goodbye: others take over at once.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
        self.say.notify_one();
    }

    /// Speaks and listens until it is aborted.
    pub async fn run(&self, bus: &Bus) -> Result<(), ConnectError> {
        let mut listener = bus.listen(&subject::presence(self.service)).await?;
        let started = Instant::now();
        let mut others: BTreeMap<String, (Instant, BTreeSet<u16>)> = BTreeMap::new();
        let mut tick = tokio::time::interval(PRESENCE_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_turn = Instant::now();
        let mut heard_myself = Instant::now();
        let mut asking = true;
        loop {
            tokio::select! {
                heard = listener.next() => {
                    let Some(heard) = heard else { return Ok(()) };
                    // Junk on an internal subject is nobody's presence.
                    let Ok(hello) = heard.decode::<Hello>() else { continue };
                    if hello.replica == self.replica {
                        heard_myself = Instant::now();
                    } else {
                        self.hear(hello, &mut others);
                    }
                }
                _ = tick.tick() => self.speak(bus, std::mem::take(&mut asking)).await,
                () = self.say.notified() => self.speak(bus, false).await,
            }
            // Who does not hear itself hears nobody: a half-open connection says nothing.
            let deaf = last_turn.elapsed() > PRESENCE_INTERVAL * 2
                || heard_myself.elapsed() > PRESENCE_INTERVAL * 3
                || !bus.is_connected();
            last_turn = Instant::now();
            if deaf {
                others.values_mut().for_each(|(heard, _)| *heard = last_turn);
            }
            others.retain(|_, (heard, _)| heard.elapsed() < GONE_AFTER);
            if started.elapsed() > FIRST_LOOK {
                self.conclude(&others);
            }
        }
    }

    fn hear(&self, hello: Hello, others: &mut BTreeMap<String, (Instant, BTreeSet<u16>)>) {
        if hello.leaving {
            others.remove(&hello.replica);
        } else {
            others.insert(hello.replica, (Instant::now(), hello.owned));
        }
        if hello.asking {
            self.say.notify_one();
        }
    }

    async fn speak(&self, bus: &Bus, asking: bool) {
        let hello = Hello {
            replica: self.replica.clone(),
            owned: self.owned.lock().clone(),
            leaving: *self.leaving.borrow(),
            asking,
        };
        let body = serde_json::to_vec(&hello).unwrap_or_default();
        bus.tell(subject::presence(self.service), body.into()).await;
    }

    fn conclude(&self, others: &BTreeMap<String, (Instant, BTreeSet<u16>)>) {
        let mut owned: BTreeMap<String, BTreeSet<u16>> =
            others.iter().map(|(name, (_, owned))| (name.clone(), owned.clone())).collect();
        if !*self.leaving.borrow() {
            owned.insert(self.replica.clone(), self.owned.lock().clone());
        }
        let members = Members { owned };
        self.members.send_if_modified(|known| {
            let changed = *known != members;
            if changed {
                *known = members;
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[&str]) -> Members {
        Members { owned: names.iter().map(|n| ((*n).to_owned(), BTreeSet::new())).collect() }
    }

    #[test]
    fn losing_a_replica_moves_only_its_own_shards() {
        let all = members(&["a", "b", "c"]);
        let fewer = members(&["a", "b"]);
        for shard in 0..64 {
            let before = all.owner_of(shard).unwrap();
            if before != "c" {
                assert_eq!(fewer.owner_of(shard), Some(before));
            }
        }
        let share = (0..64).filter(|s| all.owner_of(*s).unwrap() == "a").count();
        assert!((8..=40).contains(&share), "{share} of 64");
    }
}
