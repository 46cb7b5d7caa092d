//! The gateway as a process of its own: it dies, and nothing is lost.

mod stage;

use serde_json::json;
use stage::{Client, PATIENCE, Stage, given, hasty, token};
use troupe_testkit::{Proc, eventually, free_port};

fn start(stage: &Stage, port: u16) -> Proc {
    let nats = &stage.config.common.nats;
    let file = stage.config.mcp.callers_file.clone().unwrap();
    Proc::build("gateway", env!("CARGO_BIN_EXE_troupe-gateway"))
        .args(["--set", &format!("nats.url={}", stage.nats.url())])
        .args(["--set", &format!("nats.user={}", nats.user.as_deref().unwrap())])
        .args(["--set", &format!("nats.password={}", nats.password.as_ref().unwrap().expose())])
        .args(["--set", &format!("mcp.listen=127.0.0.1:{port}")])
        .args(["--set", &format!("mcp.callers_file={}", file.display())])
        .start()
        .unwrap()
}

async fn listens(port: u16, proc: &Proc) {
    eventually("the gateway to listen", PATIENCE, || async {
        assert!(proc.ended().is_none(), "{}", proc.quoted_output());
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_gives_back_what_its_clients_held() {
    let stage = Stage::without_gateway(hasty()).await;
    let port = free_port();
    let proc = start(&stage, port);
    listens(port, &proc).await;
    let client = |agent: &str| Client::new(([127, 0, 0, 1], port).into(), Some(token(agent)));
    let ann = client("ann");
    given(&ann.tool("agent_register", json!({"role": "implementer"})).await);
    let id = stage.task("survives").await;
    let taken = ann.tool("task_next", json!({"wait_ms": 10_000})).await;
    assert_eq!(given(&taken)["task"]["task_id"], id.as_str());
    proc.kill9().unwrap();
    let back = eventually("the task to come back", PATIENCE, || async {
        let task = stage.task_now(&id).await;
        (task["status"] == "available").then_some(task)
    })
    .await;
    assert_eq!(back["lease_expiries"], 1, "{back}");

    let proc = start(&stage, port);
    listens(port, &proc).await;
    let bob = client("bob");
    given(&bob.tool("agent_register", json!({"role": "implementer"})).await);
    let taken = bob.tool("task_next", json!({"wait_ms": 20_000})).await;
    let task = &given(&taken)["task"];
    assert_eq!(task["task_id"], id.as_str());
    let done = json!({"task_id": id, "epoch": task["epoch"]});
    given(&bob.tool("task_complete", done).await);
    assert_eq!(stage.task_now(&id).await["status"], "completed");
}
