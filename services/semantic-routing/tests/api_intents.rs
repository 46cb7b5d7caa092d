//! Who can do what is wanted: by what agents declare, by routes, and nobody where nobody can.

mod intents;

use std::time::Duration;

use intents::{
    A_SECOND, PATIENCE, Stage, ask, declare, name, resolve, route, sized, soon, until, who,
};
use serde_json::json;
use troupe_contract::routing::{RemovedBy, ResolveOutcome, RouteListRequest, RouteRef};
use troupe_domain::Code;

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_declare_finds_them_and_what_nobody_offers_finds_nobody() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    for (text, agent) in [
        ("could you write some tests for the tokenizer?", "tess"),
        ("our unit tests are red since yesterday", "tess"),
        ("please translate this contract into Portuguese", "trans"),
        ("how do I say good morning in Polish?", "trans"),
        ("the customer wants his money back for the order", "bill"),
        ("issue an invoice for last month", "bill"),
    ] {
        let resolution = ask(&intents, text).await;
        assert_eq!(who(&resolution), agent, "{text}: {resolution:#?}");
        assert_eq!(resolution.outcome, ResolveOutcome::Chosen);
        let first = &resolution.candidates[0];
        let parts = first.parts;
        let sum = parts.semantic + parts.proficiency + parts.success + parts.load + parts.latency;
        assert!((sum - first.score).abs() < 1e-9, "the parts add up to the score");
        assert!(resolution.probability >= resolution.threshold, "{resolution:#?}");
    }
    for text in ["what will the weather be like in Oslo?", "play some jazz", "who won the match?"] {
        let resolution = ask(&intents, text).await;
        assert_eq!(who(&resolution), "nobody", "{text}: {resolution:#?}");
        assert_eq!(resolution.outcome, ResolveOutcome::Abstained);
        assert!(!resolution.reason.is_empty());
    }
    intents.drain().await;
}

/// The issue promises that a change in the registry is visible in routing within a second: the one
/// place where a test measures time.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_the_registry_is_visible_within_a_second() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    let text = "draw a logo for our new shop";
    assert_eq!(who(&ask(&intents, text).await), "nobody");
    let declared = json!({"role": "designer", "capabilities": [{
        "name": "graphics",
        "description": "draws logos, icons and illustrations",
        "utterances": ["draw a logo for my company", "make an icon for the app", "design a poster"],
    }]});
    let artist = stage.agent("art", declared).await;
    until(&intents, text, "art", A_SECOND).await;
    declare(&artist, json!({"role": "designer", "capabilities": ["cooking"]})).await;
    until(&intents, text, "nobody", A_SECOND).await;
    stage.leave(&artist).await;
    troupe_testkit::eventually("art to be gone", A_SECOND, || async {
        (!intents.everybody().contains(&name("art"))).then_some(())
    })
    .await;
    intents.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_learned_listed_kept_and_gone_when_they_are_gone() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    let operator = name("operator");
    let says = ["book a flight to Rome", "reserve a hotel room", "plan my trip to Lisbon"];
    let travel = route("travel", json!({"role": "accountant"}), &says);
    let text = "find me a flight to Athens next week";
    assert_eq!(who(&ask(&intents, text).await), "nobody");
    assert!(intents.route_put(&operator, travel.clone(), soon()).await.unwrap().created);
    assert!(!intents.route_put(&operator, travel.clone(), soon()).await.unwrap().created);
    let resolution = until(&intents, text, "bill", A_SECOND).await;
    assert_eq!(resolution.route_id, Some(name("travel")));

    // Another replica, and one that starts later, know it too.
    let second = stage.intents().await;
    until(&second, text, "bill", PATIENCE).await;
    let page = second.route_list(&RouteListRequest::default()).unwrap();
    assert_eq!((page.routes, page.next_after), (vec![travel], None));

    let gone = RouteRef { route_id: name("travel") };
    assert!(intents.route_delete(&operator, gone.clone(), soon()).await.unwrap().removed);
    assert!(!intents.route_delete(&operator, gone, soon()).await.unwrap().removed);
    assert_eq!(who(&ask(&intents, text).await), "nobody", "at once, whatever is still learned");
    until(&second, text, "nobody", PATIENCE).await;
    intents.drain().await;
    second.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_hard_and_whoever_they_remove_is_told() {
    let stage = Stage::start().await;
    stage.crew().await;
    stage.agent("tim", json!({"role": "tester", "capabilities": ["unit-tests:0.4"]})).await;
    stage.agent("theo", json!({"role": "lead", "capabilities": ["unit-tests:0.9"]})).await;
    let intents = stage.intents().await;
    let text = "write unit tests for the parser";
    let asked = json!({"text": text, "filters": {
        "role": "tester", "capabilities": ["unit-tests:0.8"], "exclude_agent_ids": ["tess"],
    }});
    let resolution = resolve(&intents, asked).await.unwrap();
    assert_eq!(who(&resolution), "nobody", "{resolution:#?}");
    let by = |agent: &str| {
        let removed = resolution.removed.iter().find(|one| one.agent_id.as_str() == agent);
        removed.map(|one| one.by)
    };
    assert_eq!(by("tim"), Some(RemovedBy::Capability));
    assert_eq!(by("theo"), Some(RemovedBy::Role));
    assert_eq!(by("tess"), Some(RemovedBy::Excluded));
    assert_eq!(by("bill"), Some(RemovedBy::Role));
    let asked = json!({"text": text, "filters": {"capabilities": ["unit-tests:0.8"]}});
    let resolution = resolve(&intents, asked).await.unwrap();
    assert!(["tess", "theo"].contains(&who(&resolution)), "{resolution:#?}");
    assert_eq!(resolution.candidates.len(), 2);
    // Whoever asks is never the answer.
    let intent = serde_json::from_value(json!({"text": text})).unwrap();
    let choice = intents.choose(&name("tess"), &intent, soon()).await.unwrap();
    assert_ne!(choice.agent, Some(name("tess")));
    // Who names what is needed has said who it is for, whatever the text says.
    let asked = json!({"text": "hm", "filters": {"capabilities": ["invoices"]}});
    let resolution = resolve(&intents, asked.clone()).await.unwrap();
    assert_eq!(who(&resolution), "bill", "{resolution:#?}");
    let mut strict = asked;
    strict["fallback"] = json!("refuse");
    assert_eq!(who(&resolve(&intents, strict).await.unwrap()), "nobody");
    intents.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_takes_what_is_not_understood() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    let text = "what will the weather be like in Oslo?";
    for (fallback, agent) in [
        (json!({"agent": "bill"}), "bill"),
        (json!({"role": "translator"}), "trans"),
        (json!({"agent": "stranger"}), "nobody"),
        (json!("refuse"), "nobody"),
    ] {
        let asked = json!({"text": text, "fallback": fallback});
        let resolution = resolve(&intents, asked).await.unwrap();
        assert_eq!(who(&resolution), agent, "{resolution:#?}");
        assert_eq!(resolution.fallback.is_some(), agent != "nobody");
    }
    let totals = intents.statistics();
    assert_eq!((totals.chosen, totals.abstained, totals.fallbacks), (2, 2, 2));
    intents.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_get_an_answer_or_a_clear_fault() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    for text in [
        "שלום עולם, שלח את הדוח בבקשה",
        "\u{202e}gpj.exe\u{202c} مرحبا",
        "👩‍👩‍👧‍👦 🏳️‍🌈 🚀",
        "请把这份文件翻译成英文",
        "line\nbreak\tand tab",
        "'; DROP TABLE agents; --",
        "[CLS] [SEP] [MASK]",
        &"word ".repeat(3_000),
        &"e\u{301}".repeat(5_000),
    ] {
        let resolution = ask(&intents, text).await;
        assert!(!resolution.reason.is_empty());
    }
    for (text, code) in [
        ("", Code::InvalidArgument),
        (" \n ", Code::InvalidArgument),
        ("\u{200b}", Code::InvalidArgument),
        ("a\0b", Code::InvalidArgument),
        ("bell \u{7}", Code::InvalidArgument),
        (&"a".repeat(1 << 20), Code::ResourceExhausted),
    ] {
        let fault = resolve(&intents, json!({"text": text})).await.unwrap_err();
        assert_eq!(fault.code, code, "{fault}");
        assert_eq!(fault.details["field"], "text", "{fault}");
    }
    intents.drain().await;
}

/// Large enough that a change is trained first and calibrated later.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_learns_a_change_and_decides_meanwhile() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    let operator = name("operator");
    let count = sized(9_990, 160);
    let patience = Duration::from_secs(sized(600, 60) as u64);
    for number in 0..count {
        let says = [
            format!("open the valve number {number} of the plant"),
            format!("read gauge {number} in the boiler room"),
            format!("paint wall {number} of the warehouse"),
        ];
        let says: Vec<&str> = says.iter().map(String::as_str).collect();
        let route = route(&format!("plant-{number}"), json!({"role": "accountant"}), &says);
        intents.route_put(&operator, route, soon()).await.unwrap();
    }
    let text = "could you write some tests for the tokenizer?";
    until(&intents, text, "tess", patience).await;
    assert_eq!(intents.statistics().routes, count as u64);
    let travel = route(
        "travel",
        json!({"role": "translator"}),
        &["book a flight to Rome", "reserve a hotel room", "plan my trip to Lisbon"],
    );
    intents.route_put(&operator, travel, soon()).await.unwrap();
    until(&intents, "find me a flight to Athens", "trans", patience).await;
    until(&intents, text, "tess", patience).await;
    let mut ids = Vec::new();
    let mut asked = RouteListRequest { limit: Some(100), after: None };
    loop {
        let page = intents.route_list(&asked).unwrap();
        ids.extend(page.routes.into_iter().map(|route| route.id));
        asked.after = page.next_after;
        if asked.after.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), count + 1);
    assert!(ids.is_sorted());
    intents.drain().await;
}

/// Nothing but names, as `--capability rust:0.9` declares them.
#[tokio::test(flavor = "multi_thread")]
async fn bare_names_of_capabilities_will_do() {
    let stage = Stage::start().await;
    for (id, capability) in
        [("rusty", "rust"), ("cora", "copywriting"), ("dan", "database-administration")]
    {
        let capability = format!("{capability}:0.9");
        stage.agent(id, json!({"role": "r", "capabilities": [capability]})).await;
    }
    let intents = stage.intents().await;
    for (text, agent) in [
        ("the Rust compiler complains about a lifetime", "rusty"),
        ("write the copy for our advertisement", "cora"),
        ("the database needs a new index", "dan"),
        ("what will the weather be like in Oslo?", "nobody"),
    ] {
        let resolution = ask(&intents, text).await;
        assert_eq!(who(&resolution), agent, "{text}: {resolution:#?}");
    }
    intents.drain().await;
}
