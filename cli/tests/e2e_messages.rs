//! Messages between programs: each is handled once, answered where it asks for it, and waits for who is
//! away.

mod support;

use serde_json::{Value, json};
use support::{DEADLINE, Dev, TROUPE, gone, pid_in, text};
use troupe_testkit::{OtlpSink, Proc, SpanKind, SpanRecord, eventually};

/// What a command wrote to standard error, and that it failed.
async fn refused(dev: &Dev, args: &[&str]) -> String {
    let output = dev.troupe(args).await;
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of a file, once there are so many.
async fn lines(dev: &Dev, name: &str, count: usize) -> Vec<String> {
    let path = dev.path(name);
    eventually(format!("{count} lines in {name}"), DEADLINE, || async {
        let text = std::fs::read_to_string(&path).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn e2e_who_was_away_finds_its_messages_in_order_and_once() {
    let dev = Dev::start().await;
    for body in ["one", "two", "three"] {
        let sent = dev.json(&["message", "send", "--to", "late", body, "--json"]).await;
        assert_eq!((&sent["status"], &sent["duplicate"]), (&json!("queued"), &json!(false)));
    }
    let again = ["message", "send", "--to", "late", "--id", "m4", "four", "--json"];
    assert_eq!(dev.json(&again).await["duplicate"], false);
    assert_eq!(dev.json(&again).await["duplicate"], true);
    let heard = dev.path("heard");
    let script = format!(
        "body=$(sed 's/.*\"body\":\"\\([a-z]*\\)\".*/\\1/')\necho \"$body\" >> {}\n",
        heard.display()
    );
    let more = ["--max-messages", "4", "--concurrency", "3", "--json"];
    let agent = dev.listener("late", &script, &more);
    assert!(agent.wait(DEADLINE).await.unwrap().success(), "{}", agent.quoted_output());
    assert_eq!(lines(&dev, "heard", 4).await, ["one", "two", "three", "four"]);
    let done: Value = serde_json::from_str(&agent.stdout()).unwrap();
    assert_eq!((&done["messages"]["completed"], &done["completed"]), (&json!(4), &json!(0)));
    let left = dev.json(&["message", "inbox", "--name", "late", "--json"]).await;
    assert_eq!((&left["messages"], &left["remaining"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn e2e_a_request_gets_what_the_program_wrote_or_why_not() {
    let dev = Dev::start().await;
    let script = "message=$(cat)\n\
        case \"$message\" in *never*) echo \"not mine\" >&2; exit 65;; esac\n\
        printf '{\"by\":\"%s\",\"attempt\":%s}' \"$TROUPE_AGENT\" \"$TROUPE_ATTEMPT\"\n";
    let _agent = dev.listener("oracle", script, &[]);
    let response = dev.json(&["message", "request", "--to", "oracle", "what", "--json"]).await;
    assert_eq!(response["body"], json!({"by": "oracle", "attempt": 1}), "{response}");
    assert_eq!((&response["type"], &response["sender_id"]), (&json!("response"), &json!("oracle")));
    // For people: what was said, and nothing else.
    let output = dev.troupe(&["message", "request", "--to", "oracle", "what"]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "{\"by\":\"oracle\",\"attempt\":1}\n");
    let why = refused(&dev, &["message", "request", "--to", "oracle", "never"]).await;
    assert!(why.contains("failed_precondition") && why.contains("not mine"), "{why}");
    let nobody = ["message", "request", "--to", "nobody", "--within-ms", "500", "x"];
    let why = refused(&dev, &nobody).await;
    assert!(why.contains("deadline_exceeded"), "{why}");
    let dead = dev.json(&["message", "dead", "--name", "oracle", "--json"]).await;
    assert_eq!(dead["dead_letters"][0]["reason"], "rejected", "{dead}");
}

#[tokio::test]
async fn e2e_a_program_that_hears_a_message_can_ask_its_sender_back() {
    let dev = Dev::start().await;
    // While it has a message of source in its hands, middle asks source for something.
    let _source = dev.listener("source", "cat > /dev/null; echo 42", &[]);
    let script = format!(
        "cat > /dev/null\nanswer=$({TROUPE} message request --name middle --to source why)\n\
         echo \"source says $answer\"\n"
    );
    let _middle = dev.listener("middle", &script, &[]);
    let args = ["message", "request", "--name", "source", "--to", "middle", "how", "--json"];
    let response = dev.json(&args).await;
    assert_eq!(response["body"], "source says 42", "{response}");
}

#[tokio::test]
async fn e2e_what_a_killed_agent_had_is_handled_by_its_next_life_and_by_no_other() {
    let dev = Dev::start().await;
    let own = dev.path("own.pid");
    let script =
        format!("cat > /dev/null\necho $$ > {0}.new; mv {0}.new {0}\nsleep 1000\n", own.display());
    let more = ["--ack-wait-ms", "1000"];
    let victim = dev.listener("victim", &script, &more);
    dev.json(&["message", "send", "--to", "victim", "survive", "--json"]).await;
    let program = pid_in(&own).await;
    victim.kill9().unwrap();
    gone(program).await;
    let script = "echo \"attempt $TROUPE_ATTEMPT\" >&2; cat > /dev/null";
    let heir = dev.listener("victim", script, &["--max-messages", "1", "--json"]);
    assert!(heir.wait(DEADLINE).await.unwrap().success(), "{}", heir.quoted_output());
    assert!(heir.stderr().contains("attempt 2"), "{}", heir.quoted_output());
}

#[tokio::test]
async fn e2e_an_agent_that_is_told_to_leave_gives_its_message_back() {
    let dev = Dev::start().await;
    let own = dev.path("own.pid");
    let script =
        format!("cat > /dev/null\necho $$ > {0}.new; mv {0}.new {0}\nsleep 1000\n", own.display());
    let agent = dev.listener("leaves", &script, &["--grace-ms", "100", "--json"]);
    dev.json(&["message", "send", "--to", "leaves", "long", "--json"]).await;
    let program = pid_in(&own).await;
    agent.terminate().unwrap();
    assert!(agent.wait(DEADLINE).await.unwrap().success(), "{}", agent.quoted_output());
    gone(program).await;
    let done: Value = serde_json::from_str(&agent.stdout()).unwrap();
    assert_eq!(done["messages"]["released"], 1, "{done}");
    // At once, and not only when its lease would have run out.
    let args = ["message", "inbox", "--name", "leaves", "--wait-ms", "10000", "--ack", "--json"];
    let back = dev.json(&args).await;
    assert_eq!(back["messages"][0]["delivery_attempts"], 2, "{back}");
}

#[tokio::test]
async fn e2e_an_agent_does_tasks_and_hears_messages() {
    let dev = Dev::start().await;
    let command = "cat > /dev/null; echo heard";
    let more = ["--on-message", command, "--max-tasks", "1"];
    let agent = dev.agent("both", "cat > /dev/null; echo done", &more);
    let response = dev.json(&["message", "request", "--to", "both", "x", "--json"]).await;
    assert_eq!(response["body"], "heard", "{}", agent.quoted_output());
    let ids = dev.submit("tasks: [{key: a, title: A, role: implementer}]").await;
    assert_eq!(dev.until(&ids["a"], "completed").await["result"], "done");
    assert!(agent.wait(DEADLINE).await.unwrap().success(), "{}", agent.quoted_output());
}

#[tokio::test]
async fn e2e_topics_and_broadcasts_reach_many_and_each_may_answer() {
    let dev = Dev::start().await;
    for name in ["eu", "us"] {
        dev.json(&["message", "subscribe", "deploy.>", "--name", name, "--json"]).await;
    }
    let answer = "cat > /dev/null; echo \"$TROUPE_AGENT is ready\"";
    let _eu = dev.listener("eu", answer, &[]);
    let _us = dev.listener("us", answer, &[]);
    let args =
        ["message", "request", "--topic", "deploy.all", "--all", "--within-ms", "3000", "go?"];
    let output = dev.troupe(&args).await;
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut said: Vec<String> = said
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["body"].as_str().unwrap().to_owned()
        })
        .collect();
    said.sort();
    assert_eq!(said, ["eu is ready", "us is ready"]);
    let all = ["message", "request", "--broadcast", "--all", "--within-ms", "3000", "there?"];
    let output = dev.troupe(&all).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2, "{}", text(&output));
}

#[tokio::test]
async fn e2e_a_session_has_turns_a_transcript_and_an_end() {
    let dev = Dev::start().await;
    let open = [
        "session",
        "open",
        "--name",
        "ann",
        "--type",
        "negotiation",
        "--with",
        "bob",
        "--id",
        "s1",
        "--round-robin",
        "--json",
    ];
    let session = dev.json(&open).await;
    assert_eq!((&session["status"], &session["next_speaker"]), (&json!("open"), &json!("ann")));
    let say = |who: &'static str, what: &'static str| {
        let dev = &dev;
        async move { dev.json(&["session", "say", "s1", what, "--name", who, "--json"]).await }
    };
    assert_eq!(say("ann", "ten").await["status"], "heard");
    let why = refused(&dev, &["session", "say", "s1", "nine", "--name", "ann"]).await;
    assert!(why.contains("failed_precondition"), "{why}");
    assert_eq!(say("bob", "eight").await["status"], "heard");
    let inbox =
        dev.json(&["message", "inbox", "--name", "ann", "--wait-ms", "5000", "--json"]).await;
    let bodies: Vec<_> =
        inbox["messages"].as_array().unwrap().iter().map(|m| &m["message"]["body"]).collect();
    assert!(bodies.contains(&&json!("eight")), "{inbox}");
    let closed =
        dev.json(&["session", "close", "s1", "--outcome", "agreed", "--name", "bob"]).await;
    assert_eq!(closed["end"]["outcome"], "agreed", "{closed}");
    let transcript = dev.json(&["session", "transcript", "s1", "--name", "ann", "--json"]).await;
    let turns = transcript["entries"].as_array().unwrap().iter();
    let turns: Vec<_> = turns.filter_map(|entry| entry["what"]["turn"]["body"].as_str()).collect();
    assert_eq!(turns, ["ten", "eight"]);
}

/// An agent of the example, with a capability.
fn helper(dev: &Dev, name: &str, capability: &str) -> Proc {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/first-messages");
    dev.listener(name, &format!("exec {example}/answer.sh"), &["--capability", capability])
}

#[tokio::test]
async fn e2e_an_intent_reaches_who_can_act_on_it_and_the_choice_is_explained() {
    let dev = Dev::start().await;
    let _translator = helper(&dev, "tess", "translation:0.9");
    let _other = helper(&dev, "dora", "deployment:0.9");
    let routes = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/first-messages/routes.yaml");
    let put = dev.json(&["route", "put", routes, "--json"]).await;
    assert!(put.as_array().unwrap().iter().all(|reply| reply["created"] == true), "{put}");
    assert_eq!(dev.json(&["route", "list", "--json"]).await["routes"].as_array().unwrap().len(), 2);
    let wanted = "could you put this into Italian?";
    let resolution = eventually("the routes to be learned", DEADLINE, || async {
        let output = dev.troupe(&["route", "resolve", wanted, "--json"]).await;
        let resolution: Value = serde_json::from_slice(&output.stdout).ok()?;
        (resolution["agent_id"] == "tess").then_some(resolution)
    })
    .await;
    assert_eq!(resolution["outcome"], "chosen");
    assert_eq!(resolution["candidates"][0]["breaker"], "closed", "{resolution}");
    assert!(!resolution["reason"].as_str().unwrap().is_empty());
    let args = ["message", "request", "--intent", wanted, "good morning", "--json"];
    let response = dev.json(&args).await;
    assert_eq!(response["body"], "tess heard: good morning", "{response}");
    // A filter is a hard constraint, and the explanation says whom it removed.
    let filtered = ["route", "resolve", wanted, "--exclude", "tess", "--json"];
    let output = dev.troupe(&filtered).await;
    let resolution: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(resolution["agent_id"], "tess");
    let removed = resolution["removed"].as_array().unwrap();
    assert!(
        removed.iter().any(|r| r["agent_id"] == "tess" && r["by"] == "excluded"),
        "{resolution}"
    );
    let shown = dev.troupe(&["route", "resolve", wanted]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("chosen: tess") && shown.contains("BREAKER"), "{shown}");
}

const CLI: &str = "troupe-cli";
const AGENT: &str = "troupe-agent";
const ROUTING: &str = "troupe-semantic-routing";

#[tokio::test]
async fn e2e_a_message_is_one_trace_from_its_sender_to_the_program_that_handles_it() {
    let sink = OtlpSink::start().await.unwrap();
    let endpoint = sink.endpoint();
    let dev = Dev::with(|dev| dev.args(["--otlp-endpoint", &endpoint])).await;
    let script = "cat > /dev/null; echo \"$TRACEPARENT\"";
    let more = ["--max-messages", "1", "--otlp-endpoint", &endpoint];
    let agent = dev.listener("traced", script, &more);
    let args =
        ["message", "request", "--to", "traced", "x", "--json", "--otlp-endpoint", &endpoint];
    let response = dev.json(&args).await;
    assert!(agent.wait(DEADLINE).await.unwrap().success(), "{}", agent.quoted_output());
    // What the program saw is the agent's span.
    let seen = response["body"].as_str().unwrap().to_owned();
    let trace_id = seen[3..35].to_owned();
    let find = |spans: &[SpanRecord], service: &str, name: &str, kind: SpanKind| {
        let mut own = spans.iter().filter(|span| span.trace_id == trace_id);
        own.find(|s| s.service_name == service && s.name == name && s.kind == kind).cloned()
    };
    let chain = [
        (CLI, "routing.send", SpanKind::Client),
        (ROUTING, "routing.send", SpanKind::Server),
        (ROUTING, "message.send", SpanKind::Producer),
        (ROUTING, "message.deliver", SpanKind::Consumer),
        (AGENT, "handle_message traced", SpanKind::Consumer),
    ];
    let whole =
        |spans: &[SpanRecord]| chain.iter().all(|(s, n, k)| find(spans, s, n, *k).is_some());
    let spans = sink.wait_for(whole, DEADLINE).await;
    let spans: Vec<_> = chain.iter().map(|(s, n, k)| find(&spans, s, n, *k).unwrap()).collect();
    for pair in spans.windows(2) {
        assert_eq!(pair[1].parent_span_id, pair[0].span_id, "{} {}", pair[0].name, pair[1].name);
    }
    assert_eq!(seen[36..52], spans[4].span_id);
}
