//! The service, Redis and nats-server are killed in the middle of writing: every entry that was
//! acknowledged is found, once.

mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use stage::*;
use troupe_bus::{Bus, CallOptions};
use troupe_contract::memory::*;
use troupe_domain::memory::{MemoryId, MemoryType};
use troupe_testkit::{NatsServer, Proc, ValkeyServer, eventually};

const ENTRIES: usize = 300;

fn replica(nats: &NatsServer, valkey: &ValkeyServer) -> Proc {
    Proc::build("memory", env!("CARGO_BIN_EXE_troupe-memory"))
        .args(["--nats-url", &nats.url(), "--admin-listen", "127.0.0.1:0"])
        .args(["--set", &format!("redis.url={}", valkey.url())])
        .start()
        .unwrap()
}

/// Writes until it is acknowledged.
async fn insist(bus: &Bus, number: usize) -> MemoryId {
    let content = format!("observation number{number} of the wind");
    let request = CreateMemoryRequest::new(content, MemoryType::Episodic);
    let command_id = Some(format!("write-{number}"));
    let options = CallOptions { command_id, ..CallOptions::within(Duration::from_millis(1_500)) };
    eventually("a write to be acknowledged", Duration::from_mins(1), || async {
        match bus.call_with::<CreateMemory>(&request, &options).await {
            Ok(receipt) => Some(receipt.id),
            Err(fault) if fault.code.is_transient() => None,
            Err(fault) => panic!("{number} is refused: {fault}"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_of_everything_in_the_middle_of_writing_loses_nothing() {
    let (nats, valkey) = (NatsServer::start().await.unwrap(), ValkeyServer::start().await.unwrap());
    let mut replicas = [replica(&nats, &valkey), replica(&nats, &valkey)];
    let written = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (url, written) = (nats.url(), written.clone());
            tokio::spawn(async move {
                let bus = connect_to(&url, &format!("writer-{writer}")).await;
                let mut ids = Vec::new();
                for number in (writer..ENTRIES).step_by(3) {
                    ids.push((number, insist(&bus, number).await));
                    written.fetch_add(1, Ordering::SeqCst);
                }
                ids
            })
        })
        .collect();
    for kill in 1..=4 {
        let wanted = ENTRIES * kill / 5;
        eventually("writes to be on their way", Duration::from_mins(2), || async {
            (written.load(Ordering::SeqCst) >= wanted).then_some(())
        })
        .await;
        match kill {
            1 | 3 => {
                replicas[kill / 2].kill9().unwrap();
                replicas[kill / 2] = replica(&nats, &valkey);
            }
            2 => valkey.kill9().unwrap(),
            _ => {
                nats.kill9().unwrap();
                nats.restart().await.unwrap();
            }
        }
    }
    let mut ids = Vec::new();
    for writer in writers {
        ids.extend(writer.await.unwrap());
    }
    let reader = connect_to(&nats.url(), "reader").await;
    let (mut listed, mut after): (Vec<MemoryId>, Option<MemoryId>) = (Vec::new(), None);
    loop {
        let page = call::<ListMemories>(&reader, json!({ "after": after })).await.unwrap();
        listed.extend(page.memories.into_iter().map(|memory| memory.id));
        match page.next_after {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let acknowledged: BTreeSet<MemoryId> = ids.iter().map(|(_, id)| id.clone()).collect();
    assert_eq!((listed.len(), acknowledged.len()), (ENTRIES, ENTRIES), "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), acknowledged);
    for (number, id) in ids.iter().step_by(37) {
        let request = json!({"query": format!("number{number}")});
        // By meaning, others are like it.
        assert!(stage::ids(&search(&reader, request).await).contains(id), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_takes_over_with_everything() {
    let mut stage = Stage::with(lexical(), 2).await;
    let ada = stage.bus("ada").await;
    let root = fact(&ada, "the bridge holds ten tonnes").await;
    let child = create(
        &ada,
        json!({"content": "so the lorry may cross", "type": "semantic", "derived_from": [root]}),
    )
    .await
    .id;
    call::<RetractMemory>(&ada, json!({"id": root, "reason": "measured wrongly"})).await.unwrap();
    let before = (get(&ada, &root).await, get(&ada, &child).await);
    stage.replicas.remove(0).drain().await;
    let mut after = (get(&ada, &root).await, get(&ada, &child).await);
    // Reading is counted.
    for (was, is) in [(&before.0, &mut after.0), (&before.1, &mut after.1)] {
        is.access_count = was.access_count;
        is.last_accessed = was.last_accessed;
        assert_eq!(was, is);
    }
}
