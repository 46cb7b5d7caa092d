//! The tiers: contents move as the rules say, are read wherever they are, and leave nothing behind when
//! they are deleted, not in Redis, not in the log, not in a segment, not on the disk.

mod stage;

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use stage::*;
use troupe_bus::Call;
use troupe_bus::port::{EVERYTHING, Log};
use troupe_contract::memory::*;
use troupe_contract::{Service, stream};
use troupe_domain::memory::{MemoryId, MemoryStatus, MemoryTier};
use troupe_domain::{Code, Fault};
use troupe_memory::config::{ColdConfig, TierConfig};
use troupe_memory::{Config, Replica};
use troupe_runtime::config::Address;
use troupe_testkit::{Proc, ValkeyServer, eventually};

/// Words that are nowhere else.
const SECRET: &str = "quizzaciously";

/// Everything becomes cold at once, unless it is important.
fn cooling(folder: &Path) -> Config {
    Config {
        shards: 1,
        cold: ColdConfig { folder: Some(folder.to_owned()), ..ColdConfig::default() },
        tiers: TierConfig {
            cold_after_ms: 1,
            sweep_every_ms: 50,
            hot_idle_ms: 60_000,
            ..TierConfig::default()
        },
        ..lexical()
    }
}

fn with_redis(config: Config, valkey: &ValkeyServer) -> Config {
    let mut config = config;
    config.common.redis.url = Some(Address::new(valkey.url()).unwrap());
    config
}

async fn until_in(bus: &troupe_bus::Bus, id: &MemoryId, tier: MemoryTier) {
    let page = json!({});
    eventually("it to be in another tier", PATIENCE, || async {
        // A list does not count as a read.
        let page = call::<ListMemories>(bus, page.clone()).await.ok()?;
        page.memories.into_iter().find(|memory| memory.id == *id && memory.tier == tier)
    })
    .await;
}

async fn note(bus: &troupe_bus::Bus, content: &str, importance: f64) -> MemoryId {
    create(bus, json!({"content": content, "type": "episodic", "importance": importance})).await.id
}

/// Every file below a folder that has these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if let Ok(content) = std::fs::read(&path)
            && content.windows(bytes.len()).any(|window| window == bytes)
        {
            found.push(path);
        }
    }
    found
}

/// What a segment holds, readable.
fn segments_with(folder: &Path, text: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            count += segments_with(&path, text);
        } else if path.extension().is_some_and(|end| end == "zst") {
            let content = std::fs::read(&path).unwrap();
            let plain = zstd::stream::decode_all(&content[..]).unwrap_or_default();
            count += usize::from(String::from_utf8_lossy(&plain).contains(text));
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cold_is_found_and_read_and_comes_back_when_it_is_read_often() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(cooling(folder.path()), 1).await;
    let ada = stage.bus("ada").await;
    let id = note(&ada, "the turbine was inspected on a rainy day", 0.2).await;
    let kept = note(&ada, "the generator is inspected each spring", 0.9).await;
    until_in(&ada, &id, MemoryTier::Cold).await;
    assert!(stats(&ada).await.segments >= 1);
    // Its content left memory, and search finds it nevertheless.
    let found = search(&ada, json!({"query": "turbine rainy"})).await;
    assert_eq!(ids(&found)[0], id);
    let hit = &found.results[0].memory;
    assert_eq!(hit.content.as_deref(), Some("the turbine was inspected on a rainy day"));
    assert_eq!((hit.status, hit.tier), (MemoryStatus::Archived, MemoryTier::Cold));
    assert_eq!(get(&ada, &kept).await.tier, MemoryTier::Warm);
    // Another owner has no words of it in its snapshot or log: they are read from the segment.
    stage.replicas.remove(0).drain().await;
    stage.add_replica().await;
    eventually("its words to be found again", PATIENCE, || async {
        let found = search(&ada, json!({"query": "turbine rainy"})).await;
        (found.complete && ids(&found).first() == Some(&id)).then_some(())
    })
    .await;
    for _ in 0..3 {
        let read = call::<GetMemory>(&ada, json!({ "id": id })).await.unwrap();
        assert!(read.memory.content.is_some() && read.complete);
    }
    eventually("it to be back in memory", PATIENCE, || async {
        let page = call::<ListMemories>(&ada, json!({})).await.ok()?;
        let is_back = |m: &troupe_domain::memory::Memory| m.id == id && m.tier != MemoryTier::Cold;
        page.memories.iter().any(is_back).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_leaves_no_trace_in_any_tier() {
    let folder = tempfile::tempdir().unwrap();
    let valkey = ValkeyServer::start().await.unwrap();
    let stage = Stage::with(with_redis(cooling(folder.path()), &valkey), 1).await;
    let ada = stage.bus("ada").await;
    // One that is cold, beside others in its segment; one that is hot; one that was both.
    let cold = note(&ada, &format!("cold {SECRET} in the archive"), 0.1).await;
    let other = note(&ada, "a neighbour that stays where it is", 0.1).await;
    let hot = create(&ada, json!({"content": format!("hot {SECRET} at hand"), "type": "working"}))
        .await
        .id;
    until_in(&ada, &cold, MemoryTier::Cold).await;
    until_in(&ada, &other, MemoryTier::Cold).await;
    let client = redis::Client::open(valkey.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let copies = async |redis: &mut redis::aio::MultiplexedConnection| {
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(redis).await.unwrap();
        let mut all = String::new();
        for key in keys {
            let fields: Vec<String> =
                redis::cmd("HVALS").arg(&key).query_async(redis).await.unwrap();
            all += &fields.concat();
        }
        all
    };
    eventually("a hot copy", PATIENCE, || {
        let mut redis = redis.clone();
        async move { copies(&mut redis).await.contains(SECRET).then_some(()) }
    })
    .await;
    assert!(segments_with(folder.path(), SECRET) > 0, "else the test shows nothing");
    for id in [&cold, &hot] {
        let receipt = call::<DeleteMemory>(&ada, json!({ "id": id })).await.unwrap();
        assert_eq!(receipt.requested_by, name("ada"));
    }
    for id in [&cold, &hot] {
        eventually("the deletion to be complete", Duration::from_secs(60), || async {
            let receipt = call::<GetDeletion>(&ada, json!({ "id": id })).await.ok()?;
            receipt.complete.then_some(())
        })
        .await;
        let gone = call::<GetMemory>(&ada, json!({ "id": id })).await.unwrap_err();
        assert_eq!((gone.code, &gone.details["deleted"]), (Code::NotFound, &json!(true)));
    }
    assert!(ids(&search(&ada, json!({ "query": SECRET })).await).is_empty());
    assert!(!copies(&mut redis).await.contains(SECRET));
    assert_eq!(segments_with(folder.path(), SECRET), 0);
    assert!(files_with(folder.path(), SECRET.as_bytes()).is_empty());
    let spec = stream::shard_log(Service::Memory, 0, 1, stream::MEMORY_LOG_BYTES);
    let log = ada.open_stream(&spec, 1).await.unwrap();
    let mut messages = 0;
    log.read(EVERYTHING, 1, &mut |entry| {
        messages += 1;
        let text = String::from_utf8_lossy(&entry.body);
        assert!(!text.contains(SECRET), "in the log at {}", entry.sequence);
    })
    .await
    .unwrap();
    assert!(messages > 0);
    let events = ada.open_stream(&stream::events(), 1).await.unwrap();
    events
        .read(EVERYTHING, 1, &mut |entry| {
            assert!(!String::from_utf8_lossy(&entry.body).contains(SECRET), "in an event");
        })
        .await
        .unwrap();
    // What was beside it is still there, in another segment.
    let read = call::<GetMemory>(&ada, json!({ "id": other })).await.unwrap();
    assert_eq!(read.memory.content.as_deref(), Some("a neighbour that stays where it is"));
}

/// What a replica answers itself, whichever replica a caller would meet.
async fn answered_by(replica: &Replica, id: &MemoryId) -> Result<GetMemoryReply, Fault> {
    let call = Call {
        caller: name("ada"),
        request: MemoryRef { id: id.clone(), namespace: None },
        command_id: None,
        deadline: tokio::time::Instant::now() + PATIENCE,
        trace: None,
    };
    troupe_memory::handlers::reading::get(replica.memories(), call).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_copy_is_served_and_said_to_be_one_while_the_owner_does_not_answer() {
    let valkey = ValkeyServer::start().await.unwrap();
    let config = Config { shards: 1, ..with_redis(lexical(), &valkey) };
    let mut stage = Stage::with(config, 0).await;
    let owner = Proc::build("memory", env!("CARGO_BIN_EXE_troupe-memory"))
        .args(["--nats-url", &stage.nats.url(), "--admin-listen", "127.0.0.1:0"])
        .args(["--set", "shards=1", "--set", &format!("redis.url={}", valkey.url())])
        .start()
        .unwrap();
    let ada = stage.bus("ada").await;
    let id = eventually("the owner to be there", PATIENCE, || async {
        let note = json!({"content": "at hand", "type": "working"});
        call::<CreateMemory>(&ada, note).await.ok().map(|receipt| receipt.id)
    })
    .await;
    // Chance decides who should own it; it is to be the other.
    stage.add_replica().await;
    while stage.replicas[0].router().find(0).is_some() {
        stage.replicas.remove(0).drain().await;
        stage.add_replica().await;
    }
    let answer = answered_by(&stage.replicas[0], &id).await.unwrap();
    assert!(answer.complete, "the owner answers");
    let client = redis::Client::open(valkey.url()).unwrap();
    let redis = client.get_multiplexed_async_connection().await.unwrap();
    eventually("a hot copy, and a way to it", PATIENCE, || {
        let (mut redis, hot) = (redis.clone(), stage.replicas[0].memories().hot.clone());
        async move {
            let keys: Vec<String> =
                redis::cmd("KEYS").arg("*memory*").query_async(&mut redis).await.ok()?;
            (!keys.is_empty() && hot.unwrap().is_healthy()).then_some(())
        }
    })
    .await;
    owner.pause().unwrap();
    let answer = answered_by(&stage.replicas[0], &id).await.unwrap();
    assert!(!answer.complete, "it is a copy");
    assert_eq!(answer.source, MemoryTier::Hot);
    assert_eq!(answer.memory.content.as_deref(), Some("at hand"));
    owner.resume().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_redis_and_a_broken_cold_tier_hold_nothing_up_and_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let valkey = ValkeyServer::start().await.unwrap();
    let stage = Stage::with(with_redis(cooling(folder.path()), &valkey), 1).await;
    let ada = stage.bus("ada").await;
    eventually("Redis to be there", PATIENCE, || async { stats(&ada).await.hot.then_some(()) })
        .await;
    valkey.kill9().unwrap();
    // A file stands where the namespace's folder must be.
    std::fs::write(folder.path().join("default"), b"in the way").unwrap();
    for number in 0..20 {
        note(&ada, &format!("still remembered {number}"), 0.1).await;
    }
    create(&ada, json!({"content": "at hand", "type": "working"})).await;
    eventually("both to be said", PATIENCE, || async {
        let stats = stats(&ada).await;
        (!stats.hot && stats.hot_error.is_some() && stats.cold_error.is_some()).then_some(())
    })
    .await;
    let ask = json!({"query": "remembered", "type": "episodic", "limit": 50});
    assert_eq!(search(&ada, ask).await.results.len(), 20);
    std::fs::remove_file(folder.path().join("default")).unwrap();
    valkey.restart().await.unwrap();
    eventually("both to be back", Duration::from_secs(60), || async {
        let stats = stats(&ada).await;
        (stats.hot && stats.cold && stats.by_tier.get("cold") == Some(&20)).then_some(())
    })
    .await;
}

/// Every segment below a folder.
fn segments_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            segments.extend(segments_in(&path));
        } else if path.extension().is_some_and(|end| end == "zst") {
            segments.push(path);
        }
    }
    segments
}

/// Flips bytes in the middle of a segment.
fn flip(segment: &Path) {
    let mut content = std::fs::read(segment).unwrap();
    let middle = content.len() / 3;
    content[middle..middle + 40].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(segment, content).unwrap();
}

/// Events of an entry, as they are kept: what happened, and why.
async fn events_of(bus: &troupe_bus::Bus, id: &MemoryId) -> Vec<(String, Option<String>)> {
    let events = bus.open_stream(&stream::events(), 1).await.unwrap();
    let mut bodies = Vec::new();
    events.read(EVERYTHING, 1, &mut |entry| bodies.push(entry.body)).await.unwrap();
    let mut told = Vec::new();
    for body in bodies {
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let all = value.as_array().cloned().unwrap_or_else(|| vec![value]);
        let of = all.into_iter().map(|event| event.get("data").cloned().unwrap_or(event));
        for event in of.filter(|event| event["memory_id"] == json!(id)) {
            let text = |field: &str| event[field].as_str().map(str::to_owned);
            told.push((text("event").unwrap_or_default(), text("reason")));
        }
    }
    told
}

/// Whether the log of the only shard has these words.
async fn log_has(bus: &troupe_bus::Bus, words: &str) -> bool {
    let spec = stream::shard_log(Service::Memory, 0, 1, stream::MEMORY_LOG_BYTES);
    let log = bus.open_stream(&spec, 1).await.unwrap();
    let mut has = false;
    let mut look = |entry: troupe_bus::port::Entry| {
        has |= String::from_utf8_lossy(&entry.body).contains(words);
    };
    log.read(EVERYTHING, 1, &mut look).await.unwrap();
    has
}

async fn recovers_from(damage: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(cooling(folder.path()), 1).await;
    let ada = stage.bus("ada").await;
    let id = note(&ada, "the exact words that were written", 0.1).await;
    let other = note(&ada, "a neighbour that nobody reads", 0.1).await;
    for id in [&id, &other] {
        until_in(&ada, id, MemoryTier::Cold).await;
    }
    segments_in(folder.path()).iter().for_each(|segment| damage(segment));
    for id in [&id, &other] {
        let read = call::<GetMemory>(&ada, json!({ "id": id })).await.unwrap();
        let expected = ["the exact words that were written", "a neighbour that nobody reads"];
        let content = read.memory.content.as_deref();
        assert!(content.is_none_or(|content| expected.contains(&content)), "never read wrong");
        eventually("it to be told, found and written anew", PATIENCE, || async {
            let told = Box::pin(events_of(&ada, id)).await;
            let damaged = told.iter().position(|(event, _)| event == "memory_damaged")?;
            let recovered = told.iter().position(|(_, why)| why.as_deref() == Some("recovered"))?;
            assert!(damaged < recovered, "{told:?}");
            let is_moved = |(event, _): &(String, Option<String>)| event == "memory_moved";
            told.iter().skip(recovered + 1).any(is_moved).then_some(())
        })
        .await;
    }
    // Another owner sees the same, finds the words, and reads the new segment.
    stage.replicas.remove(0).drain().await;
    stage.add_replica().await;
    assert_eq!(stats(&ada).await.damaged, 0);
    eventually("both to be whole", PATIENCE, || async {
        let found = search(&ada, json!({"query": "exact words"})).await;
        let hit = found.results.iter().find(|hit| hit.memory.id == id)?;
        let found = search(&ada, json!({"query": "neighbour nobody"})).await;
        let neighbour = found.results.iter().find(|hit| hit.memory.id == other)?;
        let is_whole = found.complete
            && hit.memory.content.as_deref() == Some("the exact words that were written")
            && neighbour.memory.content.as_deref() == Some("a neighbour that nobody reads");
        is_whole.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_flipped_byte_hits_is_found_in_the_log_and_written_anew() {
    recovers_from(flip).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_a_segment_that_is_gone_is_found_in_the_log_and_written_anew() {
    recovers_from(|segment| std::fs::remove_file(segment).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_is_met_and_reported_and_never_read_once_the_log_is_purged() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::with(cooling(folder.path()), 1).await;
    let ada = stage.bus("ada").await;
    let id = note(&ada, "the exact words that were written", 0.1).await;
    until_in(&ada, &id, MemoryTier::Cold).await;
    assert!(log_has(&ada, "the exact words").await, "else purging shows nothing");
    // A deletion is done when the log before it is gone.
    let other = note(&ada, "something else", 0.9).await;
    call::<DeleteMemory>(&ada, json!({ "id": other })).await.unwrap();
    eventually("the log to be purged", Duration::from_secs(60), || async {
        let receipt = call::<GetDeletion>(&ada, json!({ "id": other })).await.ok()?;
        receipt.complete.then_some(())
    })
    .await;
    assert!(!log_has(&ada, "the exact words").await);
    flip(&segments_in(folder.path())[0]);
    let read = call::<GetMemory>(&ada, json!({ "id": id })).await.unwrap();
    assert!(!read.complete && read.memory.content.is_none());
    eventually("it to be looked for in vain", PATIENCE, || async {
        let shard = stage.replicas[0].router().find(0)?;
        let is_sought = shard.look(|state| !state.lost(10, usize::MAX).is_empty());
        (!is_sought && stats(&ada).await.damaged == 1).then_some(())
    })
    .await;
    let read = call::<GetMemory>(&ada, json!({ "id": id })).await.unwrap();
    assert!(!read.complete && read.memory.content.is_none());
    let told = events_of(&ada, &id).await;
    assert!(told.iter().any(|(event, _)| event == "memory_damaged"), "{told:?}");
    let found = search(&ada, json!({"query": "exact words"})).await;
    assert!(!found.complete && !found.missing.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_segments_become_one_and_everything_in_them_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::with(cooling(folder.path()), 1).await;
    let ada = stage.bus("ada").await;
    let mut written = Vec::new();
    for number in 0..12 {
        let text = format!("page {number} of the log of the ship");
        let id = note(&ada, &text, 0.1).await;
        // Each in a segment of its own.
        until_in(&ada, &id, MemoryTier::Cold).await;
        written.push((id, text));
    }
    eventually("them to be fewer", PATIENCE, || async {
        (stats(&ada).await.segments <= 3 && segments_in(folder.path()).len() <= 3).then_some(())
    })
    .await;
    for (id, text) in written {
        let read = call::<GetMemory>(&ada, json!({ "id": id })).await.unwrap();
        assert_eq!((read.complete, read.memory.content.as_deref()), (true, Some(text.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cold_for_long_is_deleted_with_a_proof_and_what_is_protected_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = cooling(folder.path());
    config.cold.keep_for_ms = Some(300);
    let stage = Stage::with(config, 1).await;
    let ada = stage.bus("ada").await;
    let old = note(&ada, &format!("{SECRET} of long ago"), 0.1).await;
    let kept = note(&ada, "what matters stays", 0.9).await;
    let tagged = json!({
        "content": "what is tagged stays", "type": "episodic", "importance": 0.1, "tags": ["permanent"],
    });
    let tagged = create(&ada, tagged).await.id;
    let receipt = eventually("it to be deleted for good", Duration::from_secs(60), || async {
        let receipt = call::<GetDeletion>(&ada, json!({ "id": old })).await.ok()?;
        receipt.complete.then_some(receipt)
    })
    .await;
    assert_eq!(receipt.requested_by, name(troupe_memory::NAME));
    assert_eq!(segments_with(folder.path(), SECRET), 0);
    assert!(!log_has(&ada, SECRET).await);
    let told = events_of(&ada, &old).await;
    assert!(told.iter().any(|(event, _)| event == "memory_deleted"), "{told:?}");
    for id in [kept, tagged] {
        assert!(get(&ada, &id).await.content.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_tier_that_is_not_there_is_said_and_takes_nothing_along() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stage = Stage::with(cooling(folder.path()), 1).await;
    let ada = stage.bus("ada").await;
    let id = note(&ada, &format!("{SECRET} on a disk"), 0.1).await;
    let other = note(&ada, "a neighbour on that disk", 0.1).await;
    for id in [&id, &other] {
        until_in(&ada, id, MemoryTier::Cold).await;
    }
    // As if the disk were not mounted: the folder is there, and empty.
    let (here, there) = (folder.path().join("default"), elsewhere.path().join("default"));
    std::fs::rename(&here, &there).unwrap();
    call::<DeleteMemory>(&ada, json!({ "id": id })).await.unwrap();
    eventually("it to be said", PATIENCE, || async { stats(&ada).await.cold_error }).await;
    let receipt = call::<GetDeletion>(&ada, json!({ "id": id })).await.unwrap();
    assert!(!receipt.complete);
    assert!(segments_with(&there, SECRET) > 0, "else it shows nothing");
    std::fs::rename(&there, &here).unwrap();
    eventually("the deletion to be complete", Duration::from_secs(60), || async {
        let receipt = call::<GetDeletion>(&ada, json!({ "id": id })).await.ok()?;
        receipt.complete.then_some(())
    })
    .await;
    assert_eq!(segments_with(folder.path(), SECRET), 0);
    let read = call::<GetMemory>(&ada, json!({ "id": other })).await.unwrap();
    assert_eq!(read.memory.content.as_deref(), Some("a neighbour on that disk"));
    assert_eq!(stats(&ada).await.damaged, 0);
}
