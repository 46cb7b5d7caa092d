//! What each kind of credential may publish and subscribe to.
//!
//! Invariants, each with a test:
//! - what an agent, a person or an observer may publish ends in its own name, or only reads the
//!   stream of events: nobody but a service can speak as somebody else;
//! - replies go to inboxes alone: a service may publish to `_INBOX.>` and to what it owns, so that
//!   a caller who names a foreign subject as its reply subject gets nothing sent there.
//!
//! What permissions cannot bind: the server itself answers a JetStream request to any reply subject.
//! Such an answer has a body that no endpoint reads and no reply subject of its own.

use serde_json::{Map, Value, json};
use troupe_domain::Name;

use super::agent_messages;
use super::sorted_json;
use crate::endpoint::{Audience, Service};
use crate::subject::{self, PREFIX};
use crate::{catalogue, event, stream};

/// Stands for the name in the credentials, in documents.
const PLACEHOLDER: &str = "<name>";

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An agent, or a person who works like one.
    Agent,
    /// A person who looks after the fleet: an agent's permissions, and what the services and the
    /// server tell of their own state.
    Operator,
    /// Somebody who watches: live events, and no word of its own.
    Observer,
    /// A replica of a service.
    Service(Service),
}

impl Kind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        let services = Service::ALL.into_iter().map(Self::Service);
        [Self::Agent, Self::Operator, Self::Observer].into_iter().chain(services)
    }

    fn label(self) -> String {
        match self {
            Self::Agent => "agent".to_owned(),
            Self::Operator => "operator".to_owned(),
            Self::Observer => "observer".to_owned(),
            Self::Service(service) => format!("service:{}", service.token()),
        }
    }
}

/// Allowed subjects; what is not listed is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// May publish to these.
    pub publish: Vec<String>,
    /// May subscribe to these.
    pub subscribe: Vec<String>,
}

/// The permissions of `name` as a credential of `kind`.
pub fn permissions_of(kind: Kind, name: &Name) -> Permissions {
    for_name(kind, name.as_str())
}

fn for_name(kind: Kind, name: &str) -> Permissions {
    match kind {
        Kind::Agent => agent(name),
        Kind::Operator => operator(name),
        Kind::Observer => observer(),
        Kind::Service(service) => of_service(service, name),
    }
}

fn agent(name: &str) -> Permissions {
    let mut publish = requests(name, |audience| audience == Audience::Everyone);
    publish.extend(agent_messages::ALL.iter().flat_map(|message| message.published_by(name)));
    publish.extend(replaying_events());
    // To itself, to learn that the server has everything that was sent before.
    publish.push(inbox(name));
    // What the replicas of a shared object tell each other.
    publish.push(format!("{PREFIX}.object.*.peer.{name}"));
    let mut subscribe =
        vec![inbox(name), every_event(), every_object(), format!("{PREFIX}.hold.{name}.*")];
    subscribe.extend(agent_messages::ALL.iter().filter_map(|message| message.read_by(name)));
    Permissions { publish, subscribe }
}

fn operator(name: &str) -> Permissions {
    let mut permissions = agent(name);
    permissions.publish.push("$JS.API.INFO".to_owned());
    for verb in ["PING", "INFO", "STATS"] {
        permissions.publish.push(format!("$SRV.{verb}"));
        permissions.publish.push(format!("$SRV.{verb}.>"));
    }
    permissions
}

fn observer() -> Permissions {
    Permissions { publish: Vec::new(), subscribe: vec![every_event()] }
}

fn of_service(service: Service, name: &str) -> Permissions {
    let internal = format!("{PREFIX}.internal.>");
    let mut publish = requests(name, |_| true);
    publish.extend([
        internal.clone(),
        "_INBOX.>".to_owned(),
        // One stream has as many shards as the deployment says, and a subject's wildcards cannot
        // match the beginning of a stream's name: services get the whole API.
        "$JS.API.>".to_owned(),
        "$JS.ACK.>".to_owned(),
        "$JS.FC.>".to_owned(),
    ]);
    publish.extend(written_by(service));
    let mut subscribe: Vec<String> = catalogue::endpoints()
        .filter(|entry| entry.service == service)
        .map(|entry| subject::operation(entry.service, entry.operation))
        .collect();
    subscribe.extend([internal, "$SRV.>".to_owned(), inbox(name), every_event()]);
    Permissions { publish, subscribe }
}

/// What only this service writes: its events and its truth.
fn written_by(service: Service) -> Vec<String> {
    let events = |entity: &str| format!("{PREFIX}.event.{entity}.>");
    match service {
        Service::Registry => {
            vec![
                events(event::AGENT),
                format!("{PREFIX}.archive.agent.*"),
                format!("{PREFIX}.state.agent.*"),
            ]
        }
        Service::Work => {
            vec![
                events(event::TASK),
                format!("{PREFIX}.archive.task.*.*"),
                format!("{PREFIX}.hold.>"),
                format!("{PREFIX}.log.work.>"),
            ]
        }
        Service::Routing => {
            let entities =
                [event::MAILBOX, event::SESSION, event::BREAKER, event::ROUTE, event::FEEDBACK];
            let mut written: Vec<String> = entities.into_iter().map(events).collect();
            written.push(format!("{PREFIX}.log.{}.>", service.token()));
            written.push(subject::route_states());
            written
        }
        Service::Progress => {
            vec![
                events(event::PROGRESS),
                events(event::MILESTONE),
                format!("{PREFIX}.log.{}.>", service.token()),
            ]
        }
        Service::Memory => {
            vec![events(event::MEMORY), format!("{PREFIX}.log.{}.>", service.token())]
        }
        Service::Plan => {
            vec![
                events(event::PLAN),
                format!("{PREFIX}.log.{}.>", service.token()),
                format!("{PREFIX}.object.*.batch"),
            ]
        }
    }
}

fn requests(name: &str, may_call: impl Fn(Audience) -> bool) -> Vec<String> {
    catalogue::endpoints()
        .filter(|entry| may_call(entry.audience))
        .map(|entry| {
            super::with_last_token(&subject::operation(entry.service, entry.operation), name)
        })
        .collect()
}

/// `_INBOX.<name>.>`
fn inbox(name: &str) -> String {
    format!("_INBOX.{name}.>")
}

fn every_object() -> String {
    format!("{PREFIX}.object.>")
}

fn every_event() -> String {
    format!("{PREFIX}.event.>")
}

/// The JetStream requests with which a reader replays the stream of events: look at the stream,
/// make a consumer that goes away by itself and needs no acks, and pull from it. Nothing in a service rests on a
/// consumer of that stream, so a reader can at worst disturb another reader.
fn replaying_events() -> [String; 5] {
    let stream = stream::events().name;
    [
        format!("$JS.API.STREAM.INFO.{stream}"),
        format!("$JS.API.CONSUMER.CREATE.{stream}"),
        format!("$JS.API.CONSUMER.CREATE.{stream}.>"),
        format!("$JS.API.CONSUMER.INFO.{stream}.*"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.*"),
    ]
}

/// The document `permissions.json`.
pub fn permissions() -> String {
    let kinds: Map<String, Value> = Kind::all()
        .map(|kind| {
            let Permissions { publish, subscribe } = for_name(kind, PLACEHOLDER);
            let rules = json!({
                "publish": {"allow": publish},
                "subscribe": {"allow": subscribe},
            });
            (kind.label(), rules)
        })
        .collect();
    sorted_json::text(&json!({
        "description": "NATS permissions by kind of credential. <name> is the user name in the \
                        credentials. An empty list allows nothing.",
        "kinds": kinds,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// Whether `pattern` matches `subject`, as the server does it.
    fn matches(pattern: &str, subject: &str) -> bool {
        let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
        loop {
            match (pattern.next(), subject.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
    }

    fn allows(list: &[String], subject: &str) -> bool {
        list.iter().any(|pattern| matches(pattern, subject))
    }

    #[test]
    fn what_an_agent_publishes_ends_in_its_name_or_reads_events() {
        for kind in [Kind::Agent, Kind::Operator] {
            for subject in permissions_of(kind, &name("alice")).publish {
                let own =
                    subject.starts_with(PREFIX) && subject.rsplit('.').next() == Some("alice");
                let reads = subject.contains(&stream::events().name);
                let asks = kind == Kind::Operator
                    && (subject.starts_with("$SRV.") || subject == "$JS.API.INFO");
                let itself = subject == inbox("alice");
                assert!(own || reads || asks || itself, "{subject}");
            }
        }
    }

    #[test]
    fn an_agent_calls_exactly_the_endpoints_of_everyone_and_only_as_itself() {
        let publish = permissions_of(Kind::Agent, &name("alice")).publish;
        for entry in catalogue::endpoints() {
            let stem = format!("{PREFIX}.{}.{}", entry.service.token(), entry.operation);
            let everyone = entry.audience == Audience::Everyone;
            assert_eq!(allows(&publish, &format!("{stem}.alice")), everyone, "{stem}");
            assert!(!allows(&publish, &format!("{stem}.bob")), "{stem}");
        }
    }

    #[test]
    fn an_agent_sends_in_its_own_name_and_reads_its_own_mail() {
        let permissions = permissions_of(Kind::Agent, &name("alice"));
        assert!(allows(&permissions.publish, "troupe.v1.agent.bob.inbox.alice"));
        assert!(!allows(&permissions.publish, "troupe.v1.agent.bob.inbox.bob"));
        assert!(allows(&permissions.publish, "troupe.v1.topic.news.alice"));
        assert!(allows(&permissions.publish, "troupe.v1.topic.a.b.c.d.e.f.g.h.alice"));
        assert!(!allows(&permissions.publish, "troupe.v1.topic.news.bob"));
        assert!(!allows(&permissions.publish, "troupe.v1.topic.alice.bob"));
        assert!(!allows(&permissions.publish, "troupe.v1.ingress.inbox.0.bob.alice"));
        assert!(!allows(&permissions.publish, "troupe.v1.event.task.task_completed"));
        assert!(!allows(&permissions.publish, "troupe.v1.internal.work.ready"));
        assert!(allows(&permissions.subscribe, "troupe.v1.agent.alice.inbox.bob"));
        assert!(!allows(&permissions.subscribe, "troupe.v1.agent.bob.inbox.alice"));
        assert!(!allows(&permissions.subscribe, "troupe.v1.work.complete.bob"));
        assert!(allows(&permissions.subscribe, "troupe.v1.hold.alice.t1"));
        assert!(!allows(&permissions.subscribe, "troupe.v1.hold.bob.t1"));
        assert!(!allows(&permissions.publish, "troupe.v1.hold.alice.t1"));
        assert!(allows(&permissions.subscribe, "_INBOX.alice.x1"));
        assert!(!allows(&permissions.subscribe, "_INBOX.bob.x1"));
    }

    #[test]
    fn the_inbox_is_the_one_that_clients_use() {
        let alice = name("alice");
        assert_eq!(inbox("alice"), format!("{}.>", subject::inbox_prefix(&alice)));
    }

    #[test]
    fn a_service_writes_what_it_owns_and_answers_inboxes_alone() {
        let registry = name(Service::Registry.full_name());
        let publish = permissions_of(Kind::Service(Service::Registry), &registry).publish;
        assert!(allows(&publish, "troupe.v1.state.agent.alice"));
        assert!(allows(&publish, "_INBOX.alice.x1"));
        assert!(!allows(&publish, "troupe.v1.log.work.0.record"));
        assert!(!allows(&publish, "troupe.v1.event.task.task_completed"));
        // A reply subject that a caller may have chosen.
        assert!(!allows(&publish, "troupe.v1.work.complete.bob"));
        assert!(!allows(&publish, "troupe.v1.agent.bob.inbox.alice"));
    }

    #[test]
    fn nobody_hears_mail_but_whom_it_is_for() {
        let mail = "troupe.v1.agent.bob.inbox.alice";
        for kind in Kind::all() {
            assert!(!allows(&permissions_of(kind, &name("carol")).subscribe, mail), "{kind:?}");
        }
    }

    #[test]
    fn every_stream_can_be_written_by_the_service_that_owns_it() {
        let publish: Vec<String> = Service::ALL.into_iter().flat_map(written_by).collect();
        for subject in [
            subject::agent_state(&name("a")),
            subject::shard_log(Service::Work, 0),
            subject::shard_manifest(Service::Work, 0),
            subject::event(event::TASK, "task_created"),
            subject::task_archive(3, 17),
            subject::archive(event::AGENT, &name("a")),
            subject::hold(&name("a"), &name("t")),
            subject::event(event::AGENT, "agent_crashed"),
            subject::shard_log(Service::Routing, 0),
            subject::route_state(&name("r")),
            subject::event(event::MAILBOX, "message_dead"),
            subject::event(event::SESSION, "session_closed"),
            subject::shard_log(Service::Plan, 0),
            subject::object_batches(&name("p")),
            subject::event(event::PLAN, "plan_changed"),
            subject::shard_log(Service::Progress, 0),
            subject::event(event::PROGRESS, "progress_stalled"),
            subject::shard_log(Service::Memory, 0),
            subject::event(event::MEMORY, "memory_created"),
            subject::event(event::MILESTONE, "milestone_missed"),
        ] {
            assert!(allows(&publish, &subject), "{subject}");
        }
    }

    #[test]
    fn an_observer_is_silent() {
        let Permissions { publish, subscribe } = permissions_of(Kind::Observer, &name("eve"));
        assert!(publish.is_empty());
        assert_eq!(subscribe, ["troupe.v1.event.>"]);
    }
}
