//! Plans from the command line, over the whole stack: made, edited, read back, dispatched to an agent's
//! program, and decided where two disagree.

mod support;

use serde_json::{Value, json};
use support::{DEADLINE, Dev, text};
use troupe_testkit::eventually;

/// What a command prints for people.
async fn said(dev: &Dev, args: &[&str]) -> String {
    let output = dev.troupe(args).await;
    assert!(output.status.success(), "{args:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn item<'a>(shown: &'a Value, id: &str) -> &'a Value {
    shown["plan"]["items"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap()
}

async fn show(dev: &Dev) -> Value {
    dev.json(&["plan", "show", "release", "--json"]).await
}

#[tokio::test]
async fn e2e_a_plan_is_made_edited_done_and_read_back() {
    let dev = Dev::start().await;
    let made = ["plan", "create", "Release 1.0", "--id", "release", "--phases", "2"];
    said(&dev, &made).await;
    said(&dev, &["plan", "add", "release", "Write it", "--id", "write", "--estimate", "30"]).await;
    let test = ["plan", "add", "release", "Test it", "--id", "test", "--needs", "write"];
    said(&dev, &test).await;
    let part = ["plan", "add", "release", "The lexer", "--id", "lexer", "--under", "write"];
    said(&dev, &part).await;
    said(&dev, &["plan", "assign", "release", "test", "tess", "--name", "ann"]).await;
    said(&dev, &["plan", "note", "release", "test", "with junk, too"]).await;
    let shown = said(&dev, &["plan", "show", "release"]).await;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("release: Release 1.0 (0%, owner operator, phase 1 of 2"));
    assert_eq!(lines[1], "[ ] write Write it");
    assert_eq!(lines[2], "  [ ] lexer The lexer  ready");
    assert_eq!(lines[3], "[ ] test Test it  @tess  needs write  1 notes");

    let listed = said(&dev, &["plan", "list"]).await;
    assert!(listed.contains("Release 1.0"), "{listed}");
    let history = said(&dev, &["plan", "history", "release", "--item", "test"]).await;
    assert!(history.contains("ann") && history.contains("assigned_to=tess"), "{history}");
    let first = dev.json(&["plan", "show", "release", "--at", "2", "--json"]).await;
    assert_eq!(first["plan"]["items"].as_array().unwrap().len(), 1);
    let at = first["plan"]["updated_at"].as_str().unwrap();
    let then = dev.json(&["plan", "show", "release", "--at-time", at, "--json"]).await;
    assert!(then["sequence"].as_u64().unwrap() <= 2, "{then}");

    let file = dev.path("release.snapshot");
    let saved = ["plan", "snapshot", "release", "--out", file.to_str().unwrap()];
    let facts = dev.json(&saved).await;
    assert_eq!(facts["bytes"], std::fs::metadata(&file).unwrap().len());
    let synced = dev.json(&["plan", "sync", "release"]).await;
    assert_eq!(synced["state_hash"], facts["state_hash"]);

    // An agent's program does what is ready, and then what waited for it.
    let _agent = dev.agent("worker", "cat > /dev/null; echo done\n", &[]);
    for round in ["lexer", "write", "test"] {
        let sent = ["plan", "dispatch", "release", "--role", "implementer", "--json"];
        let reply = dev.json(&sent).await;
        assert_eq!(reply["dispatched"][0]["item_id"], round);
        eventually(format!("{round} to be done"), DEADLINE, || async {
            (item(&show(&dev).await, round)["status"] == "completed").then_some(())
        })
        .await;
    }
    let shown = show(&dev).await;
    assert_eq!(shown["plan"]["overall_progress"], 100.0);
    assert_eq!(item(&shown, "test")["updated_by"], "worker");
    said(&dev, &["plan", "delete", "release"]).await;
    assert!(!said(&dev, &["plan", "list"]).await.contains("Release 1.0"));
}

#[tokio::test]
async fn e2e_what_says_the_same_is_told_and_decided() {
    let dev = Dev::start().await;
    let made = ["plan", "create", "Twice", "--id", "twice", "--item", "Write the parser"];
    said(&dev, &made).await;
    said(&dev, &["plan", "add", "twice", "write the Parser", "--id", "again"]).await;
    let found = eventually("the pair to be told", DEADLINE, || async {
        let page = dev.json(&["plan", "conflicts", "twice", "--json"]).await;
        page["conflicts"].get(0).cloned()
    })
    .await;
    assert_eq!(found["kind"], "semantic");
    let table = said(&dev, &["plan", "conflicts", "twice"]).await;
    assert!(table.contains("semantic") && table.contains("again"), "{table}");
    let id = found["id"].as_str().unwrap();
    let eve = dev.troupe(&["plan", "resolve", "twice", id, "--dismiss", "--name", "eve"]).await;
    assert!(!eve.status.success(), "{}", text(&eve));
    said(&dev, &["plan", "resolve", "twice", id, "--dismiss"]).await;
    let page = dev.json(&["plan", "conflicts", "twice", "--json"]).await;
    assert_eq!(page["conflicts"], json!([]));
    let unknown = dev.troupe(&["plan", "show", "nowhere"]).await;
    assert!(
        !unknown.status.success() && text(&unknown).contains("not_found"),
        "{}",
        text(&unknown)
    );
}
