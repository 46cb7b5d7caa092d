//! Ten thousand agents that register and beat.

mod stage;

use futures::{StreamExt, stream};
use serde_json::json;
use stage::{SOON, Stage, call, name, patient};
use troupe_bus::port::{Entry, Log};
use troupe_bus::{Bus, CallOptions};
use troupe_contract::registry::{
    FindByCapability, Heartbeat, HeartbeatResponse, Register, Registered, RegistryStats,
};
use troupe_contract::{Endpoint, stream as streams, subject};
use troupe_testkit::{Proc, eventually};

const AGENTS: usize = 10_000;
const IN_FLIGHT: usize = 256;

/// One connection speaks for all: the server here asks for no credentials.
async fn as_agent<E: Endpoint>(bus: &Bus, agent: usize, body: serde_json::Value) -> E::Reply {
    let subject = subject::request::<E>(&name(&format!("agent-{agent}")));
    let options = CallOptions::within(SOON);
    let answer = bus.call_raw(&subject, body.to_string().into(), &options).await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_agents_register_and_beat_and_heartbeats_write_nothing() {
    let stage = Stage::start().await;
    let replicas = [stage.replica(patient()).await, stage.replica(patient()).await];
    let bus = stage.bus("many").await;
    let joined: Vec<Registered> = stream::iter(0..AGENTS)
        .map(|n| {
            let skill = format!("skill-{}:0.{}", n % 50, n % 10);
            as_agent::<Register>(&bus, n, json!({"role": "worker", "capabilities": [skill]}))
        })
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    assert!(joined.iter().all(|registered| registered.created));
    eventually("both replicas to know everybody", SOON, || async {
        let known = [0, 1].map(|n: usize| replicas[n].registry.fleet.read().len());
        (known == [AGENTS, AGENTS]).then_some(())
    })
    .await;
    let stored = last_sequence(&stage).await;

    for _ in 0..2 {
        let beats = stream::iter(0..AGENTS)
            .map(|n| as_agent::<Heartbeat>(&bus, n, json!({"running_task_ids": ["t"]})));
        let answers: Vec<HeartbeatResponse> = beats.buffer_unordered(IN_FLIGHT).collect().await;
        assert!(answers.iter().all(|answer| answer.accepted));
    }
    eventually("each replica to have heard every heartbeat", SOON, || async {
        let heard = [0, 1].map(|n: usize| {
            replicas[n].registry.heartbeats.load(std::sync::atomic::Ordering::Relaxed)
        });
        (heard == [2 * AGENTS as u64; 2]).then_some(())
    })
    .await;
    assert_eq!(last_sequence(&stage).await, stored, "heartbeats write nothing");

    let stats = call::<RegistryStats>(&bus, json!({})).await.unwrap();
    assert_eq!((stats.total_agents, stats.running_tasks), (AGENTS, AGENTS));
    let able = call::<FindByCapability>(&bus, json!({"capability": "skill-7", "limit": 5})).await;
    let able = able.unwrap();
    assert_eq!((able.agents.len(), able.total), (5, AGENTS / 50));
    for replica in replicas {
        replica.drain().await;
    }
    let restarted = stage.replica(patient()).await;
    assert_eq!(restarted.registry.fleet.read().len(), AGENTS);
    restarted.drain().await;
    assert_eq!(stage.events().await.len(), AGENTS, "each registration is told once");
}

async fn last_sequence(stage: &Stage) -> u64 {
    let log = stage.bus("reader").await.open_stream(&streams::agents(), 1).await.unwrap();
    let mut last = 0;
    let mut each = |entry: Entry| last = entry.sequence;
    log.read("troupe.v1.state.agent.*", 0, &mut each).await.unwrap();
    last
}

/// Agents of the measurement, and how often each beats.
const BEAT_INTERVAL_MS: u64 = 30_000;
const MEASURED: std::time::Duration = std::time::Duration::from_secs(30);

/// Prints how busy the service is; asserts only that everybody was heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of half a minute: run on request, with --release and --nocapture"]
async fn measure_ten_thousand_agents_that_beat_every_thirty_seconds() {
    let stage = Stage::start().await;
    let service = Proc::build("troupe-registry", env!("CARGO_BIN_EXE_troupe-registry"))
        .args(["--nats-url", &stage.nats.url()])
        .start()
        .unwrap();
    let bus = stage.bus("many").await;
    eventually("the service to answer", SOON, || async {
        call::<RegistryStats>(&bus, json!({})).await.ok()
    })
    .await;
    stream::iter(0..AGENTS)
        .map(|n| as_agent::<Register>(&bus, n, json!({"role": "worker"})))
        .buffer_unordered(IN_FLIGHT)
        .for_each(|_| async {})
        .await;
    let before = (cpu_ms(service.pid()), cpu_ms(stage.nats.pid()));
    let began = tokio::time::Instant::now();
    let pause = std::time::Duration::from_micros(BEAT_INTERVAL_MS * 1_000 / AGENTS as u64);
    let mut timer = tokio::time::interval(pause);
    let mut beats = tokio::task::JoinSet::new();
    let mut sent = 0;
    while began.elapsed() < MEASURED {
        timer.tick().await;
        let (bus, agent) = (bus.clone(), sent % AGENTS);
        let body = json!({"running_task_ids": ["t1", "t2"]});
        beats.spawn(async move { as_agent::<Heartbeat>(&bus, agent, body).await });
        sent += 1;
    }
    let answers = beats.join_all().await;
    assert!(answers.iter().all(|answer| answer.accepted));
    let elapsed_ms = began.elapsed().as_millis() as f64;
    for (name, before, pid) in
        [("registry", before.0, service.pid()), ("nats-server", before.1, stage.nats.pid())]
    {
        let share = (cpu_ms(pid) - before) as f64 / elapsed_ms * 100.0;
        println!(
            "{name}: {share:.1} % of one core at {} heartbeats in {elapsed_ms} ms",
            answers.len()
        );
    }
}

/// User and system time of a process (fields 14 and 15 of its `stat`, in hundredths of a second).
fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}
