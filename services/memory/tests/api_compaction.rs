//! The service, Redis and nats-server are killed while the cold tier is written, and written anew for
//! deletions: what was acknowledged is there, once and whole; what was deleted is in no file.

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use stage::*;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::Endpoint;
use troupe_contract::memory::*;
use troupe_domain::memory::{MemoryId, MemoryType};
use troupe_testkit::{NatsServer, Proc, ValkeyServer, eventually};

const WRITERS: usize = 3;
/// Entries that a writer may be ahead of the kills.
const PACE: usize = 40;
/// Every so many entries, one of before is deleted.
const DELETED_EACH: usize = 3;
const LONG: Duration = Duration::from_mins(2);

/// How often something is killed.
fn rounds() -> usize {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { 60 } else { 6 }
}

/// Chance that can be had again: the seed is printed.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let given = std::env::var("TROUPE_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()) | 1);
        println!("TROUPE_SIM_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn replica(nats: &NatsServer, valkey: &ValkeyServer, folder: &Path) -> Proc {
    let mut process = Proc::build("memory", env!("CARGO_BIN_EXE_troupe-memory"))
        .args(["--nats-url", &nats.url(), "--admin-listen", "127.0.0.1:0"])
        .args(["--set", &format!("redis.url={}", valkey.url())])
        .args(["--set", &format!("cold.folder={}", folder.display())]);
    for set in [
        "shards=1",
        "snapshot_after_log_bytes=65536",
        "tiers.cold_after_ms=1",
        "tiers.sweep_every_ms=40",
    ] {
        process = process.args(["--set", set]);
    }
    process.start().unwrap()
}

/// Asks until it is acknowledged.
async fn insist<E: Endpoint>(bus: &Bus, request: &E::Request, command_id: &str) -> E::Reply {
    let command_id = Some(command_id.to_owned());
    let options = CallOptions { command_id, ..CallOptions::within(Duration::from_millis(1_500)) };
    eventually("a write to be acknowledged", LONG, || async {
        match bus.call_with::<E>(request, &options).await {
            Ok(reply) => Some(reply),
            Err(fault) if fault.code.is_transient() => None,
            Err(fault) => panic!("refused: {fault}"),
        }
    })
    .await
}

/// A text that is nowhere else, and not a part of another.
fn text_of(writer: usize, number: usize) -> String {
    format!("observation <{writer}.{number}> of the wind over the {} hill", number % 7)
}

/// What one writer knows.
#[derive(Default)]
struct Written {
    kept: BTreeMap<MemoryId, String>,
    deleted: BTreeMap<MemoryId, String>,
}

/// How far the writers may go, how far they are, and whether it is over.
#[derive(Default)]
struct Pace {
    allowed: AtomicUsize,
    written: AtomicUsize,
    over: AtomicBool,
}

async fn write(url: String, writer: usize, pace: Arc<Pace>) -> Written {
    let bus = connect_to(&url, &format!("writer-{writer}")).await;
    let mut written = Written::default();
    let mut order: Vec<MemoryId> = Vec::new();
    let mut chance = Chance(writer as u64 + 1);
    for number in 0.. {
        let goes_on = eventually("the next round", LONG, || async {
            let is_over = pace.over.load(Ordering::SeqCst);
            (is_over || number < pace.allowed.load(Ordering::SeqCst)).then_some(!is_over)
        })
        .await;
        if !goes_on {
            break;
        }
        let text = text_of(writer, number);
        let request = CreateMemoryRequest {
            importance: Some(0.1),
            ..CreateMemoryRequest::new(text.clone(), MemoryType::Episodic)
        };
        let key = format!("write-{number}");
        let id = insist::<CreateMemory>(&bus, &request, &key).await.id;
        order.push(id.clone());
        written.kept.insert(id, text);
        if number % DELETED_EACH == 0 {
            let id = order.swap_remove(chance.below(order.len() as u64) as usize);
            let request = serde_json::from_value(json!({ "id": id })).unwrap();
            insist::<DeleteMemory>(&bus, &request, &format!("delete-{number}")).await;
            let text = written.kept.remove(&id).unwrap();
            written.deleted.insert(id, text);
        }
        pace.written.fetch_add(1, Ordering::SeqCst);
    }
    written
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// Of a file what it holds, as it is and unpacked as far as it goes.
fn contents(file: &Path) -> String {
    let raw = std::fs::read(file).unwrap_or_default();
    let mut plain = Vec::new();
    if let Ok(mut decoder) = zstd::stream::Decoder::new(&raw[..]) {
        // Of a file that is not whole there is what comes before.
        let _ = decoder.read_to_end(&mut plain);
    }
    format!("{}{}", String::from_utf8_lossy(&raw), String::from_utf8_lossy(&plain))
}

/// Every entry, with its content; none while some cannot be read.
async fn exported(bus: &Bus) -> Option<Vec<(MemoryId, String)>> {
    let (mut all, mut after): (Vec<(MemoryId, String)>, Option<MemoryId>) = (Vec::new(), None);
    loop {
        let page = call::<ExportMemories>(bus, json!({ "after": after })).await.ok()?;
        for memory in page.memories {
            all.push((memory.id, memory.content?));
        }
        match page.next_after {
            Some(next) => after = Some(next),
            None => return Some(all),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_while_segments_are_written_anew_loses_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (nats, valkey) = (NatsServer::start().await.unwrap(), ValkeyServer::start().await.unwrap());
    let start = || replica(&nats, &valkey, folder.path());
    let mut replicas = [start(), start()];
    let pace = Arc::new(Pace::default());
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(nats.url(), writer, pace.clone()))).collect();
    let mut chance = Chance::new();
    for round in 1..=rounds() {
        pace.allowed.store(round * PACE, Ordering::SeqCst);
        let before = files(folder.path());
        let writes = pace.written.load(Ordering::SeqCst) + chance.below(PACE as u64) as usize;
        eventually("the cold tier to be written", LONG, || async {
            let is_written = pace.written.load(Ordering::SeqCst) >= writes;
            (is_written && files(folder.path()) != before).then_some(())
        })
        .await;
        // Somewhere between two steps.
        tokio::time::sleep(Duration::from_micros(chance.below(60_000))).await;
        match round % 6 {
            3 => {
                nats.kill9().unwrap();
                nats.restart().await.unwrap();
            }
            5 => {
                valkey.kill9().unwrap();
                valkey.restart().await.unwrap();
            }
            _ => {
                let one = chance.below(2) as usize;
                replicas[one].kill9().unwrap();
                replicas[one] = start();
            }
        }
        let wanted = WRITERS * (round * PACE - PACE / 4);
        eventually("writing to go on", LONG, || async {
            (pace.written.load(Ordering::SeqCst) >= wanted).then_some(())
        })
        .await;
    }
    pace.over.store(true, Ordering::SeqCst);
    let mut all = Written::default();
    for writer in writers {
        let written = writer.await.unwrap();
        all.kept.extend(written.kept);
        all.deleted.extend(written.deleted);
    }
    let admin = connect_to(&nats.url(), "admin").await;
    for id in all.deleted.keys() {
        eventually("each deletion to be complete", LONG, || async {
            let receipt = call::<GetDeletion>(&admin, json!({ "id": id })).await.ok()?;
            receipt.complete.then_some(())
        })
        .await;
    }
    let found = eventually("everything to be read", LONG, || exported(&admin)).await;
    assert_eq!(found.len(), all.kept.len(), "each once");
    assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), all.kept);
    let stats = stats(&admin).await;
    assert_eq!(stats.damaged, 0);
    assert!(stats.by_tier.get("cold").is_some_and(|cold| *cold > 0), "else it shows nothing");
    assert!(!all.deleted.is_empty());
    let (mut read, mut kept): (usize, BTreeSet<&MemoryId>) = (0, BTreeSet::new());
    for file in files(folder.path()) {
        let held = contents(&file);
        read += 1;
        kept.extend(all.kept.iter().filter(|(_, text)| held.contains(*text)).map(|(id, _)| id));
        let leak = all.deleted.values().find(|text| held.contains(text.as_str()));
        assert!(leak.is_none(), "{} still holds {leak:?}", file.display());
    }
    assert!(kept.len() > all.kept.len() / 2, "{} of {read} files are read", kept.len());
}
