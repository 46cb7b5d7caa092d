//! A task from its creation to its end, by clients that speak MCP alone, in both revisions.

mod stage;

use std::time::Duration;

use serde_json::{Value, json};
use stage::{PATIENCE, Stage, fault, given, hasty};
use troupe_testkit::eventually;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_made_taken_reported_and_completed() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.client("ann"), stage.client("bob"));
    let declared = json!({"role": "implementer", "capabilities": ["rust:0.9"]});
    given(&ann.tool("register_agent", declared).await);
    let traced = json!({
        "name": "task_create",
        "arguments": {"title": "Write the parser", "required_role": "implementer",
            "required_capabilities": ["rust:0.5"], "payload": {"grammar": [1, 2]}},
        "_meta": {"traceparent": format!("00-{TRACE}-b7ad6b7169203331-01")},
    });
    let made = bob.rpc("tools/call", traced).await;
    let id = given(&made)["task_id"].as_str().unwrap().to_owned();
    let trace = stage.task_now(&id).await["trace"]["traceparent"].clone();
    assert_eq!(&trace.as_str().unwrap()[3..35], TRACE, "the client's trace goes on");

    let taken = ann.tool("task_next", json!({"wait_ms": 10_000})).await;
    let task = given(&taken)["task"].clone();
    assert_eq!((&task["task_id"], &task["payload"]["grammar"][1]), (&json!(id), &json!(2)));
    let report = json!({"task_id": id, "epoch": task["epoch"], "percentage": 40,
        "message": "the grammar is parsed"});
    let reported = ann.tool("progress_report", report).await;
    assert_eq!(given(&reported)["percentage"], 40.0);
    let stale = json!({"task_id": id, "epoch": 99, "result": 1});
    let stale = ann.tool("task_complete", stale).await;
    assert!(fault(&stale).starts_with("stale_epoch"), "{stale}");
    let done = json!({"task_id": id, "epoch": task["epoch"], "result": {"files": 3},
        "evidence": [{"observation": {"statement": "it parses"}}]});
    assert_eq!(given(&ann.tool("task_complete", done.clone()).await)["status"], "completed");
    // Said again because the answer was lost on the way: the same.
    assert_eq!(given(&ann.tool("task_complete", done).await)["status"], "completed");

    let seen = bob.tool("task_get", json!({"task_id": id})).await;
    assert_eq!(given(&seen)["task"]["result"]["files"], 3);
    let read = bob.rpc("resources/read", json!({"uri": format!("troupe://tasks/{id}")})).await;
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    let task: Value = serde_json::from_str(text).unwrap();
    assert_eq!(task["status"], "completed");
    let arguments = json!({"task_ids": id.as_str(), "question": "does it parse?"});
    let prompt =
        bob.rpc("prompts/get", json!({"name": "write_synthesis", "arguments": arguments})).await;
    let text = prompt["result"]["messages"][0]["content"]["text"].as_str().unwrap();
    assert!(
        text.contains(&id) && text.contains("files") && text.contains("does it parse?"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_short_and_go_on_where_they_ended() {
    let stage = Stage::start().await;
    let session = stage.client("ann").session().await;
    for n in 0..5 {
        stage.task(&format!("task {n}")).await;
    }
    let mut after = Value::Null;
    let mut seen = Vec::new();
    loop {
        let mut arguments = json!({"limit": 2});
        if !after.is_null() {
            arguments["after"] = after;
        }
        let page = session.tool("task_list", arguments).await;
        let page = given(&page);
        let lines = page["tasks"].as_array().unwrap();
        assert!(lines.len() <= 2 && lines.iter().all(|line| line.get("description").is_none()));
        seen.extend(lines.iter().map(|line| line["title"].as_str().unwrap().to_owned()));
        after = page["next_after"].clone();
        if after.is_null() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, (0..5).map(|n| format!("task {n}")).collect::<Vec<_>>());
    let (mut cursor, mut uris) = (Value::Null, Vec::new());
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
        let page = session.rpc("resources/list", params).await;
        let rows = page["result"]["resources"].as_array().unwrap().clone();
        uris.extend(rows.iter().map(|row| row["uri"].as_str().unwrap().to_owned()));
        cursor = page["result"]["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(uris.iter().filter(|uri| uri.starts_with("troupe://tasks/")).count(), 5, "{uris:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_the_client_gives_up_holds_nothing() {
    let stage = Stage::with(hasty(), |_| ()).await;
    let (ann, bob) = (stage.client("ann"), stage.client("bob"));
    for client in [&ann, &bob] {
        given(&client.tool("agent_register", json!({"role": "implementer"})).await);
    }
    let poll = json!({"name": "task_next", "arguments": {"wait_ms": 30_000}});
    let mut waiting = Box::pin(ann.open("tools/call", poll));
    // It is on its way, and nothing comes of it.
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err());
    drop(waiting);
    let id = stage.task("for whoever is there").await;
    let held = eventually("bob to be given the task", PATIENCE, || async {
        let taken = bob.tool("task_next", json!({"wait_ms": 1_000})).await;
        given(&taken).get("task").cloned()
    })
    .await;
    assert_eq!(held["task_id"], id.as_str());
    let done = json!({"task_id": id, "epoch": held["epoch"]});
    given(&bob.tool("task_complete", done).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_thinks_for_long_keeps_its_task_and_who_is_silent_loses_it() {
    let stage = Stage::with(hasty(), |config| config.mcp.silence_ms = 6_000).await;
    let ann = stage.client("ann");
    given(&ann.tool("agent_register", json!({"role": "implementer"})).await);
    let id = stage.task("takes its time").await;
    let taken = ann.tool("task_next", json!({"wait_ms": 10_000})).await;
    let epoch = given(&taken)["task"]["epoch"].clone();
    let first = stage.task_now(&id).await["lease_expires_at"].clone();
    // Its lease is two seconds, and is renewed by what the gateway says in its name.
    let lasting = eventually("the lease to be renewed", PATIENCE, || async {
        let task = stage.task_now(&id).await;
        let renewed = task["lease_expires_at"].as_str() > first.as_str();
        (renewed || task["status"] != "in_progress").then_some(task)
    })
    .await;
    assert_eq!((&lasting["status"], &lasting["epoch"]), (&json!("in_progress"), &epoch));
    eventually("the task to come back", PATIENCE, || async {
        (stage.task_now(&id).await["status"] == "available").then_some(())
    })
    .await;
    let late = json!({"task_id": id, "epoch": epoch});
    let late = ann.tool("task_complete", late).await;
    assert!(fault(&late).starts_with("stale_epoch"), "{late}");
}
