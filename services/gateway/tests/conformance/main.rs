//! The official conformance suite of MCP against the real transport stack, for both revisions.
//!
//! Many of its scenarios ask for tools, resources and prompts by names of their own. They stand around
//! what the gateway really answers with, so that it is the gateway that is tested, and nothing of them
//! is in what ships.
#![allow(missing_docs)]

mod fixtures;
mod node;
mod rounds;

use std::path::Path;
use std::process::Command;

use troupe_bus::{Bus, Settings};
use troupe_domain::Name;
use troupe_gateway::{Config, Gateway};
use troupe_runtime::config::Address;
use troupe_testkit::NatsServer;

use fixtures::Fixtures;

/// The revisions, each with its frozen list of scenarios.
const REVISIONS: [&str; 2] = ["2026-07-28", "2025-11-25"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_suite_passes_for_both_revisions() {
    let suite = tokio::task::spawn_blocking(node::suite).await.unwrap().unwrap();
    let nats = NatsServer::start().await.unwrap();
    let settings = Settings { url: nats.url(), ..Settings::default() };
    let bus = Bus::connect(&settings, Name::parse("troupe-gateway").unwrap()).await.unwrap();
    // What is listed comes from a service.
    let config = troupe_work_distribution::Config::default();
    let own = Name::parse(troupe_work_distribution::NAME).unwrap();
    let work = Bus::connect(&settings, own).await.unwrap();
    let work = troupe_work_distribution::Replica::start(&work, &config, None).await.unwrap();
    work.ready().await;
    let mut config = Config::default();
    config.common.nats.url = Address::new(nats.url()).unwrap();
    config.mcp.listen.set_port(0);
    let gateway = Gateway::start_with(&bus, &config, None, Fixtures::around).await.unwrap();
    for revision in REVISIONS {
        let url = gateway.url();
        let run = suite.command(&url, revision, &expected_failures(revision));
        let output = tokio::task::spawn_blocking(move || finished(run)).await.unwrap();
        assert!(output.0, "{revision}:\n{}", output.1);
        println!("{revision}:\n{}", output.1);
    }
    gateway.drain().await;
    work.drain().await;
}

/// Checks that are wrong by the specification, each with its reason, for one revision.
fn expected_failures(revision: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/suite");
    folder.join(format!("expected-failures-{revision}.yaml"))
}

/// Whether it succeeded, and what it said.
fn finished(mut command: Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.success(), text.concat())
}
