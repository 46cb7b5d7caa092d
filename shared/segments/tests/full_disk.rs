//! A disk that is really full: the test runs itself again in a mount namespace with a small disk of its
//! own. Where the system allows no such thing, it says so and shows nothing.
#![cfg(target_os = "linux")]

mod stage;

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use stage::{at, id, namespace, wanted};
use troupe_segments::{Entry, SegmentError, location};

const INSIDE: &str = "TROUPE_SEGMENTS_SMALL_DISK";
const TEST: &str = "a_full_disk_says_so_loses_nothing_and_heals";

/// Mounts a small disk on the folder `$0`, and runs the rest.
const SCRIPT: &str = "mount -t tmpfs -o size=512k tmpfs \"$0\" && exec \"$@\"";

/// The way to a namespace of mounts that works here.
fn way(folder: &Path) -> Option<&'static str> {
    ["-m", "-Urm"].into_iter().find(|&flags| {
        let mut tried = Command::new("unshare");
        tried.args([flags, "sh", "-c", SCRIPT]).arg(folder).arg("true");
        tried.output().is_ok_and(|output| output.status.success())
    })
}

/// Lines that do not compress.
fn noise(number: i64) -> Vec<Entry> {
    let mut state = number.unsigned_abs() | 1 << 40;
    let mut text = String::new();
    while text.len() < 60_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let _ = write!(text, "{state:016x}");
    }
    let line = serde_json::json!({ "content": text }).to_string().into();
    vec![Entry { id: format!("m{number}"), at: at(number), line }]
}

async fn inside(folder: &Path) {
    let segments = location::segments_in_folder(folder).unwrap();
    let mut written = Vec::new();
    let error = loop {
        let number = written.len() as i64 + 1;
        assert!(number < 100, "the disk is never full");
        match segments.write(&namespace(), id(number), noise(number), at(number)).await {
            Ok(made) => written.push(made),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SegmentError::Full { .. }) && error.is_passing(), "{error}");
    assert!(written.len() > 3, "{}", written.len());
    for (number, made) in (1..).zip(&written) {
        let line = segments.read(&namespace(), wanted(id(number), &made.places[0])).await.unwrap();
        assert_eq!(line, noise(number)[0].line);
    }
    // Somebody makes room: what failed is done by the same call.
    std::fs::remove_file(folder.join("ballast")).unwrap();
    let number = written.len() as i64 + 1;
    segments.write(&namespace(), id(number), noise(number), at(number)).await.unwrap();
    let listed = segments.manifest(&namespace()).await.unwrap().segments;
    assert_eq!(listed.len(), written.len() + 1);
}

#[tokio::test]
async fn a_full_disk_says_so_loses_nothing_and_heals() {
    if let Some(folder) = std::env::var_os(INSIDE) {
        let folder = Path::new(&folder);
        std::fs::write(folder.join("ballast"), vec![0; 100_000]).unwrap();
        return inside(folder).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(flags) = way(folder.path()) else {
        println!("not shown: this system lets nobody mount a disk of their own");
        return;
    };
    let ended = Command::new("unshare")
        .args([flags, "sh", "-c", SCRIPT])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(INSIDE, folder.path())
        .output()
        .unwrap();
    let told = [ended.stdout, ended.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    assert!(ended.status.success(), "{}", told.concat());
}
