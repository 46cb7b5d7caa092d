//! Who keeps failing is left alone, by every replica, and comes back when it works again.

mod intents;

use std::sync::Arc;

use intents::{Clock, PATIENCE, Stage, choose, connect, end, name};
use serde_json::{Value, json};
use troupe_bus::port::{Entry, Log};
use troupe_contract::Service;
use troupe_contract::event::{BREAKER, BreakerEvent, BreakerEventKind};
use troupe_contract::routing::{BreakerState, RemovedBy};
use troupe_contract::subject;
use troupe_semantic_routing::intents::{Config, End, Intents, Unfit};
use troupe_semantic_routing::rules::resolve::Policy;
use troupe_semantic_routing::rules::score::Weights;
use troupe_semantic_routing::rules::unfit::Unfitness;
use troupe_testkit::{ValkeyServer, eventually};

/// From the vocabulary: five failures, a minute.
const FAILURES: usize = 5;
const RECOVERY_MS: i64 = 60_000;

fn wanted() -> Value {
    json!({"text": "hm", "filters": {"capabilities": ["rust"]}})
}

/// Three who can, of whom `ann` is the best by far.
async fn crew(stage: &Stage) {
    for (id, proficiency) in [("ann", 1.0), ("bob", 0.6), ("cleo", 0.3)] {
        let capability = json!({"name": "rust", "proficiency": proficiency});
        let declared = json!({
            "role": "r", "max_concurrent_tasks": 64, "capabilities": [capability],
        });
        stage.agent(id, declared).await;
    }
}

/// A replica that heard of everybody, and goes by how good they say they are: success would make
/// another one the best long before a breaker opens.
async fn replica(stage: &Stage, clock: &Arc<Clock>) -> Arc<Intents> {
    let weights =
        Weights { semantic: 0.5, proficiency: 0.5, success: 0.0, load: 0.0, latency: 0.0 };
    let policy = Policy { weights, ..Policy::default() };
    let config = Config { policy, ..Config::default() };
    let intents = stage.intents_in(config, clock.clone()).await;
    eventually("everybody to be known", PATIENCE, || async {
        (intents.everybody().len() == 3).then_some(())
    })
    .await;
    intents
}

async fn fail(intents: &Intents, times: usize) {
    for _ in 0..times {
        let choice = choose(intents, wanted()).await;
        assert_eq!(choice.agent, Some(name("ann")), "{:#?}", choice.resolution);
        assert_eq!(choice.alternatives[0], name("bob"), "the next best comes next");
        end(intents, &name("ann"), &choice.key, End::Failed);
    }
}

async fn told(stage: &Stage) -> Vec<BreakerEvent> {
    let log = connect(&stage.nats, "reader").await.events(Service::Routing, 1).await.unwrap().log;
    let mut told = Vec::new();
    let mut each = |entry: Entry| {
        let events = troupe_contract::event::decode(&entry.body).unwrap();
        told.extend(events.into_iter().map(|event| event.data));
    };
    log.read(&subject::events_of(BREAKER), 0, &mut each).await.unwrap();
    told
}

fn open_breakers(intents: &Intents) -> u64 {
    intents.statistics().breakers.get(&BreakerState::Open).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_opens_the_next_best_takes_over_and_a_trial_closes_it() {
    let stage = Stage::start().await;
    crew(&stage).await;
    let clock = Arc::new(Clock::default());
    let intents = replica(&stage, &clock).await;
    let mut unfit = intents.unfit().unwrap();
    fail(&intents, FAILURES).await;
    let gone = unfit.recv().await.unwrap();
    assert_eq!(gone, Unfit { agent: name("ann"), why: Unfitness::Failing(name("rust")) });

    let choice = choose(&intents, wanted()).await;
    assert_eq!(choice.agent, Some(name("bob")), "{:#?}", choice.resolution);
    let removed = &choice.resolution.removed[0];
    assert_eq!((&removed.agent_id, removed.by), (&name("ann"), RemovedBy::Breaker));
    assert!(removed.detail.contains("rust"), "{removed:?}");
    assert!(!choice.alternatives.contains(&name("ann")));
    end(&intents, &name("bob"), &choice.key, End::Answered);

    // One trial, and only one at a time.
    clock.pass(RECOVERY_MS);
    let trial = choose(&intents, wanted()).await;
    assert_eq!(trial.agent, Some(name("ann")), "{:#?}", trial.resolution);
    assert_eq!(choose(&intents, wanted()).await.agent, Some(name("bob")));
    end(&intents, &name("ann"), &trial.key, End::Failed);
    assert_eq!(choose(&intents, wanted()).await.agent, Some(name("bob")), "open for longer now");
    clock.pass(RECOVERY_MS);
    assert_eq!(choose(&intents, wanted()).await.agent, Some(name("bob")));
    clock.pass(RECOVERY_MS);
    let trial = choose(&intents, wanted()).await;
    assert_eq!(trial.agent, Some(name("ann")), "{:#?}", trial.resolution);
    end(&intents, &name("ann"), &trial.key, End::Answered);
    assert_eq!(intents.statistics().breakers.len(), 0, "closed");

    let kinds = eventually("the events", PATIENCE, || async {
        let told = Box::pin(told(&stage)).await;
        (told.len() == 3).then_some(told)
    })
    .await;
    let kinds: Vec<BreakerEventKind> = kinds.iter().map(|event| event.event).collect();
    let (opened, closed) = (BreakerEventKind::BreakerOpened, BreakerEventKind::BreakerClosed);
    assert_eq!(kinds, [opened, opened, closed]);
    intents.drain().await;
}

/// Two replicas, with or without Redis between them: what one sees the other heeds, and one trial
/// is one trial.
async fn shared(stage: &Stage) {
    crew(stage).await;
    let clock = Arc::new(Clock::default());
    let (one, two) = (replica(stage, &clock).await, replica(stage, &clock).await);
    let mut unfit = two.unfit().unwrap();
    fail(&one, FAILURES).await;
    let gone = tokio::time::timeout(PATIENCE, unfit.recv()).await.unwrap().unwrap();
    assert_eq!(gone.agent, name("ann"), "both hand on what waits for it");
    assert_eq!(choose(&two, wanted()).await.agent, Some(name("bob")));

    // A replica that starts now hears of it, too.
    let three = replica(stage, &clock).await;
    eventually("the third to know", PATIENCE, || async {
        (open_breakers(&three) == 1).then_some(())
    })
    .await;

    clock.pass(RECOVERY_MS);
    let trial = choose(&two, wanted()).await;
    assert_eq!(trial.agent, Some(name("ann")), "{:#?}", trial.resolution);
    for other in [&one, &three] {
        eventually("the trial to be known", PATIENCE, || async {
            let states = other.statistics().breakers;
            states.contains_key(&BreakerState::HalfOpen).then_some(())
        })
        .await;
        assert_eq!(choose(other, wanted()).await.agent, Some(name("bob")));
    }
    // The end is heard where the mailbox is, which is not where the choice was made.
    end(&one, &name("ann"), &trial.key, End::Answered);
    for replica in [&one, &two, &three] {
        eventually("the breaker to close", PATIENCE, || async {
            replica.statistics().breakers.is_empty().then_some(())
        })
        .await;
    }
    for replica in [one, two, three] {
        replica.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_breakers_without_redis() {
    shared(&Stage::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_breakers_with_redis_and_when_it_is_gone() {
    let valkey = ValkeyServer::start().await.unwrap();
    let mut stage = Stage::start().await;
    stage.redis_url = Some(valkey.url());
    shared(&stage).await;
    let mut stage = Stage::start().await;
    stage.redis_url = Some(valkey.url());
    valkey.kill9().unwrap();
    shared(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_told_so_that_what_waits_for_it_goes_to_others() {
    let stage = Stage::start().await;
    crew(&stage).await;
    let clock = Arc::new(Clock::default());
    let intents = replica(&stage, &clock).await;
    let mut unfit = intents.unfit().unwrap();
    assert!(intents.unfit().is_none(), "there is one who hands on");
    let bob = connect(&stage.nats, "bob").await;
    stage.leave(&bob).await;
    let gone = tokio::time::timeout(PATIENCE, unfit.recv()).await.unwrap().unwrap();
    assert_eq!(gone, Unfit { agent: name("bob"), why: Unfitness::Gone });
    intents.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_under_way_spreads_over_equals_and_the_full_queue_when_all_are() {
    let stage = Stage::start().await;
    for id in ["a", "b", "c"] {
        stage.agent(id, json!({"role": "r", "capabilities": ["rust"]})).await;
    }
    let intents = replica(&stage, &Arc::new(Clock::default())).await;
    let mut chosen = Vec::new();
    for _ in 0..3 {
        chosen.push(choose(&intents, wanted()).await.agent.unwrap().to_string());
    }
    chosen.sort();
    assert_eq!(chosen, ["a", "b", "c"], "each has room for one");
    let fourth = choose(&intents, wanted()).await;
    assert!(fourth.agent.is_some(), "all are busy, and one of them will do it later");
    end(&intents, &name("b"), &fourth.key, End::Answered);
    if fourth.agent == Some(name("b")) {
        end(&intents, &name("b"), &fourth.key, End::Answered);
    }
    let fifth = choose(&intents, wanted()).await;
    assert_eq!(fifth.agent, Some(name("b")), "who has room goes first");
    assert!(fifth.resolution.removed.iter().all(|one| one.by == RemovedBy::Load));
    assert_eq!(fifth.resolution.removed.len(), 2);
    intents.drain().await;
}
