//! Telling a client what has changed of what it follows, in both revisions.

use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, SubscriptionContext};
use tokio::task::JoinHandle;
use troupe_domain::Fault;

use crate::resources::{ResourceId, Watcher};

/// What the client of one session follows; it ends with the session.
#[derive(Debug)]
pub(super) struct Following {
    watcher: Arc<Watcher>,
    telling: JoinHandle<()>,
}

impl Following {
    /// Tells `peer` on the stream that its session has for what nobody asked for.
    pub(super) fn start(watcher: Watcher, peer: Peer<RoleServer>) -> Self {
        let watcher = Arc::new(watcher);
        let watched = watcher.clone();
        let telling = tokio::spawn(async move {
            loop {
                for resource in watched.changed().await {
                    let what = ResourceUpdatedNotificationParam::new(resource.uri());
                    if let Err(why) = peer.notify_resource_updated(what).await {
                        tracing::debug!(%why, "a client is told no more");
                        return;
                    }
                }
            }
        });
        Self { watcher, telling }
    }

    pub(super) fn follow(&self, resource: ResourceId) -> Result<(), Fault> {
        self.watcher.follow(resource)
    }

    pub(super) fn unfollow(&self, resource: &ResourceId) {
        self.watcher.unfollow(resource);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.telling.abort();
    }
}

/// Tells the client of one stream, until it is closed.
pub(super) async fn tell(watcher: &Watcher, context: &SubscriptionContext) {
    loop {
        let changed = tokio::select! {
            changed = watcher.changed() => changed,
            () = context.cancelled() => return,
        };
        for resource in changed {
            if let Err(why) = context.sink().notify_resource_updated(resource.uri()).await {
                tracing::debug!(%why, "a stream is told no more");
                return;
            }
        }
    }
}
