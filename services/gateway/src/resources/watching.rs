//! Who follows which resource, and what changed since they were told.
//!
//! Invariant: a follower that is slow costs nothing but its own delay: what changes meanwhile is a
//! set, never longer than what it follows. A change that happens while NATS is away may not be told:
//! an update is a hint to read, without a promise.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde::de::IgnoredAny;
use tokio::sync::Notify;
use troupe_bus::Bus;
use troupe_bus::events::{Heard, Listener};
use troupe_contract::subject;
use troupe_domain::{Fault, Name};

use super::uri::{Kind, ResourceId};

/// Everybody who follows something.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    followers: Mutex<HashMap<ResourceId, Vec<Weak<State>>>>,
}

/// One client that follows resources; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    hub: Arc<Hub>,
    state: Arc<State>,
    max_followed: usize,
}

#[derive(Debug, Default)]
struct State {
    sets: Mutex<Sets>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Sets {
    followed: BTreeSet<ResourceId>,
    changed: BTreeSet<ResourceId>,
}

impl Hub {
    /// A client that follows nothing yet.
    pub(crate) fn watcher(self: &Arc<Self>, max_followed: usize) -> Watcher {
        Watcher { hub: self.clone(), state: Arc::default(), max_followed }
    }

    /// Resources that somebody follows.
    pub(crate) fn followed(&self) -> usize {
        self.followers.lock().len()
    }

    /// Hears the events of every kind, and tells who follows what they are about; until the
    /// connection is closed.
    pub(crate) async fn listen(self: Arc<Self>, bus: Bus) -> anyhow::Result<()> {
        let mut listeners = Vec::new();
        for kind in Kind::ALL {
            listeners.push((kind, bus.listen(&subject::events_of(kind.entity())).await?));
        }
        let each = listeners.into_iter().map(|(kind, listener)| self.hear(kind, listener));
        futures::future::join_all(each).await;
        Ok(())
    }

    async fn hear(&self, kind: Kind, mut listener: Listener) {
        while let Some(heard) = listener.next().await {
            self.take(kind, &heard);
        }
    }

    fn take(&self, kind: Kind, heard: &Heard) {
        match heard.events::<IgnoredAny>() {
            Ok(events) => {
                for id in events.iter().filter_map(|event| Name::parse(&event.subject).ok()) {
                    self.told(&ResourceId { kind, id });
                }
            }
            Err(why) => tracing::debug!(%why, subject = heard.subject, "an event that is none"),
        }
    }

    /// A resource has changed.
    fn told(&self, resource: &ResourceId) {
        let followers = self.followers.lock();
        for state in followers.get(resource).into_iter().flatten().filter_map(Weak::upgrade) {
            state.sets.lock().changed.insert(resource.clone());
            state.news.notify_one();
        }
    }

    fn forget(&self, resource: &ResourceId, state: &Arc<State>) {
        let mut followers = self.followers.lock();
        if let Some(list) = followers.get_mut(resource) {
            list.retain(|it| {
                it.strong_count() > 0 && !std::ptr::eq(it.as_ptr(), &raw const **state)
            });
            if list.is_empty() {
                followers.remove(resource);
            }
        }
    }
}

impl Watcher {
    /// Follows one more.
    pub(crate) fn follow(&self, resource: ResourceId) -> Result<(), Fault> {
        {
            let mut sets = self.state.sets.lock();
            if sets.followed.contains(&resource) {
                return Ok(());
            }
            if sets.followed.len() >= self.max_followed {
                return Err(Fault::exhausted("max_subscriptions", self.max_followed));
            }
            sets.followed.insert(resource.clone());
        }
        let follower = Arc::downgrade(&self.state);
        self.hub.followers.lock().entry(resource).or_default().push(follower);
        Ok(())
    }

    /// Follows one less.
    pub(crate) fn unfollow(&self, resource: &ResourceId) {
        {
            let mut sets = self.state.sets.lock();
            sets.followed.remove(resource);
            sets.changed.remove(resource);
        }
        self.hub.forget(resource, &self.state);
    }

    /// What has changed since this was last asked; waits until something has.
    pub(crate) async fn changed(&self) -> BTreeSet<ResourceId> {
        loop {
            let changed = std::mem::take(&mut self.state.sets.lock().changed);
            if !changed.is_empty() {
                return changed;
            }
            self.state.news.notified().await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let followed = std::mem::take(&mut self.state.sets.lock().followed);
        for resource in &followed {
            self.hub.forget(resource, &self.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str) -> ResourceId {
        ResourceId { kind: Kind::Task, id: Name::parse(id).unwrap() }
    }

    #[tokio::test]
    async fn a_follower_hears_of_what_it_follows_once_however_often_it_changed() {
        let hub = Arc::new(Hub::default());
        let watcher = hub.watcher(2);
        watcher.follow(task("a")).unwrap();
        watcher.follow(task("b")).unwrap();
        for id in ["a", "a", "c", "b", "a"] {
            hub.told(&task(id));
        }
        assert_eq!(watcher.changed().await, BTreeSet::from([task("a"), task("b")]));
        watcher.unfollow(&task("a"));
        hub.told(&task("a"));
        hub.told(&task("b"));
        assert_eq!(watcher.changed().await, BTreeSet::from([task("b")]));
    }

    #[test]
    fn following_is_bounded_and_ends_with_the_follower() {
        let hub = Arc::new(Hub::default());
        let (one, other) = (hub.watcher(1), hub.watcher(1));
        one.follow(task("a")).unwrap();
        one.follow(task("a")).unwrap();
        other.follow(task("a")).unwrap();
        assert_eq!(one.follow(task("b")).unwrap_err().details["limit"], "max_subscriptions");
        drop(one);
        assert_eq!(hub.followed(), 1);
        drop(other);
        assert_eq!(hub.followed(), 0);
    }
}
