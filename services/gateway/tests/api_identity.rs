//! Who is let in, as whom, and what nobody can do in another's name.

mod stage;

use serde_json::{Value, json};
use stage::http::{LEGACY, MODERN};
use stage::{PATIENCE, Stage, fault, given, line};
use troupe_domain::agent::Timing;
use troupe_testkit::eventually;

/// A request that anybody who is let in may make.
fn listing() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_or_with_a_wrong_one_nobody_is_let_in() {
    let stage = Stage::start().await;
    let ann =
        stage.client("ann").with("MCP-Protocol-Version", MODERN).with("Mcp-Method", "tools/list");
    let body = listing().to_string();
    assert_eq!(ann.send("POST", body.as_bytes()).await.status, 200);
    for token in [None, Some(""), Some("ann"), Some("ann-token "), Some("ann-tokenx")] {
        let client = ann.with_token(token);
        for method in ["POST", "GET", "DELETE"] {
            let mut refused = client.send(method, body.as_bytes()).await;
            // Blanks around a token are no part of it.
            if token == Some("ann-token ") {
                continue;
            }
            assert_eq!(refused.status, 401, "{token:?} {method}");
            assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
            let told = refused.text().await;
            assert!(!told.contains("ann"), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_elsewhere_and_other_hosts_are_refused() {
    let stage = Stage::with(Timing::default(), |config| {
        config.mcp.allowed_origins = "https://app.example.com".to_owned();
        config.mcp.allowed_hosts = "troupe.example.com".to_owned();
    })
    .await;
    let ann =
        stage.client("ann").with("MCP-Protocol-Version", MODERN).with("Mcp-Method", "tools/list");
    let body = listing().to_string();
    let status = async |header: &str, value: &str| {
        ann.with(header, value).send("POST", body.as_bytes()).await.status
    };
    assert_eq!(status("Origin", "https://evil.example.com").await, 403);
    assert_eq!(status("Origin", "null").await, 403);
    assert_eq!(status("Origin", "https://app.example.com").await, 200);
    assert_eq!(status("Origin", "http://localhost:3000").await, 200);
    assert_eq!(status("Host", "evil.example.com").await, 403);
    assert_eq!(status("Host", "troupe.example.com").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_acts_as_somebody_else() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.client("ann"), stage.client("bob"));
    for (client, name) in [(&ann, "ann"), (&bob, "bob")] {
        let joined = client.tool("agent_register", json!({"role": "implementer"})).await;
        assert_eq!(given(&joined)["agent_id"], name);
    }
    // A name in the arguments is no argument.
    for arguments in [
        json!({"role": "implementer", "id": "bob"}),
        json!({"role": "implementer", "agent_id": "bob"}),
    ] {
        let answer = ann.tool("agent_register", arguments).await;
        assert!(fault(&answer).starts_with("invalid_argument"), "{answer}");
    }
    let sent = ann.tool("message_send", json!({"to": "bob", "body": "it is I"})).await;
    given(&sent);
    let heard = bob.tool("message_inbox", json!({"wait_ms": 10_000})).await;
    assert_eq!(given(&heard)["messages"][0]["from"], "ann");
    // What one holds the other can neither end nor lose.
    let id = stage.task("for one").await;
    let taken = ann.tool("task_next", json!({"wait_ms": 10_000})).await;
    let task = &given(&taken)["task"];
    assert_eq!(task["task_id"], id.as_str());
    let hold = json!({"task_id": id, "epoch": task["epoch"]});
    for tool in ["task_complete", "task_release"] {
        let answer = bob.tool(tool, hold.clone()).await;
        assert!(fault(&answer).starts_with("stale_epoch"), "{tool}: {answer}");
    }
    given(&ann.tool("task_complete", hold).await);
    assert_eq!(stage.task_now(&id).await["claimed_by"], "ann");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_there_for_whoever_opened_it_alone() {
    let stage = Stage::with(Timing::default(), |config| config.mcp.max_sessions = 2).await;
    let (ann, bob) = (stage.client("ann"), stage.client("bob"));
    let session = ann.session().await;
    given(&session.tool("agent_find", json!({})).await);
    let stolen = session.client.with_token(Some("bob-token"));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let invented = bob.with("Mcp-Session-Id", "00000000-0000-0000-0000-000000000000");
    let invented = invented.with("MCP-Protocol-Version", LEGACY);
    for method in ["POST", "GET", "DELETE"] {
        let mut answers = Vec::new();
        for client in [&stolen, &invented] {
            let mut answer = client.send(method, body.as_bytes()).await;
            answers.push((answer.status, answer.text().await));
        }
        assert_eq!(answers[0].0, 404, "{method}");
        assert_eq!(answers[0], answers[1], "{method}: one cannot be told from the other");
    }
    given(&session.tool("agent_find", json!({})).await);
    // There is room for one more, and then for none.
    let second = bob.session().await;
    let params = json!({"protocolVersion": LEGACY, "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}});
    let third = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let refused = bob.send("POST", third.to_string().as_bytes()).await;
    assert!(refused.status >= 500, "{}", refused.status);
    let ended = second.client.send("DELETE", b"").await.status;
    assert!((200..300).contains(&ended), "{ended}");
    assert_eq!(second.client.send("POST", body.as_bytes()).await.status, 404);
    bob.session().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_taken_out_counts_no_more() {
    let stage = Stage::start().await;
    let eve = stage.client("eve");
    given(&eve.tool("agent_find", json!({})).await);
    let file = stage.config.mcp.callers_file.clone().unwrap();
    std::fs::write(&file, line("ann")).unwrap();
    let body = listing().to_string();
    eventually("eve's token to be forgotten", PATIENCE, || async {
        let answer = eve.send("POST", body.as_bytes()).await;
        (answer.status == 401).then_some(())
    })
    .await;
    given(&stage.client("ann").tool("agent_find", json!({})).await);
}
