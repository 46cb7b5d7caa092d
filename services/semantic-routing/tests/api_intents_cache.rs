//! The semantic cache: what it knows, what it refuses, what it forgets, and that nothing needs it.

mod intents;

use std::sync::Arc;

use intents::{A_SECOND, PATIENCE, Stage, ask, name, resolve, route, soon, until, who};
use serde_json::json;
use troupe_bus::port::System;
use troupe_contract::routing::{CacheUse, FeedbackRequest};
use troupe_domain::Name;
use troupe_embedding::{ModelChoice, ModelSettings};
use troupe_semantic_routing::intents::{Config, Intents};
use troupe_testkit::{ValkeyServer, eventually};

const TEXT: &str = "could you write some tests for the tokenizer";

async fn cache_of(intents: &Intents, text: &str) -> CacheUse {
    ask(intents, text).await.cache
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_is_known_by_letter_and_by_meaning_and_numbers_are_not_meaning() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    assert_eq!(cache_of(&intents, TEXT).await, CacheUse::Miss);
    assert_eq!(cache_of(&intents, TEXT).await, CacheUse::Exact);
    assert_eq!(
        cache_of(&intents, "  Could you write SOME tests for the tokenizer!").await,
        CacheUse::Exact
    );
    let near = ask(&intents, "could you please write some tests for the tokenizer").await;
    assert_eq!((near.cache, who(&near)), (CacheUse::Near, "tess"));
    assert_eq!(cache_of(&intents, "refund the payment of order 1234").await, CacheUse::Miss);
    assert_eq!(cache_of(&intents, "refund the payment of order 1235").await, CacheUse::Miss);
    assert_eq!(cache_of(&intents, "do not refund the payment of order 1234").await, CacheUse::Miss);
    let totals = intents.statistics();
    assert_eq!((totals.cache_exact, totals.cache_near, totals.cache_misses), (2, 1, 4));
    intents.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_routes_or_of_what_is_offered_makes_it_forget() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    ask(&intents, TEXT).await;
    assert_eq!(cache_of(&intents, TEXT).await, CacheUse::Exact);
    let travel = route("travel", json!({"role": "accountant"}), &["book a flight to Rome"]);
    intents.route_put(&name("operator"), travel, soon()).await.unwrap();
    assert_eq!(cache_of(&intents, TEXT).await, CacheUse::Miss);
    eventually("it to be remembered again", PATIENCE, || async {
        (cache_of(&intents, TEXT).await == CacheUse::Exact).then_some(())
    })
    .await;
    stage.agent("art", json!({"role": "designer", "capabilities": ["graphics"]})).await;
    eventually("it to be forgotten again", PATIENCE, || async {
        (cache_of(&intents, TEXT).await == CacheUse::Miss).then_some(())
    })
    .await;
    // Who is there is looked at whatever is remembered.
    until(&intents, TEXT, "tess", PATIENCE).await;
    let tess = intents::connect(&stage.nats, "tess").await;
    stage.leave(&tess).await;
    until(&intents, TEXT, "nobody", A_SECOND).await;
    intents.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_what_they_know_and_do_without_when_redis_is_gone() {
    let valkey = ValkeyServer::start().await.unwrap();
    let mut stage = Stage::start().await;
    stage.redis_url = Some(valkey.url());
    stage.crew().await;
    let (one, two) = (stage.intents().await, stage.intents().await);
    // Shared as soon as there is a connection.
    let mut number = 0;
    let exact = eventually("an answer of another replica", PATIENCE, || {
        number += 1;
        let text = format!("write unit tests for module number {number}");
        let (one, two) = (one.clone(), two.clone());
        async move {
            assert_eq!(who(&ask(&one, &text).await), "tess");
            // What was found is stored beside the answer.
            for _ in 0..20 {
                if ask(&two, &text).await.cache == CacheUse::Exact {
                    break;
                }
            }
            let third = two.statistics();
            (third.cache_exact > 0).then_some(third)
        }
    })
    .await;
    assert!(exact.cache_exact > 0);

    let asked = "is there an invoice that nobody has paid yet";
    assert_eq!(who(&ask(&one, asked).await), "bill");
    let mut tries = 0;
    eventually("the other replica to know what means the same", PATIENCE, || {
        tries += 1;
        // Another wording each time: what it asked itself would be near as well.
        let two = two.clone();
        async move {
            let near = ask(&two, "is there any invoice that nobody has paid yet").await;
            (near.cache != CacheUse::Miss).then_some(())
        }
    })
    .await;

    // One that hangs is as good as none.
    valkey.pause().unwrap();
    for text in ["translate the sign into Welsh", "translate the sign into Irish"] {
        assert_eq!(who(&ask(&one, text).await), "trans");
    }
    valkey.resume().unwrap();
    valkey.kill9().unwrap();
    for text in ["translate the menu into Dutch", "translate the menu into Danish"] {
        assert_eq!(who(&ask(&one, text).await), "trans");
        assert_eq!(who(&ask(&two, text).await), "trans");
    }
    one.drain().await;
    two.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wrong_is_not_answered_again() {
    let stage = Stage::start().await;
    stage.crew().await;
    let (intents, second) = (stage.intents().await, stage.intents().await);
    ask(&intents, TEXT).await;
    ask(&second, TEXT).await;
    for replica in [&intents, &second] {
        assert_eq!(cache_of(replica, TEXT).await, CacheUse::Exact);
    }
    let feedback: FeedbackRequest = serde_json::from_value(json!({
        "text": TEXT, "agent_id": "tess", "route_id": "unit-tests", "success": false,
    }))
    .unwrap();
    intents.feedback(&name("operator"), feedback, soon()).await.unwrap();
    assert_eq!(cache_of(&intents, TEXT).await, CacheUse::Miss);
    eventually("the other replica to forget it", PATIENCE, || async {
        (cache_of(&second, TEXT).await == CacheUse::Miss).then_some(())
    })
    .await;
    intents.drain().await;
    second.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_filters_and_names_decide_and_the_reason_says_so() {
    let stage = Stage::start().await;
    stage.crew().await;
    let choice = ModelChoice::Folder("/nowhere/at/all".into());
    let model = ModelSettings { choice, ..ModelSettings::default() };
    let config = Config { model, ..Config::default() };
    let intents = stage.intents_in(config, Arc::new(System)).await;
    for (asked, agent) in [
        (json!({"text": "hm", "filters": {"capabilities": ["invoices"]}}), "bill"),
        (json!({"text": "hm", "filters": {"role": "translator"}}), "trans"),
        (json!({"text": "I need unit tests for this"}), "tess"),
        (json!({"text": "surprise me"}), "nobody"),
        (json!({"text": "surprise me", "fallback": {"agent": "bill"}}), "bill"),
    ] {
        let resolution = resolve(&intents, asked.clone()).await.unwrap();
        assert_eq!(who(&resolution), agent, "{asked}: {resolution:#?}");
        assert!(resolution.reason.contains("/nowhere/at/all"), "{}", resolution.reason);
        assert_eq!(resolution.cache, CacheUse::Miss);
    }
    let everybody: Vec<Name> = intents.everybody();
    assert_eq!(everybody.len(), 3);
    intents.drain().await;
}
