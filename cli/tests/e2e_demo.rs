//! `troupe demo` on a small folder: its numbers, its loss, and that it leaves nothing.

mod support;

use serde_json::json;
use support::{DEADLINE, TROUPE};
use troupe_testkit::Proc;

#[tokio::test]
async fn e2e_the_demo_adds_up_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (input, temporary) = (folder.path().join("input"), folder.path().join("tmp"));
    std::fs::create_dir_all(input.join("deep/er")).unwrap();
    std::fs::create_dir(&temporary).unwrap();
    let (mut lines, mut bytes) = (0, 0);
    for number in 0..20 {
        let text = format!("fn f{number}() {{}}\n\n// TODO: {number}\n").repeat(number + 1);
        lines += text.lines().count();
        bytes += text.len();
        let place = if number % 2 == 0 { "deep/er" } else { "." };
        std::fs::write(input.join(place).join(format!("{number}.rs")), text).unwrap();
    }
    std::fs::write(input.join("README.md"), "# One\n\n## Two\nno newline").unwrap();
    std::fs::write(input.join("picture.png"), b"\x89PNG\0\0").unwrap();

    let demo = Proc::build("demo", TROUPE)
        .args(["demo", "--json", "--agents", "5", "--pace-ms", "300", "--path"])
        .arg(&input)
        .env("TMPDIR", &temporary)
        // It sees to this by itself.
        .env_remove("ORT_DISABLE_TELEMETRY")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("TROUPE_NAME")
        .start()
        .unwrap();
    let status = demo.wait(2 * DEADLINE).await.unwrap();
    assert!(status.success(), "{}", demo.quoted_output());
    let report: serde_json::Value = serde_json::from_str(&demo.stdout()).unwrap();
    assert_eq!((&report["ok"], &report["problems"]), (&json!(true), &json!([])));
    assert_eq!((&report["files_found"], &report["skipped"]["binary"]), (&json!(21), &json!(1)));
    let rust = &report["synthesis"]["sums"]["by_type"]["rs"];
    assert_eq!((&rust["lines"], &rust["bytes"]), (&json!(lines), &json!(bytes)));
    assert_eq!((&rust["functions"], &rust["todos"]), (&json!(210), &json!(210)));
    let text = &report["synthesis"]["sums"]["by_type"]["md"];
    assert_eq!((&text["lines"], &text["headings"]), (&json!(3), &json!(2)));
    assert_eq!(report["tasks"], json!({ "completed": 33 }));

    let loss = report["losses"].as_array().unwrap().last().unwrap();
    assert!(loss["taken_back_at"].is_string(), "{loss}");
    assert_ne!(loss["taken_over_by"], loss["agent"]);

    // The command that the report prints finds the same numbers.
    let command = report["check_command"].as_str().unwrap();
    let counted = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
    let counted = String::from_utf8_lossy(&counted.stdout).into_owned();
    let numbers: Vec<usize> = counted.split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_eq!(numbers, [lines, bytes]);

    let left: Vec<_> = std::fs::read_dir(&temporary).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let listed = std::process::Command::new("ps").args(["-eo", "args="]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let ours = |line: &&str| line.contains(temporary.to_str().unwrap());
    assert_eq!(listed.lines().find(ours), None, "a process was left behind");
}

#[tokio::test]
async fn e2e_a_folder_without_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Proc::build("demo", TROUPE).arg("demo").arg("--path").arg(folder.path());
    let demo = demo.start().unwrap();
    assert_eq!(demo.wait(DEADLINE).await.unwrap().code(), Some(1));
    assert!(demo.stderr().contains("no text file"), "{}", demo.quoted_output());
}
