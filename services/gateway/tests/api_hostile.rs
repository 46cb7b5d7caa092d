//! What no client would send: the gateway answers, and goes on.

mod stage;

use serde_json::{Value, json};
use stage::http::MODERN;
use stage::{PATIENCE, Stage, fault, given};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use troupe_domain::agent::Timing;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_refused_and_harms_nobody() {
    let stage =
        Stage::with(Timing::default(), |config| config.mcp.max_body_bytes = 64 * 1024).await;
    let ann = stage.client("ann").with("MCP-Protocol-Version", MODERN);
    let deep = "[".repeat(20_000) + &"]".repeat(20_000);
    let bodies: [&[u8]; 10] = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{\"jsonrpc\": \"2.0\"",
        b"{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"tools/list\"}",
        b"{\"jsonrpc\": \"2.0\", \"id\": {}, \"method\": 7}",
        b"\xff\xfe\x00",
        b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"tools/call\", \"params\": [1]}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let mut answer = ann.send("POST", body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let (status, said) = (answer.status, answer.text().await);
        assert!((400..500).contains(&status), "{shown}: {status} {said}");
    }
    let large = "x".repeat(70 * 1024);
    assert_eq!(ann.send("POST", large.as_bytes()).await.status, 413);
    assert_eq!(ann.send("PUT", b"{}").await.status, 405);
    let other = ann.with("Content-Type", "text/plain").send("POST", b"{}").await;
    assert_eq!(other.status, 415);
    let other = ann.with("Accept", "text/html").send("POST", b"{}").await;
    assert_eq!(other.status, 406);
    given(&stage.client("ann").tool("agent_find", json!({})).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tool_says_what_is_wrong_with_its_arguments() {
    let stage = Stage::start().await;
    let ann = stage.client("ann");
    given(&ann.tool("agent_register", json!({"role": "implementer"})).await);
    let listed = ann.rpc("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert!(tools.len() > 20, "{}", tools.len());
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        let answer = ann.tool(name, json!({"no_such_argument": 1})).await;
        let said = fault(&answer);
        assert!(
            said.starts_with("invalid_argument") && said.contains("no_such_argument"),
            "{name}: {said}"
        );
        for field in tool["inputSchema"]["required"].as_array().into_iter().flatten() {
            let field = field.as_str().unwrap();
            let answer = ann.tool(name, json!({field: {"a": ["wrong", "shape"]}})).await;
            let said = fault(&answer);
            assert!(said.starts_with("invalid_argument"), "{name}.{field}: {said}");
        }
    }
    let unknown = ann.tool("rm_rf", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_the_fleet_are_answers_that_say_what_to_do() {
    let stage = Stage::start().await;
    let ann = stage.client("ann");
    let early = ann.tool("task_next", json!({})).await;
    assert!(fault(&early).contains("agent_register"), "{early}");
    given(&ann.tool("agent_register", json!({"role": "implementer"})).await);
    let none = ann.tool("task_next", json!({})).await;
    assert!(given(&none).get("task").is_none(), "{none}");
    let expected: [(&str, Value, &str); 6] = [
        ("task_get", json!({"task_id": "nowhere"}), "not_found"),
        ("agent_get", json!({"agent_id": "nobody"}), "not_found"),
        ("plan_get", json!({"plan_id": "nowhere"}), "not_found"),
        ("task_complete", json!({"task_id": "nowhere", "epoch": 1}), "not_found"),
        ("message_send", json!({"body": "to nobody"}), "invalid_argument"),
        ("task_create", json!({"title": "x", "depends_on": ["nowhere"]}), "invalid_argument"),
    ];
    for (tool, arguments, code) in expected {
        let answer = ann.tool(tool, arguments).await;
        let said = fault(&answer);
        assert!(said.starts_with(code), "{tool}: {said}");
        assert!(said.lines().nth(1).is_some_and(|advice| advice.ends_with('.')), "{said}");
    }
    let read = ann.rpc("resources/read", json!({"uri": "troupe://tasks/nowhere"})).await;
    assert_eq!(read["error"]["code"], -32602, "{read}");
    assert_eq!(read["error"]["data"]["uri"], "troupe://tasks/nowhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_half_a_head_is_let_go_and_others_are_served() {
    let stage = Stage::with(Timing::default(), |config| {
        config.mcp.head_within_ms = 500;
        config.mcp.max_sockets = 2;
    })
    .await;
    let (ann, address) = (stage.client("ann"), stage.gateway.as_ref().unwrap().address());
    // Every place is taken: by somebody who says nothing, and by somebody who never comes to an end.
    let mut halves = Vec::new();
    for begun in ["", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Part: "] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        halves.push(stream);
    }
    given(&ann.tool("agent_find", json!({})).await);
    for mut stream in halves {
        let mut said = String::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut said)).await;
        // Closed, or cut off: it is over, and no answer was given.
        assert!(ended.is_ok() && !said.contains("200 OK"), "{ended:?}: {said}");
    }
}
