//! Any program as an agent: what it is given, what its end means, and that nothing of it stays.

mod support;

use serde_json::{Value, json};
use support::{DEADLINE, Dev, gone, pid_in, runs, text};
use troupe_testkit::eventually;

/// Submits and follows; gives the exit code and the lines of JSON.
async fn submit_and_wait(dev: &Dev, graph: &str) -> (i32, Vec<Value>) {
    let file = dev.write("waited.yaml", graph);
    let args = ["task", "submit", "--wait", "--json", file.to_str().unwrap()];
    let output = dev.troupe(&args).await;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap_or_else(|| panic!("{}", text(&output))), lines)
}

fn summary(lines: &[Value]) -> &Value {
    let last = lines.last().unwrap();
    assert_eq!(last["type"], "summary", "{lines:?}");
    last
}

fn row<'a>(summary: &'a Value, key: &str) -> &'a Value {
    summary["tasks"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap()
}

#[tokio::test]
async fn e2e_a_script_does_a_graph_and_sees_what_it_depends_on() {
    let dev = Dev::start().await;
    // Text on standard output for `a`, JSON for `b`: its own input, as it came.
    let script = "input=$(cat)\n\
        case \"$input\" in *'\"key\":\"a\"'*) echo all well; exit;; esac\n\
        printf '{\"input\":%s,\"id\":\"%s\",\"epoch\":%s,\"agent\":\"%s\"}' \
        \"$input\" \"$TROUPE_TASK_ID\" \"$TROUPE_EPOCH\" \"$TROUPE_AGENT\"\n";
    let _agent = dev.agent("scripted", script, &["--concurrency", "2"]);
    let graph = "
defaults: {role: implementer}
tasks:
  - {key: a, title: First, payload: {n: 1.50}}
  - {key: b, title: Second, depends_on: [a]}
";
    let (code, lines) = submit_and_wait(&dev, graph).await;
    let summary = summary(&lines);
    assert_eq!((code, &summary["ok"]), (0, &json!(true)), "{summary}");
    assert_eq!(row(summary, "a")["result"], "all well");
    let second = &row(summary, "b")["result"];
    assert_eq!(second["input"]["inputs"]["a"]["result"], "all well");
    assert_eq!(second["input"]["task"]["title"], "Second");
    assert_eq!(second["id"], row(summary, "b")["task_id"]);
    assert_eq!((&second["epoch"], &second["agent"]), (&json!(1), &json!("scripted")));
    let completed = |line: &&Value| line["event"]["event"] == "task_completed";
    assert_eq!(lines.iter().filter(completed).count(), 2, "one line per event");
}

#[tokio::test]
async fn e2e_exit_codes_are_outcomes() {
    let dev = Dev::start().await;
    let script = "input=$(cat)\necho \"about to end\" >&2\n\
        case \"$input\" in *never*) exit 65;; *again*) exit 3;; esac\n";
    let _agent = dev.agent("exits", script, &[]);
    let graph = "
defaults: {role: implementer, max_retries: 1, backoff: {initial_ms: 1, max_ms: 1}}
tasks:
  - {key: fine, title: Fine}
  - {key: not, title: never}
  - {key: dead, title: again}
  - {key: after, title: After, depends_on: [dead]}
";
    let (code, lines) = submit_and_wait(&dev, graph).await;
    let summary = summary(&lines);
    assert_eq!((code, &summary["completed"]), (1, &json!(1)), "{summary}");
    let fine = row(summary, "fine");
    assert_eq!((&fine["status"], &fine["result"]), (&json!("completed"), &Value::Null));
    let not = row(summary, "not");
    assert_eq!((&not["status"], &not["epoch"]), (&json!("failed"), &json!(1)), "{not}");
    assert!(not["error"].as_str().unwrap().contains("exit code 65: about to end"), "{not}");
    let dead = row(summary, "dead");
    assert_eq!((&dead["status"], &dead["epoch"]), (&json!("dead"), &json!(2)), "{dead}");
    assert_eq!(row(summary, "after")["status"], "cancelled");
}

#[tokio::test]
async fn e2e_evidence_is_attached_and_asked_for() {
    let dev = Dev::start().await;
    let _agent = dev.agent("witness", "cat >/dev/null; echo 42\n", &[]);
    let graph = "
tasks:
  - {key: a, title: Shown, role: implementer, verification: {evidence: [command]}}
";
    let ids = dev.submit(graph).await;
    let task = dev.until(&ids["a"], "reported").await;
    let command = &task["evidence"][0]["command"];
    assert_eq!(command["exit_code"], 0, "{task}");
    // SHA-256 of "42\n".
    let digest = "084c799cd551dd1d8d5c5f9a5d593b2e931f5e36122ee5c793c1d08a19839cc0";
    assert_eq!(command["output_sha256"], digest);
}

/// A script that leaves its own id and that of a child of its own in files, and stays.
fn staying(dev: &Dev) -> (String, std::path::PathBuf, std::path::PathBuf) {
    let (own, child) = (dev.path("own.pid"), dev.path("child.pid"));
    let script = format!(
        "sleep 1000 &\necho $! > {0}.new; mv {0}.new {0}\necho $$ > {1}.new; mv {1}.new {1}\nwait\n",
        child.display(),
        own.display()
    );
    (script, own, child)
}

#[tokio::test]
async fn e2e_a_cancelled_task_takes_its_whole_process_group_along() {
    let dev = Dev::start().await;
    let (script, own, child) = staying(&dev);
    let agent = dev.agent("stays", &script, &[]);
    let ids = dev.submit("tasks: [{key: a, title: Long, role: implementer}]").await;
    let (own, child) = (pid_in(&own).await, pid_in(&child).await);
    assert!(runs(own) && runs(child));
    dev.json(&["task", "cancel", ids["a"].as_str().unwrap(), "--reason", "enough"]).await;
    gone(own).await;
    gone(child).await;
    assert_eq!(dev.task(&ids["a"]).await["status"], "cancelled");
    assert!(agent.ended().is_none(), "the agent itself goes on");
}

#[tokio::test]
async fn e2e_a_spent_budget_stops_the_program() {
    let dev = Dev::start().await;
    let (script, own, child) = staying(&dev);
    let _agent = dev.agent("slow", &script, &[]);
    let graph = "tasks: [{key: a, title: Long, role: implementer, max_retries: 0, \
                 budget: {max_duration_ms: 300}}]";
    let ids = dev.submit(graph).await;
    let task = dev.until(&ids["a"], "dead").await;
    assert!(task["error"].as_str().unwrap().contains("max_duration_ms of 300"), "{task}");
    gone(pid_in(&own).await).await;
    gone(pid_in(&child).await).await;
}

#[tokio::test]
async fn e2e_kill_9_of_an_agent_leaves_no_child_and_loses_no_task() {
    let dev = Dev::start().await;
    let (script, own, child) = staying(&dev);
    let agent = dev.agent("victim", &script, &[]);
    let graph = "tasks: [{key: a, title: Long, role: implementer, lease_ms: 1000}]";
    let ids = dev.submit(graph).await;
    let (own, child) = (pid_in(&own).await, pid_in(&child).await);
    agent.kill9().unwrap();
    gone(own).await;
    gone(child).await;
    let _other = dev.agent("heir", "cat > /dev/null; echo done", &[]);
    let task = dev.until(&ids["a"], "completed").await;
    assert_eq!((&task["claimed_by"], &task["epoch"]), (&json!("heir"), &json!(2)));
    assert_eq!((&task["lease_expiries"], &task["failures"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn e2e_an_agent_paused_past_its_lease_writes_nothing_when_it_comes_back() {
    let dev = Dev::start().await;
    let (started, go) = (dev.path("started.pid"), dev.path("go"));
    // Ends, successfully, as soon as it may: while its agent is paused.
    let script = format!(
        "cat > /dev/null\necho $$ > {0}.new; mv {0}.new {0}\n\
         until [ -e {1} ]; do sleep 0.05; done\necho late\n",
        started.display(),
        go.display()
    );
    let paused = dev.agent("paused", &script, &[]);
    let graph = "tasks: [{key: a, title: Once, role: implementer, lease_ms: 1000}]";
    let ids = dev.submit(graph).await;
    let own = pid_in(&started).await;
    paused.pause().unwrap();
    std::fs::write(&go, "").unwrap();
    gone(own).await;
    let _other = dev.agent("timely", "cat > /dev/null; echo timely", &[]);
    let task = dev.until(&ids["a"], "completed").await;
    paused.resume().unwrap();
    // Either its watch over the hold is the first to learn it, or its report is refused.
    eventually("the agent to learn that the hold is lost", DEADLINE, || async {
        let log = paused.stderr();
        let learnt = log.contains("the program was stopped") || log.contains("nothing was written");
        learnt.then_some(())
    })
    .await;
    let after = dev.task(&ids["a"]).await;
    assert_eq!(after, task, "not one write");
    assert_eq!((&after["result"], &after["epoch"]), (&json!("timely"), &json!(2)));
}

#[tokio::test]
async fn e2e_an_agent_that_is_told_to_leave_gives_back_what_it_cannot_finish() {
    let dev = Dev::start().await;
    let (script, own, child) = staying(&dev);
    let agent = dev.agent("leaves", &script, &["--grace-ms", "100"]);
    let ids = dev.submit("tasks: [{key: a, title: Long, role: implementer}]").await;
    let (own, child) = (pid_in(&own).await, pid_in(&child).await);
    agent.terminate().unwrap();
    let status = agent.wait(DEADLINE).await.unwrap();
    assert!(status.success(), "{}", agent.quoted_output());
    gone(own).await;
    gone(child).await;
    let task = dev.until(&ids["a"], "available").await;
    assert_eq!(task["reasons"][0]["kind"], "released", "{task}");
    eventually("the agent to be out of the directory", DEADLINE, || async {
        let output = dev.troupe(&["agent", "get", "leaves"]).await;
        (output.status.code() == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn e2e_limits_end_an_agent() {
    let dev = Dev::start().await;
    let idle = dev.agent("idle", "true", &["--idle-exit-ms", "200", "--json"]);
    assert!(idle.wait(DEADLINE).await.unwrap().success(), "{}", idle.quoted_output());
    let one = dev.agent("one", "cat >/dev/null", &["--max-tasks", "1", "--json"]);
    dev.submit("tasks: [{key: a, title: A}, {key: b, title: B}]").await;
    assert!(one.wait(DEADLINE).await.unwrap().success(), "{}", one.quoted_output());
    let done: Value = serde_json::from_str(&one.stdout()).unwrap();
    assert_eq!(done["completed"], 1);
}

#[tokio::test]
async fn e2e_the_first_fleet_of_the_examples_counts_right() {
    let dev = Dev::start().await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/first-fleet");
    let script = format!("exec {example}/agent.sh");
    let more = ["--capability", "words:0.9", "--concurrency", "2"];
    let agent = dev.agent("counter", &script, &more);
    let graph = format!("{example}/graph.yaml");
    let output = dev.troupe(&["task", "submit", &graph, "--wait"]).await;
    assert!(output.status.success(), "{}\n{}", text(&output), agent.quoted_output());
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains(r#"{"words":19}"#) && table.contains("3 of 3 completed"), "{table}");
}

#[tokio::test]
async fn e2e_an_agent_whose_name_is_taken_over_stops_its_programs_and_says_why() {
    let dev = Dev::start().await;
    let (script, own, child) = staying(&dev);
    let former = dev.agent("twin", &script, &[]);
    dev.submit("tasks: [{key: a, title: Long, role: implementer}]").await;
    let (own, child) = (pid_in(&own).await, pid_in(&child).await);
    let current = dev.agent("twin", "cat > /dev/null", &[]);
    let status = former.wait(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(1), "{}", former.quoted_output());
    assert!(former.stderr().contains("session is over"), "{}", former.quoted_output());
    gone(own).await;
    gone(child).await;
    assert!(current.ended().is_none(), "{}", current.quoted_output());
}
