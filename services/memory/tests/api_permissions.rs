//! The service under the permissions that the contract generates: it may do everything that it does,
//! and nobody writes in another's name.

mod stage;

use async_nats::ConnectOptions;
use serde_json::json;
use stage::{call, create, get, ids, lexical, name, search};
use troupe_bus::{Bus, Settings};
use troupe_contract::generate::permissions::Kind;
use troupe_contract::generate::{User, nats_config};
use troupe_contract::memory::*;
use troupe_contract::{Service, subject};
use troupe_domain::Code;
use troupe_testkit::{NatsServer, eventually};

fn password(name: &str) -> String {
    format!("{name}-secret")
}

fn options(who: &str) -> ConnectOptions {
    ConnectOptions::with_user_and_password(who.to_owned(), password(who))
        .custom_inbox_prefix(subject::inbox_prefix(&name(who)))
}

async fn login(nats: &NatsServer, who: &str) -> Bus {
    let settings = Settings {
        url: nats.url(),
        user: Some(who.to_owned()),
        password: Some(password(who)),
        credentials_file: None,
    };
    Bus::connect(&settings, name(who)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_may_do_what_it_does_and_agents_speak_for_themselves() {
    let memory = Service::Memory.full_name();
    let user = |who: &str, kind: Kind| User { name: name(who), password: password(who), kind };
    let users = [
        user(memory, Kind::Service(Service::Memory)),
        user("ann", Kind::Agent),
        user("bob", Kind::Agent),
    ];
    let block = nats_config(&users).unwrap();
    let nats = NatsServer::builder().auth(block, options(memory)).start().await.unwrap();
    let bus = login(&nats, memory).await;
    let replica = troupe_memory::Replica::start(&bus, &lexical(), None).await.unwrap();
    replica.ready().await;
    let (ann, bob) = (login(&nats, "ann").await, login(&nats, "bob").await);
    let id = create(&ann, json!({"content": "mine alone", "type": "semantic"})).await.id;
    assert_eq!(get(&bob, &id).await.provenance.author, name("ann"));
    let fault = call::<DeleteMemory>(&bob, json!({ "id": id })).await.unwrap_err();
    assert_eq!(fault.code, Code::PermissionDenied);
    // The subject is what names the caller, and the server lets nobody use another's.
    let raw = options("bob").connect(nats.url()).await.unwrap();
    let body = json!({"content": "a forged penguin", "type": "semantic"}).to_string();
    let as_ann = subject::request::<CreateMemory>(&name("ann"));
    raw.publish(as_ann, body.into()).await.unwrap();
    let log = subject::shard_log(Service::Memory, 0);
    raw.publish(log, "{}".into()).await.unwrap();
    raw.flush().await.unwrap();
    // What comes after it on the same connection was answered: it was refused before.
    let own = json!({"content": "an honest walrus", "type": "semantic"});
    create(&bob, own).await;
    let found = search(&bob, json!({"query": "penguin walrus"})).await;
    assert_eq!(found.results.len(), 1);
    call::<DeleteMemory>(&ann, json!({ "id": id })).await.unwrap();
    eventually("the deletion to be complete", stage::PATIENCE, || async {
        let receipt = call::<GetDeletion>(&ann, json!({ "id": id })).await.ok()?;
        receipt.complete.then_some(())
    })
    .await;
    assert!(!ids(&search(&ann, json!({"query": "mine alone"})).await).contains(&id));
    replica.drain().await;
}
