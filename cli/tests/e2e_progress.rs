//! A program that is an agent reports how far it is, and everybody can see it.

mod support;

use serde_json::json;
use support::{DEADLINE, Dev, TROUPE};
use troupe_testkit::eventually;

#[tokio::test]
async fn e2e_a_program_reports_without_saying_which_task_it_is_about() {
    let dev = Dev::start().await;
    // The second report lowers the percentage without a reason: it is refused, and the program goes on.
    let script = format!(
        "cat >/dev/null\n\
         {TROUPE} progress report 60 'half of it' --remaining-minutes 3 || exit 65\n\
         {TROUPE} progress report 10 && exit 65\n\
         {TROUPE} progress report 10 --regression-reason 'it was wrong' || exit 65\n\
         {TROUPE} progress report --blocked-by 'the schema' || exit 65\n\
         echo done\n"
    );
    let ids = dev
        .submit("tasks: [{key: a, title: A, role: implementer}, {key: b, title: B, role: nobody}]")
        .await;
    let (a, b) = (ids["a"].as_str().unwrap(), ids["b"].as_str().unwrap());
    let create = ["milestone", "create", "The first", "--id", "first", "--task", a, "--json"];
    assert_eq!(dev.json(&create).await["status"], "pending");
    let far = ["milestone", "create", "All", "--id", "all", "--task", b, "--target"];
    let far: Vec<&str> = far.into_iter().chain(["2099-01-01T00:00:00Z", "--json"]).collect();
    assert_eq!(dev.json(&far).await["target_date"], "2099-01-01T00:00:00.000Z");
    let _agent = dev.agent("reporter", &script, &[]);
    dev.until(&ids["a"], "completed").await;

    let history = dev.json(&["progress", "history", a, "--json"]).await;
    let told: Vec<f64> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["percentage"].as_f64().unwrap())
        .collect();
    assert_eq!(told, [10.0, 10.0, 60.0], "{history}");
    assert_eq!(history["entries"][0]["blockers"], json!(["the schema"]));
    assert_eq!(history["entries"][1]["regression"]["reason"], "it was wrong");
    assert_eq!(history["entries"][2]["agent_id"], "reporter");
    let first = eventually("the milestone to be achieved", DEADLINE, || async {
        let shown = dev.json(&["milestone", "show", "first"]).await;
        (shown["status"] == "achieved").then_some(shown)
    })
    .await;
    assert_eq!(first["progress"], 100.0);
    let summary = ["progress", "summary", "--task", a, "--task", b, "--json"];
    let summary = dev.json(&summary).await;
    assert_eq!((&summary["items_completed"], &summary["total_items"]), (&json!(1), &json!(2)));
    let agent = dev.json(&["progress", "agent", "reporter"]).await;
    assert_eq!((&agent["tasks_completed"], &agent["role"]), (&json!(1), &json!("implementer")));
    let estimate = dev.json(&["progress", "estimate", "--task", b, "--json"]).await;
    assert_eq!(estimate["unknown"], true, "one task was ever completed: {estimate}");
    // What people see is told in words, and is never empty.
    for args in [
        &["progress", "summary"][..],
        &["progress", "bottlenecks"],
        &["progress", "estimate"],
        &["progress", "stalled"],
        &["progress", "history", a],
        &["milestone", "list"],
    ] {
        let output = dev.troupe(args).await;
        assert!(output.status.success() && !output.stdout.is_empty(), "{args:?}");
    }
}
