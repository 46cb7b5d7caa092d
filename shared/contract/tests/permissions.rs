//! The generated permissions against a real nats-server: what one credential may say and hear.
//!
//! Each refusal is seen as the server's own error event, beside a permitted message over the same
//! connection that shows that the connection works.

use std::time::Duration;

use async_nats::jetstream::{self, consumer};
use async_nats::{Client, ConnectOptions, Event, ServerError, Subscriber};
use futures::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use troupe_contract::generate::permissions::Kind;
use troupe_contract::generate::{User, nats_config};
use troupe_contract::{Service, stream, subject};
use troupe_domain::Name;
use troupe_testkit::NatsServer;

/// Long enough for the slowest machine; nothing waits this long that succeeds.
const DEADLINE: Duration = Duration::from_secs(20);
/// Nobody may publish to this.
const FORBIDDEN: &str = "no.one.may";
/// Everything that a configuration file could misread.
const NASTY_PASSWORD: &str = "p\" } ] # $x \\ 'q' {\n\t\u{1} ü";

struct Login {
    client: Client,
    refusals: UnboundedReceiver<String>,
}

impl Login {
    async fn new(server: &NatsServer, name: &str) -> Self {
        let (told, refusals) = unbounded_channel();
        let prefix = subject::inbox_prefix(&Name::parse(name).unwrap());
        let client = options(name)
            .custom_inbox_prefix(prefix)
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(text)) = event {
                    let _ = told.send(text);
                }
                std::future::ready(())
            })
            .connect(server.url())
            .await
            .unwrap();
        Self { client, refusals }
    }

    /// The server's next refusal.
    async fn refusal(&mut self) -> String {
        let text = tokio::time::timeout(DEADLINE, self.refusals.recv()).await;
        text.expect("the server refuses within the deadline").unwrap().to_lowercase()
    }

    /// Subscribes, and returns once the server knows of it: it takes what one connection says in
    /// order, and has already refused what came after.
    async fn hears(&mut self, subject: &str) -> Subscriber {
        let subscription = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.is_refused_to_publish(FORBIDDEN).await;
        subscription
    }

    async fn is_refused_to_publish(&mut self, subject: &str) {
        self.client.publish(subject.to_owned(), "{}".into()).await.unwrap();
        let text = self.refusal().await;
        let wanted = format!("permissions violation for publish to \"{}\"", subject.to_lowercase());
        assert!(text.contains(&wanted), "{text}");
    }

    async fn is_refused_to_subscribe(&mut self, subject: &str) {
        let _subscription = self.client.subscribe(subject.to_owned()).await.unwrap();
        let text = self.refusal().await;
        let wanted = "permissions violation for subscription to";
        assert!(text.contains(wanted) && text.contains(&subject.to_lowercase()), "{text}");
    }
}

fn options(name: &str) -> ConnectOptions {
    let options = ConnectOptions::with_user_and_password(name.to_owned(), password(name));
    let prefix = subject::inbox_prefix(&Name::parse(name).unwrap());
    options.custom_inbox_prefix(prefix)
}

fn password(name: &str) -> String {
    format!("{name}{NASTY_PASSWORD}")
}

async fn server() -> NatsServer {
    let users = [
        ("alice", Kind::Agent),
        ("bob", Kind::Agent),
        ("operator", Kind::Operator),
        ("eve", Kind::Observer),
        (Service::Registry.full_name(), Kind::Service(Service::Registry)),
        (Service::Work.full_name(), Kind::Service(Service::Work)),
    ];
    let users = users.map(|(name, kind)| {
        let password = password(name);
        User { name: Name::parse(name).unwrap(), password, kind }
    });
    let block = nats_config(&users).unwrap();
    let login = options(Service::Work.full_name());
    NatsServer::builder().auth(block, login).start().await.unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("an answer within the deadline")
}

/// Makes the stream of events, and puts one event into it.
async fn one_event(work: &Client) {
    let context = jetstream::new(work.clone());
    let spec = stream::events();
    let config = jetstream::stream::Config {
        name: spec.name,
        subjects: spec.subjects,
        ..Default::default()
    };
    within(context.create_stream(config)).await.unwrap();
    let subject = "troupe.v1.event.task.task_created";
    let ack = within(context.publish(subject, "{}".into())).await.unwrap();
    within(ack.into_future()).await.unwrap();
}

#[tokio::test]
async fn an_agent_cannot_speak_as_another() {
    let server = server().await;
    let mut alice = Login::new(&server, "alice").await;
    for subject in [
        "troupe.v1.work.complete.bob",
        "troupe.v1.registry.heartbeat.bob",
        "troupe.v1.registry.liveness.alice",
        "troupe.v1.agent.bob.inbox.carol",
        "troupe.v1.broadcast.bob",
        "troupe.v1.event.task.task_completed",
        "troupe.v1.state.agent.alice",
        "troupe.v1.log.work.0.record",
        "troupe.v1.internal.work.ready",
        "_INBOX.bob.x1",
        "$JS.API.STREAM.DELETE.TROUPE_EVENTS",
        "$JS.API.STREAM.MSG.GET.TROUPE_INGRESS_INBOX",
        "$JS.API.CONSUMER.CREATE.TROUPE_INGRESS_INBOX.x",
    ] {
        alice.is_refused_to_publish(subject).await;
    }
}

#[tokio::test]
async fn an_agent_cannot_listen_to_another() {
    let server = server().await;
    let mut alice = Login::new(&server, "alice").await;
    for subject in [
        "_INBOX.bob.>",
        "_INBOX.>",
        ">",
        "troupe.v1.agent.bob.inbox.*",
        "troupe.v1.work.*.*",
        "troupe.v1.internal.>",
        "troupe.v1.log.>",
    ] {
        alice.is_refused_to_subscribe(subject).await;
    }
}

#[tokio::test]
async fn a_request_reaches_its_service_and_the_answer_its_caller() {
    let server = server().await;
    let mut work = Login::new(&server, Service::Work.full_name()).await;
    let mut requests = work.hears("troupe.v1.work.next.*").await;
    let alice = Login::new(&server, "alice").await;
    let asking = alice.client.request("troupe.v1.work.next.alice", "{}".into());
    let answering = async {
        let request = within(requests.next()).await.unwrap();
        let caller = subject::caller_of(&request.subject).unwrap();
        assert_eq!(caller.as_str(), "alice");
        work.client.publish(request.reply.unwrap(), "done".into()).await.unwrap();
    };
    let (answer, ()) = within(futures::future::join(asking, answering)).await;
    assert_eq!(answer.unwrap().payload, "done");
}

#[tokio::test]
async fn a_service_cannot_be_made_to_answer_onto_somebody_elses_subject() {
    let server = server().await;
    let mut work = Login::new(&server, Service::Work.full_name()).await;
    let mut requests = work.hears("troupe.v1.work.next.*").await;
    let alice = Login::new(&server, "alice").await;
    let foreign = "troupe.v1.agent.alice.inbox.bob";
    alice
        .client
        .publish_with_reply("troupe.v1.work.next.alice", foreign, "{}".into())
        .await
        .unwrap();
    let request = within(requests.next()).await.unwrap();
    assert_eq!(request.reply.as_deref(), Some(foreign));
    work.is_refused_to_publish(foreign).await;
}

#[tokio::test]
async fn mail_reaches_its_reader_with_its_senders_name() {
    let server = server().await;
    let alice = Login::new(&server, "alice").await;
    let mut bob = Login::new(&server, "bob").await;
    let mut mail = bob.hears("troupe.v1.agent.bob.inbox.*").await;
    alice.client.publish("troupe.v1.agent.bob.inbox.alice", "hello".into()).await.unwrap();
    let message = within(mail.next()).await.unwrap();
    assert_eq!(message.subject.as_str(), "troupe.v1.agent.bob.inbox.alice");
}

#[tokio::test]
async fn an_agent_replays_events() {
    let server = server().await;
    let work = Login::new(&server, Service::Work.full_name()).await;
    one_event(&work.client).await;
    let alice = Login::new(&server, "alice").await;
    let context = jetstream::new(alice.client.clone());
    let stream = within(context.get_stream("TROUPE_EVENTS")).await.unwrap();
    let config = consumer::pull::OrderedConfig::default();
    let consumer = within(stream.create_consumer(config)).await.unwrap();
    let mut messages = within(consumer.messages()).await.unwrap();
    let event = within(messages.next()).await.unwrap().unwrap();
    assert_eq!(event.subject.as_str(), "troupe.v1.event.task.task_created");
}

#[tokio::test]
async fn an_observer_hears_events_and_says_nothing() {
    let server = server().await;
    let work = Login::new(&server, Service::Work.full_name()).await;
    let mut eve = Login::new(&server, "eve").await;
    let mut events = eve.hears("troupe.v1.event.>").await;
    work.client.publish("troupe.v1.event.task.task_created", "{}".into()).await.unwrap();
    assert!(within(events.next()).await.is_some());
    eve.is_refused_to_publish("troupe.v1.work.stats.eve").await;
    eve.is_refused_to_publish("anything").await;
    eve.is_refused_to_subscribe("troupe.v1.work.>").await;
}

#[tokio::test]
async fn an_operator_asks_services_how_they_are() {
    let server = server().await;
    let mut registry = Login::new(&server, Service::Registry.full_name()).await;
    let mut pings = registry.hears("$SRV.PING").await;
    let operator = Login::new(&server, "operator").await;
    operator.client.publish("$SRV.PING", "".into()).await.unwrap();
    assert!(within(pings.next()).await.is_some());
    let mut alice = Login::new(&server, "alice").await;
    alice.is_refused_to_publish("$SRV.PING").await;
}

#[tokio::test]
async fn one_service_cannot_write_what_another_owns() {
    let server = server().await;
    let mut registry = Login::new(&server, Service::Registry.full_name()).await;
    for subject in ["troupe.v1.log.work.0.record", "troupe.v1.event.task.task_completed"] {
        registry.is_refused_to_publish(subject).await;
    }
}
