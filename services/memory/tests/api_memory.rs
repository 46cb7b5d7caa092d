//! Each endpoint, on a real server: what is written is found at once, and filters hold.

mod stage;

use serde_json::json;
use stage::*;
use troupe_bus::CallOptions;
use troupe_contract::memory::*;
use troupe_domain::Code;
use troupe_domain::memory::{MemoryStatus, TrustLevel};

#[tokio::test]
async fn a_write_is_read_and_found_at_once() {
    let stage = Stage::start().await;
    let ada = stage.bus("ada").await;
    let receipt = create(
        &ada,
        json!({"content": "The staging database listens on port 5433.", "type": "semantic",
            "importance": 0.8, "tags": ["database"], "task_id": "t1", "epoch": 2}),
    )
    .await;
    assert!(receipt.created);
    let memory = get(&ada, &receipt.id).await;
    assert_eq!(memory.provenance.author, name("ada"));
    assert_eq!(memory.provenance.epoch, Some(2));
    assert_eq!((memory.status, memory.trust_level), (MemoryStatus::Active, TrustLevel::Trusted));
    let found = search(&ada, json!({"query": "which port does the database use", "explain": true}));
    let found = found.await;
    assert_eq!(ids(&found), [receipt.id]);
    assert_eq!(found.mode, "lexical");
    assert!(found.complete && found.next_cursor.is_none());
    let parts = found.results[0].explain.as_ref().unwrap();
    assert!(parts.lexical > 0.0 && parts.semantic.is_none() && parts.prior > 0.0);
}

#[tokio::test]
async fn every_filter_holds_for_every_result() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.bus("ada").await, stage.bus("bob").await);
    let mut made = Vec::new();
    for number in 0..24 {
        let bus = if number % 2 == 0 { &ada } else { &bob };
        let kind = ["semantic", "episodic", "procedural"][number % 3];
        let request = json!({"content": format!("deploy note number {number} about rollbacks"),
            "type": kind, "importance": f64::from(number as u32) / 24.0,
            "tags": [if number % 4 == 0 { "blue" } else { "green" }, "deploy"],
            "task_id": format!("task-{}", number % 5), "session_id": format!("s{}", number % 2)});
        made.push(create(bus, request).await.id);
    }
    let middle = get(&ada, &made[12]).await.created_at;
    for (filter, holds) in [
        (json!({"type": "episodic"}), 8),
        (json!({"tags": ["blue", "deploy"]}), 6),
        (json!({"min_importance": 0.5}), 12),
        (json!({"agent_id": "bob"}), 12),
        (json!({"task_id": "task-3"}), 5),
        (json!({"session_id": "s1"}), 12),
        (json!({"trust_levels": ["verified"]}), 0),
        (json!({"statuses": ["retracted"]}), 0),
        (json!({"until": middle}), 12),
        (json!({"since": middle}), 12),
    ] {
        for query in [Some("deploy rollbacks"), None] {
            let mut request = filter.clone();
            request["limit"] = json!(100);
            if let Some(query) = query {
                request["query"] = json!(query);
            }
            let found = search(&ada, request.clone()).await;
            // Entries may be made within one millisecond.
            let by_time = filter.get("until").or(filter.get("since")).is_some();
            if !by_time {
                assert_eq!(found.results.len(), holds, "{request}");
            }
            for hit in found.results {
                let memory = hit.memory;
                let entry = serde_json::to_value(&memory).unwrap();
                if let Some(kind) = filter.get("type") {
                    assert_eq!(&entry["type"], kind);
                }
                if let Some(tags) = filter["tags"].as_array() {
                    for tag in tags {
                        assert!(entry["tags"].as_array().unwrap().contains(tag));
                    }
                }
                assert!(filter["agent_id"].is_null() || entry["provenance"]["author"] == "bob");
                assert!(filter["until"].is_null() || memory.created_at < middle);
                assert!(filter["since"].is_null() || memory.created_at >= middle);
            }
        }
    }
}

#[tokio::test]
async fn pages_give_everything_once() {
    let stage = Stage::start().await;
    let ada = stage.bus("ada").await;
    for number in 0..25 {
        fact(&ada, &format!("observation {number} of the nightly build")).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let request = json!({"query": "nightly build", "limit": 10, "cursor": cursor});
        let page = search(&ada, request).await;
        seen.extend(ids(&page));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let request = json!({"limit": 7, "after": after});
        let page = call::<ListMemories>(&ada, request).await.unwrap();
        listed.extend(page.memories.into_iter().map(|memory| memory.id));
        match page.next_after {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((seen.len(), listed.len()), (25, 25));
    seen.sort();
    assert_eq!(seen, listed);
    for bad in [json!({"limit": 0}), json!({"cursor": "zzz"}), json!({"limit": 101})] {
        assert!(call::<SearchMemory>(&ada, bad).await.is_err());
    }
}

#[tokio::test]
async fn what_is_said_again_is_counted_and_a_repeated_command_is_one_entry() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.bus("ada").await, stage.bus("bob").await);
    let id = fact(&ada, "The API gateway times out after thirty seconds.").await;
    let again = create(
        &bob,
        json!({"content": "The API gateway times out after thirty seconds.", "type": "semantic"}),
    )
    .await;
    assert_eq!((again.id, again.created), (id.clone(), false));
    assert_eq!(get(&ada, &id).await.duplicates, 1);
    let options =
        CallOptions { command_id: Some("once".to_owned()), ..CallOptions::within(PATIENCE) };
    let request: CreateMemoryRequest =
        serde_json::from_value(json!({"content": "written once", "type": "working"})).unwrap();
    let first = ada.call_with::<CreateMemory>(&request, &options).await.unwrap();
    let second = ada.call_with::<CreateMemory>(&request, &options).await.unwrap();
    assert_eq!(first, second);
    let other = CreateMemoryRequest { content: "something else".to_owned(), ..request.clone() };
    let fault = ada.call_with::<CreateMemory>(&other, &options).await.unwrap_err();
    assert_eq!(fault.code, Code::AlreadyExists);
    // Another caller's key is another key.
    let theirs = bob.call_with::<CreateMemory>(&request, &options).await.unwrap();
    assert_ne!(theirs.id, first.id);
}

#[tokio::test]
async fn contradictions_are_marked_on_both_sides_and_settled_when_one_goes() {
    let stage = Stage::start().await;
    let ada = stage.bus("ada").await;
    let one =
        fact(&ada, "The payment service retries failed calls 3 times before giving up.").await;
    let other = create(
        &ada,
        json!({"content": "The payment service retries failed calls 5 times before giving up.",
            "type": "semantic"}),
    )
    .await;
    assert_eq!(other.conflicts_with, std::slice::from_ref(&one));
    let conflicts = call::<MemoryConflicts>(&ada, json!({})).await.unwrap().conflicts;
    assert_eq!(conflicts.len(), 2);
    assert_eq!(get(&ada, &one).await.status, MemoryStatus::Conflicted);
    call::<RetractMemory>(&ada, json!({"id": other.id, "reason": "a typing error"})).await.unwrap();
    assert_eq!(get(&ada, &one).await.status, MemoryStatus::Active);
    assert!(call::<MemoryConflicts>(&ada, json!({})).await.unwrap().conflicts.is_empty());
}

#[tokio::test]
async fn an_update_names_the_revision_it_has_read_and_only_the_author_updates() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.bus("ada").await, stage.bus("bob").await);
    let id = fact(&ada, "The cache holds a thousand entries.").await;
    let update =
        |revision: u64, content: &str| json!({"id": id, "revision": revision, "content": content});
    let fault = call::<UpdateMemory>(&bob, update(1, "nonsense")).await.unwrap_err();
    assert_eq!(fault.code, Code::PermissionDenied);
    let receipt =
        call::<UpdateMemory>(&ada, update(1, "The cache holds a million records.")).await.unwrap();
    assert_eq!(receipt.revision, 2);
    let fault = call::<UpdateMemory>(&ada, update(1, "late")).await.unwrap_err();
    assert_eq!((fault.code, &fault.details["revision"]), (Code::Conflict, &json!(2)));
    assert!(ids(&search(&ada, json!({"query": "thousand"})).await).is_empty());
    assert_eq!(ids(&search(&ada, json!({"query": "million"})).await), [id]);
}

#[tokio::test]
async fn trust_follows_from_where_it_came_and_authors_do_not_verify() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.bus("ada").await, stage.bus("bob").await);
    let outside = create(
        &ada,
        json!({"content": "A page says that the library is deprecated.", "type": "semantic",
            "source": {"external": {"uri": "https://example.org/page"}}}),
    )
    .await;
    assert_eq!(outside.trust_level, TrustLevel::Untrusted);
    let derived = create(
        &ada,
        json!({"content": "So we migrate away from it.", "type": "semantic",
            "derived_from": [outside.id]}),
    )
    .await;
    assert_eq!(derived.trust_level, TrustLevel::Untrusted);
    let fault = call::<VerifyMemory>(&ada, json!({"id": outside.id})).await.unwrap_err();
    assert_eq!(fault.code, Code::PermissionDenied);
    let receipt = call::<VerifyMemory>(&bob, json!({"id": outside.id})).await.unwrap();
    assert_eq!(receipt.trust_level, TrustLevel::Verified);
    assert_eq!(get(&ada, &outside.id).await.verified_by, Some(name("bob")));
    let fault = call::<CreateMemory>(
        &ada,
        json!({"content": "x", "type": "semantic", "derived_from": ["nobody-knows"]}),
    )
    .await
    .unwrap_err();
    assert_eq!((fault.code, &fault.details["field"]), (Code::NotFound, &json!("derived_from")));
}

#[tokio::test]
async fn traces_and_consensus_are_found_by_what_they_say() {
    let stage = Stage::start().await;
    let ada = stage.bus("ada").await;
    let trace = json!({"task_id": "t9", "success": true, "duration_ms": 1200,
        "iterations": [{"attempt": "raised the heap limit", "feedback": "still out of memory"},
            {"attempt": "streamed the file", "score": 0.9}],
        "final_result": "the import streams the file"});
    let trace = call::<CreateRefinementTrace>(&ada, trace).await.unwrap();
    let found = search(&ada, json!({"query": "out of memory import", "type": "refinement_trace"}));
    assert_eq!(ids(&found.await), [trace.id]);
    let consensus = json!({"question": "Which queue do we use?", "task_type": "architecture",
        "votes": [{"voter": "a", "choice": "nats", "reason": "it is there"},
            {"voter": "b", "choice": "kafka", "reason": "we know it — well"},
            {"voter": "c", "choice": "nats"}]});
    let consensus = call::<CreateConsensus>(&ada, consensus).await.unwrap();
    let ask = |least: f64| json!({"task_type": "architecture", "min_agreement": least});
    let found = call::<SearchExpertConsensus>(&ada, ask(0.6)).await.unwrap();
    assert_eq!(ids(&found), [consensus.id]);
    let content = found.results[0].memory.content.clone().unwrap();
    assert!(content.contains("we know it — well"), "{content}");
    assert!(call::<SearchExpertConsensus>(&ada, ask(0.7)).await.unwrap().results.is_empty());
    let other = json!({"task_type": "naming"});
    assert!(call::<SearchExpertConsensus>(&ada, other).await.unwrap().results.is_empty());
    let twice = json!({"question": "q", "votes": [{"voter": "a", "choice": "x"},
        {"voter": "a", "choice": "y"}]});
    assert_eq!(call::<CreateConsensus>(&ada, twice).await.unwrap_err().code, Code::InvalidArgument);
}

#[tokio::test]
async fn working_memory_deletes_itself() {
    let stage = Stage::start().await;
    let ada = stage.bus("ada").await;
    let note =
        create(&ada, json!({"content": "half way", "type": "working", "ttl_ms": 1000})).await;
    assert!(note.expires_at.is_some());
    troupe_testkit::eventually("it is gone", PATIENCE, || async {
        let gone = call::<GetMemory>(&ada, json!({"id": note.id})).await;
        gone.err().filter(|fault| fault.code == Code::NotFound)
    })
    .await;
    assert!(ids(&search(&ada, json!({"query": "half way"})).await).is_empty());
}

#[tokio::test]
async fn quotas_hold_and_only_admins_set_them() {
    let stage = Stage::start().await;
    let (ada, admin) = (stage.bus("ada").await, stage.bus("admin").await);
    let quota = json!({"namespace": "fleet/small", "max_entries": 2});
    let fault = call::<PutQuota>(&ada, quota.clone()).await.unwrap_err();
    assert_eq!(fault.code, Code::PermissionDenied);
    let info = call::<PutQuota>(&admin, quota).await.unwrap().namespace;
    assert_eq!((info.max_entries, info.entries), (2, 0));
    let note =
        |text: &str| json!({"content": text, "type": "semantic", "namespace": "fleet/small"});
    create(&ada, note("first of all")).await;
    create(&ada, note("second best")).await;
    let fault = call::<CreateMemory>(&ada, note("third wheel")).await.unwrap_err();
    assert_eq!(fault.code, Code::ResourceExhausted);
    assert_eq!(fault.details["limit"], "max_entries_per_namespace");
    let namespaces =
        ada.call::<ListNamespaces>(&troupe_contract::registry::Empty {}).await.unwrap();
    assert_eq!((namespaces.total, namespaces.namespaces[0].entries), (1, 2));
}

#[tokio::test]
async fn an_export_is_imported_once_and_says_no_more_of_trust_than_it_may() {
    let stage = Stage::start().await;
    let (ada, bob) = (stage.bus("ada").await, stage.bus("bob").await);
    let id = fact(&ada, "The build needs four gigabytes.").await;
    call::<VerifyMemory>(&bob, json!({ "id": id })).await.unwrap();
    let page = call::<ExportMemories>(&ada, json!({})).await.unwrap();
    assert_eq!(page.memories.len(), 1);
    let request = json!({"memories": page.memories, "namespace": "copy"});
    let first = call::<ImportMemories>(&bob, request.clone()).await.unwrap();
    let second = call::<ImportMemories>(&bob, request).await.unwrap();
    assert_eq!((first.imported, second.imported, second.skipped), (1, 0, 1));
    let copy =
        call::<GetMemory>(&bob, json!({"id": id, "namespace": "copy"})).await.unwrap().memory;
    assert_eq!(copy.trust_level, TrustLevel::Untrusted);
    assert_eq!(copy.content.as_deref(), Some("The build needs four gigabytes."));
    assert_eq!(stats(&ada).await.entries, 2);
}

#[tokio::test]
async fn an_entry_is_found_by_its_id_in_whatever_namespace_it_is() {
    let stage = Stage::start().await;
    let ada = stage.bus("ada").await;
    for namespace in ["fleet/a", "fleet/b", "fleet/c", "fleet/d"] {
        let note = json!({"content": format!("here is {namespace}"), "type": "semantic",
            "namespace": namespace});
        let id = create(&ada, note).await.id;
        assert_eq!(get(&ada, &id).await.namespace.as_str(), namespace);
    }
    let nobody = call::<GetMemory>(&ada, json!({"id": "nobody"})).await.unwrap_err();
    assert_eq!(nobody.code, Code::NotFound);
}
