//! `troupe dev`: its address file, its stop, its servers; and the commands against it.

mod support;

use serde_json::json;
use support::{DEADLINE, Dev, TROUPE, closed, gone, text};
use troupe_testkit::Proc;

/// The processes whose command line names the data folder: the servers.
fn servers(dev: &Dev) -> Vec<u32> {
    let folder = std::fs::canonicalize(dev.path("data")).unwrap();
    let listed = std::process::Command::new("ps").args(["-eo", "pid=,args="]).output().unwrap();
    let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
    let own = dev.proc.pid();
    lines
        .lines()
        .filter(|line| line.contains(folder.to_str().unwrap()) && line.contains("-server"))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .filter(|pid| *pid != own)
        .collect()
}

#[tokio::test]
async fn e2e_dev_tells_where_it_listens_and_stops_in_order() {
    let dev = Dev::start().await;
    let found = servers(&dev);
    assert_eq!(found.len(), 1, "nats-server names its folder: {found:?}");
    let doctor = dev.json(&["doctor", "--json"]).await;
    let well = doctor.as_array().unwrap().iter().all(|check| check["ok"] == json!(true));
    assert!(well && doctor.as_array().unwrap().len() >= 6, "{doctor}");

    let data = dev.path("data");
    let second = Proc::build("second", TROUPE)
        .args(["dev", "--nats-port", "0", "--http-port", "0", "--mcp-port", "0", "--data-dir"])
        .arg(&data)
        .start()
        .unwrap();
    assert_eq!(second.wait(DEADLINE).await.unwrap().code(), Some(1));
    assert!(second.stderr().contains("is in use by another stack"), "{}", second.quoted_output());

    dev.proc.terminate().unwrap();
    let status = dev.proc.wait(DEADLINE).await.unwrap();
    assert!(status.success(), "{}", dev.proc.quoted_output());
    assert!(!data.join("dev.json").exists());
    for pid in found {
        gone(pid).await;
    }
    closed(&dev.addresses["redis_url"]).await;
}

#[tokio::test]
async fn e2e_the_servers_die_with_a_dev_that_is_killed() {
    let dev = Dev::start().await;
    let found = servers(&dev);
    assert!(!found.is_empty());
    dev.proc.kill9().unwrap();
    for pid in found {
        gone(pid).await;
    }
    closed(&dev.addresses["redis_url"]).await;
}

#[tokio::test]
async fn e2e_a_restart_finds_the_tasks_again() {
    let dev = Dev::start().await;
    let ids = dev.submit("tasks: [{key: a, title: Kept}]").await;
    dev.proc.kill9().unwrap();
    let data = dev.path("data");
    // What a killed stack leaves behind says nothing about the next one.
    std::fs::remove_file(data.join("dev.json")).unwrap();
    let again = Proc::build("again", TROUPE)
        .args([
            "dev",
            "--json",
            "--nats-port",
            "0",
            "--http-port",
            "0",
            "--mcp-port",
            "0",
            "--data-dir",
        ])
        .arg(&data)
        .start()
        .unwrap();
    again.wait_for_output("nats_url", DEADLINE).await.unwrap();
    let addresses: serde_json::Value = serde_json::from_str(&again.stdout()).unwrap();
    let output = tokio::process::Command::new(TROUPE)
        .args(["task", "get", ids["a"].as_str().unwrap(), "--nats-url"])
        .arg(addresses["nats_url"].as_str().unwrap())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("Kept"));
}

#[tokio::test]
async fn e2e_faults_are_one_line_and_have_an_exit_code() {
    let dev = Dev::start().await;
    for (args, code, says) in [
        (&["task", "get", "nothing"][..], 1, "not_found"),
        (&["task", "cancel", "nothing"][..], 1, "not_found"),
        (&["call", "work.create", r#"{"title":""}"#][..], 1, "title"),
        (&["call", "work.fly"][..], 2, "work.create_graph"),
        (&["call", "work.stats", "{"][..], 2, "not JSON"),
        (&["task", "submit", "/no/such/file"][..], 2, "/no/such/file"),
        (&["task", "fly"][..], 2, "fly"),
        (&["task", "list", "--status", "odd"][..], 2, "in_progress"),
        (&["agent", "run", "--role", "r", "--exec", "/no/such"][..], 2, "/no/such"),
    ] {
        let output = dev.troupe(args).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output));
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let cycle = "tasks: [{key: a, title: A, depends_on: [b]}, {key: b, title: B, depends_on: [a]}]";
    let file = dev.write("cycle.yaml", cycle);
    let output = dev.troupe(&["task", "submit", file.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("a -> b -> a"), "{}", text(&output));
}

#[tokio::test]
async fn e2e_a_person_can_do_every_step_by_hand() {
    let dev = Dev::start().await;
    let ids = dev.submit("tasks: [{key: a, title: A}, {key: b, title: B}]").await;
    let again = dev.submit("idempotency_key: once\ntasks: [{key: a, title: A}]").await;
    assert_eq!(again, dev.submit("idempotency_key: once\ntasks: [{key: a, title: A}]").await);
    let registered = r#"{"role":"planner"}"#;
    dev.json(&["call", "--json", "registry.register", registered]).await;
    let id = ids["a"].as_str().unwrap();
    let claim = dev.json(&["task", "claim", id]).await;
    assert_eq!((&claim["success"], &claim["task"]["task"]["epoch"]), (&json!(true), &json!(1)));
    let lost = dev.troupe(&["task", "claim", id, "--name", "other"]).await;
    assert_eq!(lost.status.code(), Some(1), "{}", text(&lost));
    dev.json(&["task", "start", id, "--epoch", "1"]).await;
    dev.json(&["task", "extend", id, "--epoch", "1", "--progress", "50"]).await;
    let stale = dev.troupe(&["task", "complete", id, "--epoch", "7"]).await;
    assert!(text(&stale).contains("stale_epoch"), "{}", text(&stale));
    dev.json(&["task", "complete", id, "--epoch", "1", "--result", "{\"n\":1}"]).await;
    assert_eq!(dev.task(&ids["a"]).await["result"]["n"], 1);
    let cancelled = dev.json(&["task", "cancel", ids["b"].as_str().unwrap()]).await;
    assert_eq!(cancelled["task_ids"][0], ids["b"]);
    dev.json(&["task", "revive", ids["b"].as_str().unwrap()]).await;
    let listed = dev.json(&["task", "list", "--json", "--status", "available"]).await;
    assert!(listed["tasks"].as_array().unwrap().iter().any(|task| task["id"] == ids["b"]));
    for args in [
        &["task", "stats"][..],
        &["task", "available", "--json"],
        &["task", "recommend", "--json"],
        &["agent", "list", "--json"],
        &["agent", "discover", "--json", "--role", "planner"],
        &["agent", "stats"],
        &["agent", "get", "operator"],
    ] {
        dev.json(args).await;
    }
}
