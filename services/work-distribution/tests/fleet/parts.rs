//! Parts of the fleet that are processes of their own, so that they can be killed and paused.
//!
//! The service is its own binary. Registries and agents are this very test binary, started again
//! with the name of a part in its environment: see [`play`].

use std::time::Duration;

use troupe_domain::agent::Timing;
use troupe_testkit::{NatsServer, Proc, ProcBuilder};

use super::{connect_to, worker};

const PART: &str = "FLEET_PART";
const URL: &str = "FLEET_NATS_URL";
const NAMES: &str = "FLEET_NAMES";
/// What a part says once it does its work.
pub const READY: &str = "@@ready";
pub const START_WITHIN: Duration = Duration::from_mins(1);

/// Silence means something soon, yet not so soon that a busy machine is taken for a dead agent.
pub const TIMING: Timing = Timing {
    heartbeat_interval_ms: 500,
    offline_after_misses: 5,
    crashed_after_misses: 10,
    crashed_retention_ms: 600_000,
};

fn scripted(part: &str, name: &str, nats: &NatsServer) -> ProcBuilder {
    let program = std::env::current_exe().unwrap();
    Proc::build(name, program)
        .args(["plays_its_part", "--exact", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .env(URL, nats.url())
}

/// A replica of the registry.
pub fn registry(nats: &NatsServer) -> Proc {
    scripted("registry", "registry", nats).start().unwrap()
}

/// A process with several agents that work until they are killed.
pub fn workers(nats: &NatsServer, names: &str) -> Proc {
    scripted("workers", names, nats).env(NAMES, names).start().unwrap()
}

/// An agent that holds one task for as long as it can, and then tries every write.
pub fn clinger(nats: &NatsServer, name: &str) -> Proc {
    scripted("clinger", name, nats).env(NAMES, name).start().unwrap()
}

/// A replica of the service, with `settings` as `key=value`.
pub fn work_replica(nats: &NatsServer, settings: &[&str]) -> Proc {
    let mut builder = Proc::build("work", env!("CARGO_BIN_EXE_troupe-work-distribution"))
        .env_remove("TROUPE_FULL")
        .args(["--nats-url", &nats.url(), "--admin-listen", "127.0.0.1:0"]);
    for setting in settings {
        builder = builder.args(["--set", setting]);
    }
    builder.start().unwrap()
}

/// Plays the part that the environment names; does nothing in the test's own process.
pub fn play() {
    let Ok(part) = std::env::var(PART) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let names = std::env::var(NAMES).unwrap_or_default();
    let url = std::env::var(URL).unwrap();
    runtime.block_on(async {
        match part.as_str() {
            "registry" => {
                let bus = connect_to(&url, "troupe-registry").await;
                let settings = troupe_registry::Settings {
                    timing: TIMING,
                    stream_replicas: 1,
                    redis_url: None,
                };
                let mut replica =
                    troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
                println!("{READY}");
                panic!("{}", replica.failed().await);
            }
            "workers" => worker::run_all(&url, &names).await,
            "clinger" => worker::cling(&url, &names).await,
            other => panic!("there is no part {other}"),
        }
    });
}
