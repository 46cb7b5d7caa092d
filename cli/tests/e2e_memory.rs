//! Memory from the command line, over the whole stack: written, found, counted, carried elsewhere, taken
//! back and deleted for good; and what a command says, and ends with, when it is asked for nonsense.

mod support;

use serde_json::{Value, json};
use support::{DEADLINE, Dev, text};
use troupe_testkit::eventually;

const FAULT: i32 = 1;
const USAGE: i32 = 2;

/// What a command prints for people.
async fn said(dev: &Dev, args: &[&str]) -> String {
    let output = dev.troupe(args).await;
    assert!(output.status.success(), "{args:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command says that must fail, with this exit code; it prints nothing to standard output.
async fn refused(dev: &Dev, args: &[&str], code: i32) -> String {
    let output = dev.troupe(args).await;
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output));
    assert!(output.stdout.is_empty(), "{args:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn create(dev: &Dev, content: &str, more: &[&str]) -> String {
    let args = [&["memory", "create", content, "--json"], more].concat();
    dev.json(&args).await["id"].as_str().unwrap().to_owned()
}

/// The ids that a search finds, the best first.
async fn found(dev: &Dev, query: &str) -> Vec<String> {
    let reply = dev.json(&["memory", "search", query, "--json"]).await;
    let id = |hit: &Value| hit["memory"]["id"].as_str().unwrap().to_owned();
    reply["results"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn e2e_what_is_remembered_is_found_carried_elsewhere_and_taken_back() {
    let dev = Dev::start().await;
    let port = "The staging database listens on port 5433";
    let root = create(&dev, port, &["--tag", "database", "--importance", "0.8"]).await;
    let child = create(&dev, "Tunnels to staging end at 5433", &["--derived-from", &root]).await;
    assert_eq!(found(&dev, "port of the staging database").await[0], root);
    let table = said(&dev, &["memory", "search", "staging database", "--explain"]).await;
    for part in ["SCORE", "LEXICAL", "PRIOR", &root, port] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let tagged = ["memory", "search", "--tag", "database", "--json"];
    assert_eq!(dev.json(&tagged).await["results"].as_array().unwrap().len(), 1);

    let shown = dev.json(&["memory", "get", &root]).await;
    let memory = &shown["memory"];
    assert_eq!(memory["content"], port);
    assert_eq!(memory["tags"], json!(["database"]));
    assert_eq!(
        (&memory["provenance"]["author"], &shown["complete"]),
        (&json!("operator"), &json!(true))
    );
    let stats = dev.json(&["memory", "stats"]).await;
    assert_eq!((&stats["entries"], &stats["by_type"]["semantic"]), (&json!(2), &json!(2)));
    let listed = said(&dev, &["memory", "list"]).await;
    assert!(listed.contains(&root) && listed.contains(&child), "{listed}");

    // Somewhere else it is the same, and a second time it is there.
    let lines = said(&dev, &["memory", "export"]).await;
    let exported: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exported.len(), 2);
    let file = dev.write("memories.jsonl", &lines);
    let import = ["memory", "import", file.to_str().unwrap(), "--namespace", "attic"];
    assert_eq!(said(&dev, &import).await.trim(), "2 taken in, 0 were there");
    assert_eq!(said(&dev, &import).await.trim(), "0 taken in, 2 were there");
    let copied = said(&dev, &["memory", "export", "--namespace", "attic"]).await;
    let contents = |lines: &str| -> Vec<Value> {
        let value = |line: &str| serde_json::from_str::<Value>(line).unwrap()["content"].clone();
        lines.lines().map(value).collect()
    };
    assert_eq!(contents(&copied), contents(&lines));
    let namespaces = said(&dev, &["memory", "namespaces"]).await;
    assert!(namespaces.contains("attic") && namespaces.contains("default"), "{namespaces}");

    // What is taken back takes along what rests on it, here and not there.
    let retract = ["memory", "retract", &root, "it moved to 5434", "--namespace", "default"];
    let told = said(&dev, &retract).await;
    assert!(told.starts_with(&format!("{root}: taken back, with 1 others")), "{told}");
    assert_eq!(found(&dev, "port of the staging database").await, Vec::<String>::new());
    let get = ["memory", "get", &child, "--namespace", "default"];
    assert_eq!(dev.json(&get).await["memory"]["status"], "retracted");
    let get = ["memory", "get", &child, "--namespace", "attic"];
    assert_eq!(dev.json(&get).await["memory"]["status"], "active");
}

#[tokio::test]
async fn e2e_what_is_deleted_is_gone_with_a_receipt() {
    let dev = Dev::start().await;
    let id = create(&dev, "The password of the old router is swordfish", &[]).await;
    let kept = create(&dev, "The new router has no password", &[]).await;
    let why = refused(&dev, &["memory", "delete", &id, "--name", "eve"], FAULT).await;
    assert!(why.contains("permission_denied"), "{why}");
    assert!(dev.json(&["memory", "get", &id]).await["memory"]["content"].is_string());

    let receipt = dev.json(&["memory", "delete", &id, "--reason", "a secret"]).await;
    assert_eq!((&receipt["id"], &receipt["requested_by"]), (&json!(id), &json!("operator")));
    let receipt = eventually("the deletion to be complete", DEADLINE, || async {
        let receipt = dev.json(&["memory", "deletion", &id]).await;
        (receipt["complete"] == true).then_some(receipt)
    })
    .await;
    let tiers = receipt["tiers"].as_array().unwrap();
    assert_eq!(tiers.len(), 4);
    assert!(tiers.iter().all(|tier| tier["done_at"].is_string()), "{receipt}");
    assert!(!receipt.to_string().contains("swordfish"), "{receipt}");
    let why = refused(&dev, &["memory", "get", &id], FAULT).await;
    assert!(why.contains("not_found"), "{why}");
    assert!(!found(&dev, "swordfish router password").await.contains(&id));
    assert!(dev.json(&["memory", "get", &kept]).await["memory"]["content"].is_string());
}

#[tokio::test]
async fn e2e_nonsense_is_refused_and_changes_nothing() {
    let dev = Dev::start().await;
    create(&dev, "The only one", &[]).await;
    let exported = said(&dev, &["memory", "export"]).await;
    let broken = dev.write("broken.jsonl", &format!("{exported}{{\"id\": \"half\n"));
    let broken = broken.to_str().unwrap();
    let missing = dev.path("nowhere.jsonl");
    let missing = missing.to_str().unwrap();
    let long = "x".repeat(70 * 1024);
    let cases: [(&[&str], i32, &str); 9] = [
        (&["memory", "create", ""], FAULT, "content"),
        // Standard input is empty.
        (&["memory", "create", "-"], FAULT, "content"),
        (&["memory", "create", "too important", "--importance", "2"], FAULT, "importance"),
        (&["memory", "create", &long], FAULT, "content"),
        (&["memory", "create", "what kind?", "--type", "dream"], USAGE, "dream"),
        (&["memory", "get", "nobody-wrote-this"], FAULT, "not_found"),
        (&["memory", "search", "one", "--limit", "1000000"], FAULT, "limit"),
        (&["memory", "import", missing], FAULT, "nowhere.jsonl"),
        (&["memory", "import", broken, "--namespace", "attic"], FAULT, "line 2"),
    ];
    for (args, code, named) in cases {
        let why = refused(&dev, args, code).await;
        assert!(why.contains(named), "{args:?}: {why}");
    }
    let stats = dev.json(&["memory", "stats"]).await;
    assert_eq!((&stats["entries"], &stats["namespaces"]), (&json!(1), &json!(1)));
}
