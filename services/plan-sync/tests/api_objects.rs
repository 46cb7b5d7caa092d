//! Shared objects beside plans: by callers without a replica, and by replicas of their own.

mod stage;

use serde_json::{Value, json};
use stage::{Stage, bring, name};
use troupe_bus::port::World;
use troupe_contract::plan::*;
use troupe_crdt::{AgentKey, Edit, Kind, Replica as Copy};
use troupe_domain::Code;

async fn change(agent: &stage::Agent, id: &str, kind: &str, change: Value) -> Value {
    let request = json!({"object_id": id, "kind": kind, "change": change});
    agent.call::<ObjectUpdate>(request).await.unwrap().value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_object_does_what_its_name_says() {
    let stage = Stage::start().await;
    let (ann, bob) = (stage.agent("ann").await, stage.agent("bob").await);
    assert_eq!(change(&ann, "g", "g_counter", json!({"increment": {"by": 3}})).await, json!(3));
    assert_eq!(change(&bob, "g", "g_counter", json!({"increment": {"by": 4}})).await, json!(7));
    change(&ann, "n", "pn_counter", json!({"increment": {"by": 3}})).await;
    assert_eq!(change(&bob, "n", "pn_counter", json!({"decrement": {"by": 5}})).await, json!(-2));
    let value = json!({"deep": [1, 2]});
    assert_eq!(change(&ann, "r", "lww_register", json!({"set": {"value": value}})).await, value);
    change(&ann, "m", "lww_map", json!({"put": {"key": "a", "value": 1}})).await;
    change(&bob, "m", "lww_map", json!({"put": {"key": "b", "value": 2}})).await;
    let left = change(&bob, "m", "lww_map", json!({"remove": {"key": "a"}})).await;
    assert_eq!(left, json!({"b": 2}));
    change(&ann, "s", "or_set", json!({"add": {"member": "x"}})).await;
    change(&ann, "s", "or_set", json!({"add": {"member": "y"}})).await;
    let left = change(&bob, "s", "or_set", json!({"discard": {"member": "x"}})).await;
    assert_eq!(left, json!(["y"]));
    change(&ann, "v", "vector_clock", json!({"tick": {}})).await;
    let merge = json!({"merge": {"clock": {"bob": 4}}});
    assert_eq!(change(&bob, "v", "vector_clock", merge).await, json!({"ann": 1, "bob": 4}));
    let read = ann.call::<ObjectGet>(json!({"object_id": "v"})).await.unwrap();
    assert_eq!((read.value, read.sequence), (json!({"ann": 1, "bob": 4}), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_object_is_not_is_refused() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    change(&ann, "g", "g_counter", json!({"increment": {"by": 1}})).await;
    let refused = async |id: &str, kind: &str, change: Value| {
        let request = json!({"object_id": id, "kind": kind, "change": change});
        ann.call::<ObjectUpdate>(request).await.unwrap_err().code
    };
    let by_one = || json!({"increment": {"by": 1}});
    assert_eq!(refused("g", "pn_counter", by_one()).await, Code::AlreadyExists);
    let down = json!({"decrement": {"by": 1}});
    assert_eq!(refused("g", "g_counter", down).await, Code::InvalidArgument);
    assert_eq!(refused("s", "or_set", by_one()).await, Code::InvalidArgument);
    // What was refused made nothing.
    let gone = ann.call::<ObjectGet>(json!({"object_id": "s"})).await.unwrap_err();
    assert_eq!(gone.code, Code::NotFound);
    assert_eq!(
        ann.call::<GetPlan>(json!({"plan_id": "g"})).await.unwrap_err().code,
        Code::NotFound
    );
    let page = ann.call::<ListPlans>(json!({})).await.unwrap();
    assert!(page.plans.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_replicas_and_of_callers_add_up() {
    let stage = Stage::start().await;
    let ann = stage.agent("ann").await;
    change(&ann, "n", "pn_counter", json!({"increment": {"by": 1}})).await;
    let mut copies = Vec::new();
    for n in 0..4 {
        let agent = stage.agent(&format!("replica-{n}")).await;
        let key = AgentKey::from_seed([n as u8 + 1; 32]);
        copies.push((agent, key, Copy::new(name("n"), Kind::PnCounter)));
    }
    for (agent, key, copy) in &mut copies {
        let mut batches = Vec::new();
        for _ in 0..25 {
            let me = agent.bus.name();
            let operations = copy.document().operations(me, &[Edit::Increment { by: 2 }]).unwrap();
            let now = troupe_bus::port::System.now();
            batches.push(copy.write(me, key, None, now, operations).unwrap());
        }
        bring(&agent.bus, &batches).await.unwrap();
    }
    let read = ann.call::<ObjectGet>(json!({"object_id": "n"})).await.unwrap();
    assert_eq!(read.value, json!(201));
    let kinds = |kind: &str| json!({"object_id": "n", "kind": kind, "change": {"tick": {}}});
    assert_eq!(
        ann.call::<ObjectUpdate>(kinds("vector_clock")).await.unwrap_err().code,
        Code::AlreadyExists
    );
}
