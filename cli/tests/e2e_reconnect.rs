//! nats-server dies in the middle of a task, or of a message, and comes back: the agent, the one who
//! waits, and the services go on as if nothing had been.

mod support;

use serde_json::Value;
use support::{DEADLINE, TROUPE, pid_in};
use troupe_bus::{Bus, Settings};
use troupe_domain::Name;
use troupe_testkit::{NatsServer, Proc, eventually};

async fn connect(nats: &NatsServer, name: &str) -> Bus {
    let settings = Settings { url: nats.url(), ..Settings::default() };
    Bus::connect(&settings, Name::parse(name).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2e_nats_dies_in_the_middle_of_a_task_and_nothing_is_lost() {
    let nats = NatsServer::start().await.unwrap();
    let bus = connect(&nats, troupe_registry::NAME).await;
    let config = troupe_registry::Config::default();
    let _registry = troupe_registry::Replica::start(&bus, &config.settings(), None).await.unwrap();
    let bus = connect(&nats, troupe_work_distribution::NAME).await;
    let config = troupe_work_distribution::Config::default();
    let work = troupe_work_distribution::Replica::start(&bus, &config, None).await.unwrap();
    work.ready().await;

    let folder = tempfile::tempdir().unwrap();
    let (started, go) = (folder.path().join("started.pid"), folder.path().join("go"));
    let script = format!(
        "cat > /dev/null\necho $$ > {0}.new; mv {0}.new {0}\n\
         until [ -e {1} ]; do sleep 0.05; done\necho through\n",
        started.display(),
        go.display()
    );
    let agent = Proc::build("agent", TROUPE)
        .args(["agent", "run", "--name", "patient", "--role", "implementer"])
        .args(["--nats-url", &nats.url(), "--poll-ms", "500", "--exec", &script])
        .start()
        .unwrap();
    let graph = folder.path().join("graph.yaml");
    let text = "tasks: [{key: a, title: A}, {key: b, title: B, depends_on: [a]}]";
    std::fs::write(&graph, text).unwrap();
    let waiting = Proc::build("waiting", TROUPE)
        .args(["task", "submit", "--wait", "--json", "--nats-url", &nats.url()])
        .arg(&graph)
        .start()
        .unwrap();
    pid_in(&started).await;

    nats.kill9().unwrap();
    // The program ends while nobody can be told.
    std::fs::write(&go, "").unwrap();
    eventually("the agent to miss the server", DEADLINE, || async {
        agent.stderr().contains("disconnected").then_some(())
    })
    .await;
    nats.restart().await.unwrap();

    let status = waiting.wait(DEADLINE).await.unwrap();
    let output = waiting.stdout();
    assert!(status.success(), "{}\n{}", waiting.quoted_output(), agent.quoted_output());
    let summary: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    assert_eq!(summary["completed"], 2, "{summary}");
    for row in summary["tasks"].as_array().unwrap() {
        assert_eq!((&row["result"], &row["epoch"]), (&"through".into(), &1.into()), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2e_nats_dies_in_the_middle_of_a_message_and_it_is_handled_once() {
    let nats = NatsServer::start().await.unwrap();
    let bus = connect(&nats, troupe_registry::NAME).await;
    let config = troupe_registry::Config::default();
    let _registry = troupe_registry::Replica::start(&bus, &config.settings(), None).await.unwrap();
    let bus = connect(&nats, troupe_semantic_routing::NAME).await;
    let config = troupe_semantic_routing::Config::default();
    let routing = troupe_semantic_routing::Replica::start(&bus, &config, None).await.unwrap();
    routing.ready().await;

    let folder = tempfile::tempdir().unwrap();
    let (started, go) = (folder.path().join("started.pid"), folder.path().join("go"));
    let runs = folder.path().join("runs");
    let script = format!(
        "cat > /dev/null\necho run >> {2}\necho $$ > {0}.new; mv {0}.new {0}\n\
         until [ -e {1} ]; do sleep 0.05; done\necho through\n",
        started.display(),
        go.display(),
        runs.display()
    );
    let agent = Proc::build("agent", TROUPE)
        .args(["agent", "run", "--name", "patient", "--role", "implementer"])
        .args(["--nats-url", &nats.url(), "--on-message", &script])
        .start()
        .unwrap();
    let waiting = Proc::build("waiting", TROUPE)
        .args(["message", "request", "--to", "patient", "--within-ms", "55000", "are you there?"])
        .args(["--nats-url", &nats.url()])
        .start()
        .unwrap();
    pid_in(&started).await;

    nats.kill9().unwrap();
    // The program ends while nobody can be told.
    std::fs::write(&go, "").unwrap();
    eventually("the agent to miss the server", DEADLINE, || async {
        agent.stderr().contains("disconnected").then_some(())
    })
    .await;
    nats.restart().await.unwrap();

    let status = waiting.wait(DEADLINE).await.unwrap();
    assert!(status.success(), "{}\n{}", waiting.quoted_output(), agent.quoted_output());
    assert_eq!(waiting.stdout(), "through\n");
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\n");
}
