//! Sessions over the bus: turns in causal order, whoever says them, to an end that everybody learns.

mod stage;

use serde_json::json;
use stage::{Agent, PATIENCE, Stage, name, subjects, without_model};
use troupe_contract::routing::*;
use troupe_domain::session::{SessionLimits, SessionOutcome, SessionStatus, TranscriptEvent};
use troupe_domain::{Code, MessageType, Session};
use troupe_semantic_routing::Config;
use troupe_testkit::eventually;

async fn open(agent: &Agent, more: serde_json::Value) -> Session {
    let mut spec = json!({"id": "s1", "type": "negotiation", "title": "the price"});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    agent.call::<SessionOpen>(spec).await.unwrap().session
}

async fn say(agent: &Agent, subject: &str, clock: Option<serde_json::Value>) -> Said {
    let mut turn = json!({"session_id": "s1", "class": "negotiation", "subject": subject});
    if let Some(clock) = clock {
        turn["vector_clock"] = clock;
    }
    agent.call::<SessionSay>(turn).await.unwrap()
}

/// What an agent hears next in its mailbox, `count` messages of it.
async fn hears(agent: &Agent, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let got = agent.wait().await;
        heard.extend(subjects(&got).into_iter().map(str::to_owned));
        for delivered in &got {
            agent.ack(delivered).await;
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn participants_join_speak_read_and_end() {
    let stage = Stage::start().await;
    let (ann, bob, cat, eve) = (
        stage.agent("ann").await,
        stage.agent("bob").await,
        stage.agent("cat").await,
        stage.agent("eve").await,
    );
    let session = open(&ann, json!({"participants": ["bob"]})).await;
    assert_eq!(session.participants, [name("ann"), name("bob")]);
    assert_eq!(open(&ann, json!({"participants": ["bob"]})).await.id, session.id, "once");
    let invited = bob.take_one().await.message;
    assert_eq!(
        (invited.kind, invited.session.as_ref().unwrap().session_id.as_str()),
        (MessageType::System, "s1")
    );

    let first = say(&ann, "ten", None).await;
    assert_eq!((first.status, first.number), (SayStatus::Heard, Some(1)));
    assert_eq!(say(&bob, "nine", None).await.clock.get(&name("bob")), 1);
    assert_eq!(hears(&bob, 1).await, ["ten"]);
    assert_eq!(hears(&ann, 1).await, ["nine"]);

    let join = json!({"session_id": "s1"});
    let fault = cat.call::<SessionJoin>(join.clone()).await.unwrap_err();
    assert_eq!(fault.code, Code::PermissionDenied);
    for fault in [
        eve.call::<SessionGet>(join.clone()).await.unwrap_err(),
        eve.call::<SessionTranscript>(join.clone()).await.unwrap_err(),
        eve.call::<SessionSay>(json!({"session_id": "s1", "class": "metadata"})).await.unwrap_err(),
        eve.call::<SessionClose>(json!({"session_id": "s1", "outcome": "failed"}))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(fault.code, Code::PermissionDenied);
    }
    let seen = eve.call::<SessionList>(json!({})).await.unwrap().sessions;
    assert!(seen.is_empty(), "a private session is listed for those who are in it");
    assert_eq!(bob.call::<SessionList>(json!({})).await.unwrap().sessions.len(), 1);

    let left =
        bob.call::<SessionLeave>(json!({"session_id": "s1", "reason": "lunch"})).await.unwrap();
    assert_eq!(left.session.participants, [name("ann")]);
    assert_eq!(bob.call::<SessionJoin>(join.clone()).await.unwrap().session.participants.len(), 2);
    let end = json!({"session_id": "s1", "outcome": "agreed", "reason": "nine it is"});
    let ended = ann.call::<SessionClose>(end.clone()).await.unwrap().session;
    assert_eq!(
        (ended.status, ended.end.unwrap().outcome),
        (SessionStatus::Closed, SessionOutcome::Agreed)
    );
    let fault = ann.call::<SessionClose>(end).await.unwrap_err();
    assert_eq!(fault.code, Code::FailedPrecondition, "it has ended");
    let page = bob.call::<SessionTranscript>(join).await.unwrap();
    let said = page.entries.iter().filter_map(|entry| match &entry.what {
        TranscriptEvent::Turn(turn) => Some(turn.subject.as_str()),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), ["ten", "nine"]);
    assert_eq!(page.total, page.entries.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_comes_before_what_it_depends_on_is_held_back_and_released_in_order() {
    let stage = Stage::start().await;
    let (ann, bob, cat) =
        (stage.agent("ann").await, stage.agent("bob").await, stage.agent("cat").await);
    open(&ann, json!({"participants": ["bob", "cat"]})).await;
    // cat answers bob, who answers ann; and the network turns it around.
    let last = say(&cat, "third", Some(json!({"ann": 1, "bob": 1, "cat": 1}))).await;
    assert_eq!(last.status, SayStatus::Held);
    assert_eq!(
        say(&bob, "second", Some(json!({"ann": 1, "bob": 1}))).await.status,
        SayStatus::Held
    );
    let stats = ann.call::<RoutingStats>(json!({})).await.unwrap();
    assert_eq!((stats.held_turns, stats.open_sessions), (2, 1));
    assert_eq!(say(&ann, "first", Some(json!({"ann": 1}))).await.status, SayStatus::Heard);
    let page = ann.call::<SessionTranscript>(json!({"session_id": "s1"})).await.unwrap();
    let said: Vec<&str> = page
        .entries
        .iter()
        .filter_map(|entry| match &entry.what {
            TranscriptEvent::Turn(turn) => Some(turn.subject.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["first", "second", "third"]);
    assert_eq!(hears(&ann, 2).await, ["second", "third"]);
    assert_eq!(hears(&cat, 3).await[1..], ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_go_round_where_they_are_ordered() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    let session = open(&ann, json!({"participants": ["bob"], "turn_order": "round_robin"})).await;
    assert_eq!(session.participants[0], name("ann"));
    let out_of_turn = json!({"session_id": "s1", "class": "planning", "subject": "me first"});
    let fault = bob.call::<SessionSay>(out_of_turn).await.unwrap_err();
    assert_eq!(
        (fault.code, &fault.details["next_speaker"]),
        (Code::FailedPrecondition, &json!("ann"))
    );
    for (agent, subject) in [(&ann, "one"), (&bob, "two"), (&ann, "three")] {
        assert_eq!(say(agent, subject, None).await.status, SayStatus::Heard);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_sessions_refuse_by_name_and_silence_ends_one() {
    let session = SessionLimits { max_participants: 2, max_turns: 2, ..SessionLimits::default() };
    let config = Config { shards: 1, max_open_sessions: 2, session, ..without_model() };
    let stage = Stage::with(config, 1).await;
    let ann = stage.agent("ann").await;
    let limit = async |spec: serde_json::Value| {
        let fault = ann.call::<SessionOpen>(spec).await.unwrap_err();
        assert_eq!(fault.code, Code::ResourceExhausted);
        fault.details["limit"].as_str().unwrap().to_owned()
    };
    let crowd = json!({"type": "planning", "participants": ["bob", "cat"]});
    assert_eq!(limit(crowd).await, "max_participants");
    open(&ann, json!({"participants": ["bob"]})).await;
    let short = json!({"id": "s2", "type": "planning", "idle_ms": 1_000});
    ann.call::<SessionOpen>(short).await.unwrap();
    assert_eq!(limit(json!({"type": "planning"})).await, "max_open_sessions");
    say(&ann, "one", None).await;
    say(&ann, "two", None).await;
    let turn = json!({"session_id": "s1", "class": "planning"});
    let fault = ann.call::<SessionSay>(turn).await.unwrap_err();
    assert_eq!(fault.details["limit"], "max_turns");
    eventually("a silent session to end", PATIENCE, || async {
        let session = ann.call::<SessionGet>(json!({"session_id": "s2"})).await.unwrap().session;
        (session.status == SessionStatus::Expired).then_some(())
    })
    .await;
    let unknown = ann.call::<SessionGet>(json!({"session_id": "nowhere"})).await.unwrap_err();
    assert_eq!(unknown.code, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_all_shards_are_listed_page_by_page() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    let mut wanted: Vec<String> = (0..25).map(|number| format!("talk-{number:02}")).collect();
    for id in &wanted {
        let kind = if id.ends_with('7') { "evaluation" } else { "planning" };
        ann.call::<SessionOpen>(json!({"id": id, "type": kind})).await.unwrap();
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let request = json!({"limit": 4, "after": after});
        let page = ann.call::<SessionList>(request).await.unwrap();
        assert!(page.sessions.len() <= 4);
        listed.extend(page.sessions.iter().map(|session| session.id.to_string()));
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, wanted);
    wanted.retain(|id| id.ends_with('7'));
    let some = ann.call::<SessionList>(json!({"types": ["evaluation"]})).await.unwrap();
    assert_eq!(some.sessions.len(), wanted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_the_replica_and_a_repeated_turn_is_one_turn() {
    let mut stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    open(&ann, json!({"participants": ["bob"]})).await;
    let turn = json!({"session_id": "s1", "turn_id": "t1", "class": "reasoning", "subject": "so"});
    assert!(!ann.call::<SessionSay>(turn.clone()).await.unwrap().duplicate);
    let held = say(&bob, "later", Some(json!({"ann": 2, "bob": 1}))).await;
    assert_eq!(held.status, SayStatus::Held);
    stage.replicas.remove(0).drain().await;
    stage.add_replica().await;
    let again = ann.call::<SessionSay>(turn).await.unwrap();
    assert!(again.duplicate && again.number.is_some());
    say(&ann, "then", None).await;
    assert_eq!(hears(&ann, 1).await, ["later"], "what was held back is released");
}
