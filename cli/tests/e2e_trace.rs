//! A task's life is one trace: command line, services, agent, and what the agent runs.

mod support;

use support::{DEADLINE, Dev, TROUPE};
use troupe_testkit::{OtlpSink, SpanKind, SpanRecord, eventually};

const CLI: &str = "troupe-cli";
const AGENT: &str = "troupe-agent";
const WORK: &str = "troupe-work-distribution";
const PLAN: &str = "troupe-plan-sync";

/// The spans of one trace.
struct Trace(Vec<SpanRecord>);

impl Trace {
    fn of(spans: &[SpanRecord], id: &str) -> Self {
        Self(spans.iter().filter(|span| span.trace_id == id).cloned().collect())
    }

    fn find(&self, service: &str, name: &str, kind: SpanKind) -> Option<&SpanRecord> {
        self.0.iter().find(|s| s.service_name == service && s.name == name && s.kind == kind)
    }

    fn get(&self, service: &str, name: &str, kind: SpanKind) -> &SpanRecord {
        self.find(service, name, kind)
            .unwrap_or_else(|| panic!("no {kind:?} {name} of {service} in {:#?}", self.0))
    }

    /// A call of `caller`, answered by work distribution: two spans, one below the other.
    fn call(&self, caller: &str, operation: &str) -> &SpanRecord {
        let client = self.get(caller, operation, SpanKind::Client);
        let server = self.get(WORK, operation, SpanKind::Server);
        assert_eq!(server.parent_span_id, client.span_id, "{operation}");
        client
    }
}

/// The root of the submission tells which trace it is.
fn submitted(spans: &[SpanRecord]) -> Option<Trace> {
    let root = spans.iter().find(|span| span.name == "troupe task submit")?;
    Some(Trace::of(spans, &root.trace_id))
}

#[tokio::test]
async fn e2e_a_task_is_one_trace_from_the_command_line_to_the_agents_program() {
    let sink = OtlpSink::start().await.unwrap();
    let endpoint = sink.endpoint();
    let dev = Dev::with(|dev| dev.args(["--otlp-endpoint", &endpoint])).await;
    // The program asks something itself, with the name and the trace that it was given.
    let script = format!(
        "cat > /dev/null; {TROUPE} call work.stats --name \"$TROUPE_AGENT\" \
         --otlp-endpoint {endpoint} > /dev/null; echo \"$TRACEPARENT\""
    );
    let more = ["--max-tasks", "1", "--otlp-endpoint", &endpoint];
    let agent = dev.agent("traced", &script, &more);
    let graph = dev.write("graph.yaml", "tasks: [{key: a, title: A, role: implementer}]");
    let args = ["task", "submit", "--json", "--otlp-endpoint", &endpoint, graph.to_str().unwrap()];
    let ids = dev.json(&args).await["task_ids"].clone();
    let task = dev.until(&ids["a"], "completed").await;
    assert!(agent.wait(DEADLINE).await.unwrap().success(), "{}", agent.quoted_output());

    let whole = |spans: &[SpanRecord]| {
        submitted(spans).is_some_and(|trace| {
            trace.find(WORK, "work.complete", SpanKind::Server).is_some()
                && trace.find(WORK, "work.stats", SpanKind::Server).is_some()
                && trace.find(WORK, "task.create_graph", SpanKind::Producer).is_some()
                && trace.find(WORK, "task.claim", SpanKind::Consumer).is_some()
                && trace.find(AGENT, "invoke_agent implementer", SpanKind::Consumer).is_some()
        })
    };
    let trace = submitted(&sink.wait_for(whole, DEADLINE).await).unwrap();

    let root = trace.get(CLI, "troupe task submit", SpanKind::Internal);
    assert_eq!(root.parent_span_id, "");
    assert_eq!(trace.call(CLI, "work.create_graph").parent_span_id, root.span_id);
    let created = trace.get(WORK, "work.create_graph", SpanKind::Server);
    let sent = trace.get(WORK, "task.create_graph", SpanKind::Producer);
    assert_eq!(sent.parent_span_id, created.span_id);
    let invoked = trace.get(AGENT, "invoke_agent implementer", SpanKind::Consumer);
    let claimed = trace.get(WORK, "task.claim", SpanKind::Consumer);
    assert_eq!(claimed.parent_span_id, sent.span_id);
    assert_eq!(invoked.parent_span_id, claimed.span_id);
    assert_eq!(invoked.attributes["troupe.task.id"], ids["a"].as_str().unwrap());
    // The poll started it: reporting is all that is left to say.
    assert_eq!(trace.call(AGENT, "work.complete").parent_span_id, invoked.span_id);
    // What the program saw is the agent's span, and what it did hangs below it.
    let seen = format!("00-{}-{}-01", invoked.trace_id, invoked.span_id);
    assert_eq!(task["result"], seen.as_str());
    assert_eq!(trace.call(CLI, "work.stats").parent_span_id, invoked.span_id);
}

/// An item of a plan becomes a task in the trace of whoever dispatched it, and what the task does to the
/// plan is told in that trace too.
#[tokio::test]
async fn e2e_an_item_that_is_dispatched_stays_in_one_trace() {
    let sink = OtlpSink::start().await.unwrap();
    let endpoint = sink.endpoint();
    let dev = Dev::with(|dev| dev.args(["--otlp-endpoint", &endpoint])).await;
    for args in [
        &["plan", "create", "Release 1.0", "--id", "release"][..],
        &["plan", "add", "release", "Write it", "--id", "write"],
    ] {
        assert!(dev.troupe(args).await.status.success(), "{args:?}");
    }
    let more = ["--max-tasks", "1", "--otlp-endpoint", &endpoint];
    let agent = dev.agent("doer", "cat > /dev/null; echo done", &more);
    let args = ["plan", "dispatch", "release", "--role", "implementer", "--json"];
    let sent = dev.json(&[&args[..], &["--otlp-endpoint", &endpoint]].concat()).await;
    let task = sent["dispatched"][0]["task_id"].as_str().unwrap();
    assert!(agent.wait(DEADLINE).await.unwrap().success(), "{}", agent.quoted_output());

    let of = |spans: &[SpanRecord]| {
        let root = spans.iter().find(|s| s.service_name == CLI && s.name == "plan.dispatch")?;
        let trace = Trace::of(spans, &root.trace_id);
        trace.find(AGENT, "invoke_agent implementer", SpanKind::Consumer)?;
        trace.find(WORK, "work.complete", SpanKind::Server)?;
        Some(trace)
    };
    let trace = of(&sink.wait_for(|spans| of(spans).is_some(), DEADLINE).await).unwrap();
    let asked = trace.get(CLI, "plan.dispatch", SpanKind::Client);
    assert_eq!(asked.parent_span_id, "");
    let dispatched = trace.get(PLAN, "plan.dispatch", SpanKind::Server);
    assert_eq!(dispatched.parent_span_id, asked.span_id);
    assert_eq!(trace.call(PLAN, "work.create").parent_span_id, dispatched.span_id);
    let claimed = trace.get(WORK, "task.claim", SpanKind::Consumer);
    let sent = trace.get(WORK, "task.create", SpanKind::Producer);
    assert_eq!(claimed.parent_span_id, sent.span_id);
    let invoked = trace.get(AGENT, "invoke_agent implementer", SpanKind::Consumer);
    assert_eq!(invoked.attributes["troupe.task.id"], task);
    let of_trace = |event: &serde_json::Value| {
        let context = event["traceparent"].as_str().unwrap_or_default();
        context.contains(&asked.trace_id)
    };
    let told = eventually("the plan's item to be completed", DEADLINE, async || {
        let output =
            dev.troupe(&["events", "--json", "--entity", "plan", "--since", "1h", "--past"]).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let of_plan: Vec<serde_json::Value> = events.collect();
        let is_done = of_plan.iter().any(|event| event["data"]["status"] == "completed");
        is_done.then_some(of_plan)
    })
    .await;
    assert!(told.iter().filter(|event| of_trace(event)).count() >= 2, "{told:#?}");
}

#[tokio::test]
async fn e2e_without_an_exporter_the_stored_trace_is_passed_on() {
    let dev = Dev::start().await;
    let agent = dev.agent("plain", "cat > /dev/null; echo \"$TRACEPARENT\"", &[]);
    let graph = dev.write("graph.yaml", "tasks: [{key: a, title: A, role: implementer}]");
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let output = tokio::process::Command::new(TROUPE)
        .args(["task", "submit", "--json", graph.to_str().unwrap()])
        .env("TROUPE_NATS_URL", dev.nats_url())
        .env("TRACEPARENT", given)
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .output()
        .await
        .unwrap();
    let created: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let task = dev.until(&created["task_ids"]["a"], "completed").await;
    assert_eq!(task["result"], given, "{}", agent.quoted_output());
}
