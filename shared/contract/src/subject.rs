//! Every subject of Troupe, made in one place.
//!
//! The caller's name is the last token of a request, because NATS permissions can bind it to the
//! credentials: identity comes from the subject, never from the payload.

use troupe_domain::Name;

use crate::{Endpoint, Service};

/// The version that starts every subject.
pub const PREFIX: &str = "troupe.v1";
/// The operation that carries several calls of one caller ([`crate::batch`]).
pub const BATCH: &str = "batch";

/// `troupe.v1.<service>.<operation>.<caller>`
pub fn request<E: Endpoint>(caller: &Name) -> String {
    request_of(E::SERVICE, E::OPERATION, caller)
}

/// `troupe.v1.<service>.<operation>.*`: what a service listens on.
pub fn operation(service: Service, operation: &str) -> String {
    format!("{PREFIX}.{}.{operation}.*", service.token())
}

/// `troupe.v1.<service>.<operation>.<caller>`, of an operation that is known by its name.
pub fn request_of(service: Service, operation: &str, caller: &Name) -> String {
    format!("{PREFIX}.{}.{operation}.{caller}", service.token())
}

/// The caller: the last token of a request's subject.
pub fn caller_of(subject: &str) -> Option<Name> {
    subject.rsplit('.').next().and_then(|token| Name::parse(token).ok())
}

/// `troupe.v1.event.<entity>.<event>`
pub fn event(entity: &str, event: &str) -> String {
    [PREFIX, ".event.", entity, ".", event].concat()
}

/// `troupe.v1.event.<entity>.*`
pub fn events_of(entity: &str) -> String {
    format!("{PREFIX}.event.{entity}.*")
}

/// `troupe.v1.archive.task.<shard>.<piece>`: tasks that ended and left the memory of their shard.
pub fn task_archive(shard: u16, piece: u64) -> String {
    format!("{PREFIX}.archive.task.{shard}.{piece}")
}

/// `troupe.v1.archive.<entity>.<id>`: the last word on an entity that its service no longer keeps.
pub fn archive(entity: &str, id: &Name) -> String {
    [PREFIX, ".archive.", entity, ".", id.as_str()].concat()
}

/// `troupe.v1.hold.<agent>.<task>`: what takes a task out of an agent's hands, told to the agent at
/// once and without any promise.
pub fn hold(agent: &Name, task: &Name) -> String {
    [PREFIX, ".hold.", agent.as_str(), ".", task.as_str()].concat()
}

/// `troupe.v1.log.<service>.<shard>.record`: the log of one shard of a service.
pub fn shard_log(service: Service, shard: u16) -> String {
    format!("{PREFIX}.log.{}.{shard}.record", service.token())
}

/// `troupe.v1.log.<service>.<shard>.snapshot.<through>.<chunk>`: one piece of a snapshot.
pub fn shard_snapshot(service: Service, shard: u16, through: u64, chunk: usize) -> String {
    format!("{PREFIX}.log.{}.{shard}.snapshot.{through}.{chunk}", service.token())
}

/// `troupe.v1.log.<service>.<shard>.manifest`: where the newest snapshots are.
pub fn shard_manifest(service: Service, shard: u16) -> String {
    format!("{PREFIX}.log.{}.{shard}.manifest", service.token())
}

/// `troupe.v1.state.agent.<id>`: the newest state of one agent.
pub fn agent_state(id: &Name) -> String {
    format!("{PREFIX}.state.agent.{id}")
}

/// `troupe.v1.state.agent.*`: the newest state of every agent.
pub fn agent_states() -> String {
    format!("{PREFIX}.state.agent.*")
}

/// `troupe.v1.state.route.<id>`: the newest state of one route.
pub fn route_state(id: &Name) -> String {
    format!("{PREFIX}.state.route.{id}")
}

/// `troupe.v1.state.route.*`: the newest state of every route.
pub fn route_states() -> String {
    format!("{PREFIX}.state.route.*")
}

/// `troupe.v1.object.<id>.batch`: each batch of a shared object, once plan sync has made it durable.
pub fn object_batches(object: &Name) -> String {
    format!("{PREFIX}.object.{object}.batch")
}

/// `troupe.v1.object.<id>.peer.<sender>`: what one replica of an object tells the others.
pub fn object_peer(object: &Name, sender: &Name) -> String {
    format!("{PREFIX}.object.{object}.peer.{sender}")
}

/// `troupe.v1.object.<id>.peer.*`: what the replicas of an object tell each other.
pub fn object_peers(object: &Name) -> String {
    format!("{PREFIX}.object.{object}.peer.*")
}

/// `troupe.v1.internal.<service>.shard.<shard>`: where the owner of a shard answers its peers.
pub fn shard_owner(service: Service, shard: u16) -> String {
    format!("{PREFIX}.internal.{}.shard.{shard}", service.token())
}

/// `troupe.v1.internal.<service>.presence`: which replicas are there.
pub fn presence(service: Service) -> String {
    format!("{PREFIX}.internal.{}.presence", service.token())
}

/// `troupe.v1.internal.work.ready`: a hint that a task waits and nobody here wants it.
pub fn work_ready() -> String {
    format!("{PREFIX}.internal.work.ready")
}

/// `troupe.v1.internal.routing.peers`: what replicas tell each other of agents at work.
pub fn routing_peers() -> String {
    format!("{PREFIX}.internal.routing.peers")
}

/// `troupe.v1.internal.routing.ready`: a hint that a mailbox has something and nobody here waits for it.
pub fn routing_ready() -> String {
    format!("{PREFIX}.internal.routing.ready")
}

/// `_INBOX.<name>`: the prefix of a client's reply inboxes. Permissions keep it private to its owner,
/// and let services answer to `_INBOX.>` and nowhere else.
pub fn inbox_prefix(name: &Name) -> String {
    format!("_INBOX.{name}")
}
