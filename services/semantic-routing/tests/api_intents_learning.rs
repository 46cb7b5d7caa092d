//! What feedback and examples teach, and that it is kept.

mod intents;

use intents::{A_SECOND, PATIENCE, Stage, ask, name, resolve, route, soon, until, who};
use serde_json::{Value, json};
use troupe_contract::routing::{FeedbackRequest, FitReply, FitRequest, RouteListRequest};
use troupe_domain::message::Intent;
use troupe_domain::{Code, Fault};
use troupe_semantic_routing::intents::Intents;
use troupe_testkit::{ValkeyServer, eventually};

async fn feedback(intents: &Intents, told: Value) -> Result<bool, Fault> {
    let request: FeedbackRequest = serde_json::from_value(told).unwrap();
    intents.feedback(&name("operator"), request, soon()).await.map(|reply| reply.learnt)
}

async fn fit(intents: &Intents, asked: Value) -> Result<FitReply, Fault> {
    let request: FitRequest = serde_json::from_value(asked).unwrap();
    intents.fit(&name("operator"), request, soon()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_changes_a_decision_and_is_kept() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    let text = "the numbers in the quarterly statement look odd";
    let before = ask(&intents, text).await;
    assert_ne!(who(&before), "trans", "{before:#?}");
    // For some reason that is the translator's work here.
    let told = json!({
        "text": text, "agent_id": "bill", "route_id": "invoices", "success": false,
        "right_route_id": "translation",
    });
    assert!(feedback(&intents, told.clone()).await.unwrap());
    assert!(!feedback(&intents, told).await.unwrap(), "nothing new");
    for more in
        ["these figures in the statement seem strange", "odd numbers in the annual statement"]
    {
        let told = json!({
            "text": more, "agent_id": "trans", "route_id": "translation", "success": true,
        });
        assert!(feedback(&intents, told).await.unwrap());
    }
    until(&intents, text, "trans", A_SECOND).await;
    let later = stage.intents().await;
    until(&later, text, "trans", PATIENCE).await;
    // What nobody declares can be taught, and still is no declared route.
    assert!(later.route_list(&RouteListRequest::default()).unwrap().routes.is_empty());
    intents.drain().await;
    later.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_about_nobody_or_nothing_is_refused_by_name() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    for (told, code) in [
        (json!({"agent_id": "stranger", "success": true}), Code::NotFound),
        (json!({"agent_id": "bill", "success": true, "route_id": "nowhere"}), Code::NotFound),
        (json!({"agent_id": "bill", "success": true, "text": "a\u{0}"}), Code::InvalidArgument),
        (json!({"agent_id": "bill", "success": true, "text": " "}), Code::InvalidArgument),
        (
            json!({"agent_id": "bill", "success": true, "text": "x".repeat(2_000)}),
            Code::ResourceExhausted,
        ),
    ] {
        assert_eq!(feedback(&intents, told.clone()).await.unwrap_err().code, code, "{told}");
    }
    assert!(!feedback(&intents, json!({"agent_id": "bill", "success": true})).await.unwrap());
    intents.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_are_fitted_shown_and_kept() {
    let stage = Stage::start().await;
    stage.crew().await;
    let intents = stage.intents().await;
    let own = fit(&intents, json!({"dry_run": true})).await.unwrap();
    let fitted: Vec<&str> = own.routes.iter().map(|one| one.route_id.as_str()).collect();
    assert_eq!(fitted, ["invoices", "translation", "unit-tests"]);
    assert!(own.accuracy > 0.8 && own.out_of_scope_auroc.is_none(), "{own:#?}");

    let mut examples = Vec::new();
    for (route, texts) in [
        ("invoices", ["the receipt is wrong", "send me a bill", "when is the invoice due"]),
        ("translation", ["say it in Greek", "translate the poem", "what is this in Dutch"]),
        ("unit-tests", ["test the new class", "the tests are broken", "cover it with tests"]),
    ] {
        examples.extend(texts.map(|text| json!({"text": text, "route_id": route})));
    }
    for text in ["how tall is the tower", "play a song", "is it going to rain", "open the window"] {
        examples.push(json!({"text": text}));
    }
    let asked = json!({"examples": examples, "precision": 0.95});
    let reply = fit(&intents, asked.clone()).await.unwrap();
    assert!(reply.accuracy > 0.8, "{reply:#?}");
    assert!(reply.out_of_scope_auroc.unwrap() > 0.9, "{reply:#?}");
    assert!(reply.routes.iter().all(|one| one.examples == 3), "{reply:#?}");
    let fitted = reply.routes.iter().find(|one| one.route_id == name("unit-tests")).unwrap();

    // What was fitted is what a decision needs, here and at a replica that starts later.
    let later = stage.intents().await;
    for replica in [&intents, &later] {
        eventually("the threshold to be in use", PATIENCE, || async {
            let resolution = ask(replica, "write unit tests for the parser").await;
            ((resolution.threshold - fitted.threshold).abs() < 1e-3).then_some(())
        })
        .await;
    }
    // What is declared goes before what was fitted.
    let mut strict =
        route("unit-tests", json!({"role": "tester"}), &["write unit tests", "fix tests"]);
    strict.threshold = Some(1.0);
    later.route_put(&name("operator"), strict, soon()).await.unwrap();
    until(&later, "write unit tests for the parser", "nobody", PATIENCE).await;
    intents.drain().await;
    later.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fit_that_cannot_be_is_refused_by_name() {
    let stage = Stage::start().await;
    let intents = stage.intents().await;
    let refused = fit(&intents, json!({})).await.unwrap_err();
    assert_eq!(refused.code, Code::FailedPrecondition, "{refused}");
    stage.crew().await;
    eventually("the crew to be learned", PATIENCE, || async {
        fit(&intents, json!({"dry_run": true})).await.ok()
    })
    .await;
    for (asked, code) in [
        (json!({"precision": 1.5}), Code::InvalidArgument),
        (json!({"route_ids": ["nowhere"]}), Code::NotFound),
        (json!({"examples": [{"text": "a", "route_id": "nowhere"}]}), Code::NotFound),
        (json!({"examples": [{"text": "fine"}, {"text": "\u{200b}"}]}), Code::InvalidArgument),
    ] {
        let fault = fit(&intents, asked.clone()).await.unwrap_err();
        assert_eq!(fault.code, code, "{asked}: {fault}");
    }
    assert!(resolve(&intents, json!({"text": "x", "limit": 0})).await.is_err());
    intents.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_may_name_no_more_than_the_message() {
    let valkey = ValkeyServer::start().await.unwrap();
    let mut stage = Stage::start().await;
    stage.redis_url = Some(valkey.url());
    stage.crew().await;
    let (one, two) = (stage.intents().await, stage.intents().await);
    let intent = json!({"text": "write unit tests for the lexer of the new language"});
    let intent: Intent = serde_json::from_value(intent).unwrap();
    let choice = one.choose(&name("operator"), &intent, soon()).await.unwrap();
    assert_eq!(choice.agent, Some(name("tess")));
    // Shared as soon as there is a connection.
    let learnt = eventually("the other replica to know the message", PATIENCE, || async {
        one.remember(&name("m1"), &intent, &choice.resolution);
        let told = json!({
            "message_id": "m1", "agent_id": "tess", "success": false, "right_route_id": "invoices",
        });
        feedback(&two, told).await.unwrap().then_some(())
    });
    learnt.await;
    until(&two, &intent.text, "bill", PATIENCE).await;
    until(&one, &intent.text, "bill", PATIENCE).await;
    let unknown = json!({"message_id": "m2", "agent_id": "tess", "success": true});
    assert!(!feedback(&one, unknown).await.unwrap(), "nothing to learn, and no fault");
    one.drain().await;
    two.drain().await;
}
