//! The service under the permissions that the contract generates: it may do everything that it does,
//! and nobody reports in another's name.

mod stage;

use std::time::Duration;

use async_nats::ConnectOptions;
use serde_json::json;
use stage::{PATIENCE, call, complete, name, report, take};
use troupe_bus::{Bus, Settings};
use troupe_contract::generate::permissions::Kind;
use troupe_contract::generate::{User, nats_config};
use troupe_contract::progress::*;
use troupe_contract::registry::Register;
use troupe_contract::{Service, subject, work};
use troupe_domain::progress::MilestoneStatus;
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
    let services = [Service::Registry, Service::Work, Service::Progress];
    let mut users: Vec<User> = services
        .iter()
        .map(|service| User {
            name: name(service.full_name()),
            password: password(service.full_name()),
            kind: Kind::Service(*service),
        })
        .collect();
    users.push(User { name: name("ann"), password: password("ann"), kind: Kind::Agent });
    let block = nats_config(&users).unwrap();
    let progress = Service::Progress.full_name();
    let nats = NatsServer::builder().auth(block, options(progress)).start().await.unwrap();

    let bus = login(&nats, Service::Registry.full_name()).await;
    let settings = troupe_registry::Config::default().settings();
    let registry = troupe_registry::Replica::start(&bus, &settings, None).await.unwrap();
    let bus = login(&nats, Service::Work.full_name()).await;
    let work = troupe_work_distribution::Config::default();
    let work = troupe_work_distribution::Replica::start(&bus, &work, None).await.unwrap();
    work.ready().await;
    let bus = login(&nats, progress).await;
    let config = troupe_progress::Config::default();
    let replica = troupe_progress::Replica::start(&bus, &config, None).await.unwrap();
    replica.ready().await;

    let ann = login(&nats, "ann").await;
    call::<Register>(&ann, json!({"role": "implementer"})).await.unwrap();
    let task = call::<work::Create>(&ann, json!({"title": "x"})).await.unwrap().task_id;
    let spec = json!({"id": "m", "name": "M", "required_task_ids": [task]});
    call::<MilestoneCreate>(&ann, spec).await.unwrap();
    let claimed = take(&ann).await;
    report(&ann, &claimed, 30.0).await.unwrap();
    complete(&ann, &claimed).await;
    eventually("the milestone to be achieved", PATIENCE, || async {
        let got = call::<MilestoneGet>(&ann, json!({"milestone_id": "m"})).await.ok()?;
        (got.milestone.status == MilestoneStatus::Achieved).then_some(())
    })
    .await;
    let log = nats.log().to_lowercase();
    assert!(!log.contains("permissions violation"), "{log}");

    let raw = options("ann").connect(nats.url()).await.unwrap();
    for subject in ["troupe.v1.progress.report.bob", "troupe.v1.event.progress.x.progress_stalled"]
    {
        let request = async_nats::Request::new()
            .payload("{}".into())
            .timeout(Some(Duration::from_millis(500)));
        raw.send_request(subject.to_owned(), request).await.unwrap_err();
        eventually("the server to refuse it", PATIENCE, || async {
            nats.log().contains(subject).then_some(())
        })
        .await;
    }
    replica.drain().await;
    work.drain().await;
    registry.drain().await;
}
