//! Serving over a real nats-server: answers, faults, discovery, drain, CAS.
#![allow(missing_docs)]

use std::time::Duration;

use troupe_bus::port::{AppendError, Log};
use troupe_bus::{Bus, CallOptions, Server, Settings};
use troupe_contract::registry::{AgentRef, Empty, FleetStats, GetAgent, RegistryStats};
use troupe_contract::{Service, stream, subject};
use troupe_domain::{Code, Fault, Name, TraceContext};
use troupe_testkit::{NatsServer, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

fn work_log(shards: u16) -> stream::StreamSpec {
    stream::shard_log(Service::Work, 0, shards, stream::WORK_LOG_BYTES)
}

async fn bus(nats: &NatsServer, name: &str) -> Bus {
    let settings = Settings { url: nats.url(), ..Settings::default() };
    Bus::connect(&settings, Name::parse(name).unwrap()).await.unwrap()
}

async fn serve(bus: &Bus) -> troupe_bus::serve::Serving {
    let mut server = Server::new(bus, Service::Registry, "1.2.3");
    server
        .endpoint::<RegistryStats, _, _>(|call| async move {
            let trace = call.trace.map_or(0, |trace: TraceContext| trace.trace_id().len() as u64);
            Ok(FleetStats { heartbeats: trace, ..FleetStats::default() })
        })
        .await
        .unwrap();
    server
        .endpoint::<GetAgent, _, _>(|call| async move {
            match call.request.agent_id.as_str() {
                "panic" => panic!("a defect"),
                id => Err(Fault::not_found("agent", id).with("caller", call.caller.as_str())),
            }
        })
        .await
        .unwrap();
    server.start().await.unwrap()
}

#[tokio::test]
async fn faults_arrive_whole_and_the_caller_is_the_subjects_last_token() {
    let nats = NatsServer::start().await.unwrap();
    let _serving = serve(&bus(&nats, "server").await).await;
    let ann = bus(&nats, "ann").await;
    let ask = |id: &str| AgentRef { agent_id: Name::parse(id).unwrap() };
    let fault = ann.call::<GetAgent>(&ask("bob")).await.unwrap_err();
    assert_eq!((fault.code, &fault.details["caller"]), (Code::NotFound, &"ann".into()));
    let fault = ann.call::<GetAgent>(&ask("panic")).await.unwrap_err();
    assert_eq!(fault.code, Code::Internal);
    assert!(ann.call::<RegistryStats>(&Empty {}).await.is_ok(), "a panic takes nothing with it");
}

#[tokio::test]
async fn what_nobody_serves_is_unavailable_and_junk_is_explained() {
    let nats = NatsServer::start().await.unwrap();
    let ann = bus(&nats, "ann").await;
    let options = CallOptions { retry_unheard: false, ..CallOptions::default() };
    let fault = ann.call_with::<RegistryStats>(&Empty {}, &options).await.unwrap_err();
    assert_eq!(fault.code, Code::Unavailable);
    let _serving = serve(&bus(&nats, "server").await).await;
    for (body, field) in [("{", "body"), (r#"{"x":1}"#, "x"), ("[]", "body"), ("7", "body")] {
        let subject = "troupe.v1.registry.stats.ann";
        let fault = ann.call_raw(subject, body.into(), &options).await.unwrap_err();
        assert_eq!(fault.code, Code::InvalidArgument, "{body}");
        assert_eq!(fault.details["field"], field, "{body}: {}", fault.message);
    }
    let odd = "troupe.v1.registry.stats.an%n";
    let fault = ann.call_raw(odd, "{}".into(), &options).await.unwrap_err();
    assert_eq!(fault.details["field"], "subject");
}

#[tokio::test]
async fn discovery_follows_the_nats_service_protocol() {
    let nats = NatsServer::start().await.unwrap();
    let _serving = serve(&bus(&nats, "server").await).await;
    let client = nats.connect().await.unwrap();
    let ann = bus(&nats, "ann").await;
    let _ = ann.call::<GetAgent>(&AgentRef { agent_id: Name::parse("bob").unwrap() }).await;
    let ask = async |subject: &str| -> serde_json::Value {
        let answer = client.request(subject.to_owned(), "".into()).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    };
    let ping = ask("$SRV.PING").await;
    assert_eq!(ping["type"], "io.nats.micro.v1.ping_response");
    assert_eq!((&ping["name"], &ping["version"]), (&"troupe-registry".into(), &"1.2.3".into()));
    let info = ask("$SRV.INFO.troupe-registry").await;
    assert_eq!(info["endpoints"][0]["subject"], "troupe.v1.registry.stats.*");
    let id = ping["id"].as_str().unwrap();
    let stats = eventually("the request to be counted", PATIENCE, || async {
        let stats = ask(&format!("$SRV.STATS.troupe-registry.{id}")).await;
        (stats["endpoints"][1]["num_requests"] == 1).then_some(stats)
    })
    .await;
    assert_eq!(stats["endpoints"][1]["num_errors"], 1);
    assert!(stats["endpoints"][1]["last_error"].as_str().unwrap().contains("bob"));
}

#[tokio::test]
async fn a_trace_that_comes_in_is_passed_on_where_nobody_records() {
    let nats = NatsServer::start().await.unwrap();
    let _serving = serve(&bus(&nats, "server").await).await;
    let ann = bus(&nats, "ann").await;
    let context =
        TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None);
    let stats = troupe_bus::trace::carrying(context, ann.call::<RegistryStats>(&Empty {})).await;
    assert_eq!(stats.unwrap().heartbeats, 32);
    assert_eq!(ann.call::<RegistryStats>(&Empty {}).await.unwrap().heartbeats, 0);
}

#[tokio::test]
async fn a_drained_server_answers_what_it_took_and_takes_no_more() {
    let nats = NatsServer::start().await.unwrap();
    let serving = serve(&bus(&nats, "server").await).await;
    let ann = bus(&nats, "ann").await;
    ann.call::<RegistryStats>(&Empty {}).await.unwrap();
    serving.drain().await;
    let options = CallOptions { retry_unheard: false, ..CallOptions::default() };
    let fault = ann.call_with::<RegistryStats>(&Empty {}, &options).await.unwrap_err();
    assert_eq!(fault.code, Code::Unavailable);
}

#[tokio::test]
async fn a_log_takes_one_writer_at_a_time_and_reads_back_in_order() {
    let nats = NatsServer::start().await.unwrap();
    let bus = bus(&nats, "server").await;
    let log = bus.open_stream(&work_log(1), 1).await.unwrap();
    let subject = subject::shard_log(Service::Work, 0);
    assert!(log.last(&subject).await.unwrap().is_none());
    let first = log.append(&subject, "a".into(), 0).await.unwrap();
    assert_eq!(log.append(&subject, "b".into(), 0).await.unwrap_err(), AppendError::Conflict);
    log.put(&subject::shard_manifest(Service::Work, 0), "m".into()).await.unwrap();
    let second = log.append(&subject, "c".into(), first).await.unwrap();
    let mut read = Vec::new();
    log.read(&subject, 0, &mut |entry| read.push((entry.sequence, entry.body.clone())))
        .await
        .unwrap();
    assert_eq!(read, vec![(first, "a".into()), (second, "c".into())]);
    log.purge_below(&subject, second).await.unwrap();
    assert_eq!(log.append(&subject, "d".into(), second).await.unwrap(), second + 1);
    nats.kill9().unwrap();
    nats.restart().await.unwrap();
    let last = eventually("the server to be back", PATIENCE, || async {
        log.last(&subject).await.ok().flatten()
    })
    .await;
    assert_eq!(last.body, "d");
}

#[tokio::test]
async fn a_stream_of_another_layout_is_refused() {
    let nats = NatsServer::start().await.unwrap();
    let bus = bus(&nats, "server").await;
    bus.open_stream(&work_log(4), 1).await.unwrap();
    let why = bus.open_stream(&work_log(8), 1).await.unwrap_err().to_string();
    assert!(why.contains("troupe.shards is 4"), "{why}");
}

#[tokio::test]
async fn rounds_of_events_are_stored_whole_in_order_or_not_acknowledged() {
    use troupe_bus::port::{EventSink, OutgoingEvent};
    let nats = NatsServer::start().await.unwrap();
    let bus = bus(&nats, "server").await;
    let events = bus.events(Service::Work, 1).await.unwrap();
    let event = |index: usize| OutgoingEvent {
        subject: "troupe.v1.event.task.task_created".to_owned(),
        id: format!("work-0-1-{index}"),
        kind: "troupe.task.task_created.v1".to_owned(),
        entity_id: format!("t{index}"),
        at: troupe_domain::Timestamp::from_millis(0),
        trace: None,
        body: format!("{index}").into(),
        kept_on: index.is_multiple_of(7).then(|| format!("troupe.v1.archive.task.t{index}")),
        told_on: None,
    };
    // Fewer than a round, one round, and several rounds.
    let mut sent = 0;
    for count in [1, 2, 3, 100, 1_300] {
        let round: Vec<OutgoingEvent> = (sent..sent + count).map(event).collect();
        events.publish(&round).await.unwrap();
        sent += count;
    }
    let mut stored = Vec::new();
    let mut each = |entry: troupe_bus::port::Entry| {
        stored.extend(troupe_contract::event::decode::<usize>(&entry.body).unwrap());
    };
    events.log.read("troupe.v1.event.>", 0, &mut each).await.unwrap();
    let told: Vec<usize> = stored.iter().map(|event| event.data).collect();
    assert_eq!(told, (0..sent).collect::<Vec<_>>());
    assert!(stored.iter().enumerate().all(|(n, event)| event.id == format!("work-0-1-{n}")));
    for index in (0..sent).step_by(7) {
        let kept = events.log.last(&format!("troupe.v1.archive.task.t{index}")).await.unwrap();
        assert_eq!(kept.unwrap().body, index.to_string());
    }
    // Shards publish at the same time.
    let rounds = (0..8).map(|writer| {
        let events = events.clone();
        let round: Vec<OutgoingEvent> = (0..200).map(|i| event(10_000 * writer + i)).collect();
        tokio::spawn(async move { events.publish(&round).await })
    });
    for round in rounds.collect::<Vec<_>>() {
        round.await.unwrap().unwrap();
    }
    let client = nats.connect().await.unwrap();
    async_nats::jetstream::new(client).delete_stream("TROUPE_EVENTS").await.unwrap();
    let round: Vec<OutgoingEvent> = (0..10).map(event).collect();
    assert!(events.publish(&round).await.is_err(), "nobody stores them");
}
