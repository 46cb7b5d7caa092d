//! Items that say the same thing are told, in other letters and, where a model is asked, in other words.

mod stage;

use serde_json::json;
use stage::{Agent, PATIENCE, Stage, name};
use troupe_contract::event::PlanEventKind;
use troupe_contract::plan::*;
use troupe_domain::plan::{Conflict, ConflictKind};
use troupe_embedding::ModelSettings;
use troupe_plan_sync::Config;
use troupe_plan_sync::config::AlikeConfig;
use troupe_testkit::eventually;

async fn make(agent: &Agent, titles: &[(&str, &str)]) {
    let items: Vec<_> =
        titles.iter().map(|(id, title)| json!({"item_id": id, "title": title})).collect();
    let request = json!({"plan_id": "p", "name": "A plan", "items": items});
    agent.call::<CreatePlan>(request).await.unwrap();
}

async fn alike(agent: &Agent) -> Vec<Conflict> {
    let request = json!({"plan_id": "p", "kind": "semantic"});
    agent.call::<Conflicts>(request).await.unwrap().conflicts
}

fn sides(conflict: &Conflict) -> [String; 2] {
    let id = |side: &troupe_domain::plan::ConflictSide| side.item_id.clone().unwrap().to_string();
    let mut sides = [id(&conflict.winner), id(&conflict.losers[0])];
    sides.sort();
    sides
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_in_other_letters_is_told_until_it_is_settled() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    make(&ann, &[("a", "Write the parser"), ("b", "Deploy to production")]).await;
    let copy = json!({"plan_id": "p", "item": {"item_id": "c", "title": "write the PARSER!"}});
    ann.call::<AddItem>(copy).await.unwrap();
    let found = eventually("the pair to be told", PATIENCE, || async {
        let found = alike(&ann).await;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!((found.len(), sides(&found[0])), (1, ["a".to_owned(), "c".to_owned()]));
    assert_eq!(found[0].kind, ConflictKind::Semantic);
    // Another title ends it; the same one begins it anew.
    let titled = |title: &str| json!({"plan_id": "p", "item_id": "c", "change": {"title": title}});
    ann.call::<UpdateItem>(titled("Test the lexer with junk")).await.unwrap();
    eventually("the pair to be over", PATIENCE, || async {
        alike(&ann).await.is_empty().then_some(())
    })
    .await;
    ann.call::<UpdateItem>(titled("Write the parser.")).await.unwrap();
    let again =
        eventually("the pair to be told again", PATIENCE, || async { alike(&ann).await.pop() })
            .await;
    let settled = json!({"plan_id": "p", "conflict_id": again.id, "choice": {"dismiss": {}}});
    ann.call::<Resolve>(settled).await.unwrap();
    assert!(alike(&ann).await.is_empty());
    let told = eventually("both to be told, and both ends", PATIENCE, || async {
        let told = stage.events("p").await;
        let of = |kind| told.iter().filter(|event| event.event == kind).count();
        (of(PlanEventKind::ConflictDetected) == 2 && of(PlanEventKind::ConflictResolved) == 2)
            .then_some(told)
    })
    .await;
    let first = told.iter().find(|event| event.event == PlanEventKind::ConflictDetected).unwrap();
    assert_eq!(first.conflict.as_ref().unwrap().winner.item_id, Some(name("a")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_has_the_second_word() {
    let config = AlikeConfig {
        candidate_min: 0.2,
        opinion_min: 0.75,
        model: Some(ModelSettings::default()),
        ..AlikeConfig::default()
    };
    let stage = Stage::with(Config { alike: config, ..Config::default() }, 1).await;
    let ann = stage.agent("ann").await;
    make(
        &ann,
        &[
            ("a", "Write documentation for the parser"),
            ("b", "Write the docs of the parser"),
            ("c", "Write the tests of the parser"),
            ("d", "Paint the office door"),
        ],
    )
    .await;
    // Until the model is loaded the titles alone count; then it decides.
    let found = eventually("the model to have an opinion", PATIENCE, || async {
        let note = json!({"plan_id": "p", "item_id": "d", "status": "pending"});
        ann.call::<UpdateStatus>(note).await.unwrap();
        let found = alike(&ann).await;
        let has_opinion =
            |conflict: &Conflict| conflict.losers[0].value["opinion"].as_f64().is_some();
        (!found.is_empty() && found.iter().all(has_opinion)).then_some(found)
    })
    .await;
    let pairs: Vec<_> = found.iter().map(sides).collect();
    assert!(pairs.contains(&["a".to_owned(), "b".to_owned()]), "{pairs:?}");
    assert!(pairs.iter().all(|pair| !pair.contains(&"d".to_owned())), "{pairs:?}");
}
