//! Following resources in both revisions, and clients over standard input and output.

mod stage;

use serde_json::json;
use stage::{Stage, given, login, name};
use troupe_client::{Settings, Troupe};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_of_what_it_asked_for_and_of_nothing_else() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.client("ann"), stage.client("bob"));
    given(&bob.tool("agent_register", json!({"role": "implementer"})).await);
    let (followed, other) = (stage.task("followed").await, stage.task("other").await);
    let uri = format!("troupe://tasks/{followed}");
    let wanted = json!({"notifications": {"resourceSubscriptions": [uri, "file:///etc/passwd"]}});
    let mut stream = ann.open("subscriptions/listen", wanted).await;
    let ack = stream.message().await.unwrap();
    assert_eq!(ack["method"], "notifications/subscriptions/acknowledged", "{ack}");
    assert_eq!(ack["params"]["notifications"]["resourceSubscriptions"], json!([uri]), "{ack}");
    for id in [&other, &followed] {
        let claimed = bob.tool("task_claim", json!({"task_id": id})).await;
        if given(&claimed)["success"] == true {
            let hold = json!({"task_id": id, "epoch": given(&claimed)["task"]["epoch"]});
            given(&bob.tool("task_complete", hold).await);
        }
    }
    let told = stream.message().await.unwrap();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");
    assert_eq!(told["params"]["uri"], uri.as_str(), "{told}");
    assert!(
        told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].is_number(),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_told_on_its_own_stream() {
    let stage = Stage::start().await;
    let session = stage.client("ann").session().await;
    let mut stream = session.client.send("GET", b"").await;
    assert_eq!(stream.status, 200);
    let uri = "troupe://agents/bob";
    let answer = session.rpc("resources/subscribe", json!({"uri": uri})).await;
    assert!(answer.get("result").is_some(), "{answer}");
    let bad = session.rpc("resources/subscribe", json!({"uri": "troupe://agents/*"})).await;
    assert!(bad.get("error").is_some(), "{bad}");
    given(&stage.client("bob").tool("agent_register", json!({"role": "auditor"})).await);
    let told = stream.message().await.unwrap();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");
    assert_eq!(told["params"]["uri"], uri);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_standard_input_and_output_it_is_the_same() {
    use rmcp::ServiceExt;
    use rmcp::model::CallToolRequestParams;

    let stage = Stage::start().await;
    let troupe = Troupe::over(login(&stage.nats, "ann").await);
    let (here, there) = tokio::io::duplex(64 * 1024);
    let (input, output) = tokio::io::split(there);
    let serving = tokio::spawn(troupe_gateway::stdio::serve_over(troupe, input, output));
    let client = ().serve(here).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "task_next"));
    let call = |tool: &'static str, arguments: serde_json::Value| {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments))
    };
    let joined = call("agent_register", json!({"role": "implementer"})).await.unwrap();
    assert_eq!(joined.structured_content.unwrap()["agent_id"], "ann");
    let id = stage.task("by hand").await;
    let taken = call("task_next", json!({"wait_ms": 10_000})).await.unwrap();
    let task = taken.structured_content.unwrap()["task"].clone();
    assert_eq!(task["task_id"], id.as_str());
    let hold = json!({"task_id": id, "epoch": task["epoch"], "result": "done"});
    let done = call("task_complete", hold).await.unwrap();
    assert_eq!(done.structured_content.unwrap()["status"], "completed");
    client.cancel().await.unwrap();
    serving.await.unwrap().unwrap();
}

/// Without tokens there is one caller, and it is the one that is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_loopback_without_tokens_there_is_one_named_caller() {
    let nats = troupe_testkit::NatsServer::start().await.unwrap();
    let settings = Settings { url: nats.url(), ..Settings::default() };
    let bus = troupe_bus::Bus::connect(&settings, name("troupe-gateway")).await.unwrap();
    let registry = troupe_bus::Bus::connect(&settings, name("troupe-registry")).await.unwrap();
    let plain = troupe_registry::Config::default().settings();
    let _registry = troupe_registry::Replica::start(&registry, &plain, None).await.unwrap();
    let mut config = troupe_gateway::Config::default();
    config.common.nats.url = troupe_runtime::config::Address::new(nats.url()).unwrap();
    config.mcp.listen.set_port(0);
    config.mcp.dev_name = "desk".to_owned();
    let gateway = troupe_gateway::Gateway::start(&bus, &config, None).await.unwrap();
    let client = stage::Client::new(gateway.address(), None);
    let joined = client.tool("agent_register", json!({"role": "planner"})).await;
    assert_eq!(given(&joined)["agent_id"], "desk");
    gateway.drain().await;
}
