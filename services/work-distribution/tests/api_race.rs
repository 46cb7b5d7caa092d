//! Many agents race for each task: exactly one gets it, by the answers and by the events.

mod fleet;

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::{Fleet, done, hold, proven, sized, task};
use futures::future::join_all;
use troupe_bus::Bus;
use troupe_contract::event::TaskEventKind;
use troupe_contract::work::*;
use troupe_domain::{AgentId, TaskId};
use troupe_testkit::history::Acknowledged;
use troupe_work_distribution::Config;

const AGENTS: usize = 64;

async fn racers(fleet: &Fleet) -> Vec<Bus> {
    let names: Vec<String> = (0..AGENTS).map(|number| format!("racer-{number}")).collect();
    join_all(names.iter().map(|name| fleet.agent(name, "implementer", &[]))).await
}

/// Two replicas, so that the race is one between replicas as well.
async fn start() -> Fleet {
    Fleet::with(Config::default(), troupe_registry::Config::default().settings(), 2).await
}

async fn create(fleet: &Fleet, tasks: usize, acknowledged: &mut Acknowledged) -> Vec<TaskId> {
    let mut ids = Vec::new();
    for number in 0..tasks {
        ids.push(fleet.create(&task(&format!("task {number}"))).await.id.clone());
    }
    acknowledged.created.extend(ids.iter().cloned());
    ids
}

/// Each task was claimed once, at epoch 1, by the agent that was told so.
async fn check(fleet: &Fleet, tasks: usize, acknowledged: &Acknowledged) {
    let winners: BTreeMap<&TaskId, &AgentId> =
        acknowledged.claimed.iter().map(|(id, _, by)| (id, by)).collect();
    assert_eq!((acknowledged.claimed.len(), winners.len()), (tasks, tasks));
    assert!(acknowledged.claimed.iter().all(|(_, epoch, _)| *epoch == 1));
    let history = proven(&fleet.nats, acknowledged, fleet::PATIENCE).await;
    let claims: Vec<_> =
        history.events().filter(|event| event.event == TaskEventKind::TaskClaimed).collect();
    assert_eq!(claims.len(), tasks);
    for claim in claims {
        assert_eq!((claim.by.as_ref(), claim.epoch), (Some(winners[&claim.task_id]), 1));
    }
    assert_eq!(history.count(TaskEventKind::TaskCompleted), tasks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_64_agents_that_claim_a_task_by_id_gets_it() {
    let tasks = sized(1_000, 100);
    let fleet = start().await;
    let racers = racers(&fleet).await;
    let mut acknowledged = Acknowledged::default();
    let ids = create(&fleet, tasks, &mut acknowledged).await;
    for id in &ids {
        let request = ClaimRequest { task_id: id.clone(), expected_epoch: None };
        let answers = join_all(racers.iter().map(|racer| racer.call::<Claim>(&request))).await;
        let mut winner = None;
        for (racer, answer) in racers.iter().zip(answers) {
            let answer = answer.unwrap();
            assert_eq!(answer.success, answer.task.is_some());
            if let Some(claimed) = answer.task {
                assert!(winner.is_none(), "{id} has two winners");
                let epoch = claimed.task.epoch;
                acknowledged.claimed.push((id.clone(), epoch, racer.name().clone()));
                winner = Some((racer, hold(&claimed)));
            } else {
                let conflict = answer.conflict.expect("who was first");
                assert!(conflict.claimed_by.is_some() && conflict.epoch == 1, "{conflict:?}");
            }
        }
        let (winner, held) = winner.expect("a winner");
        winner.call::<Complete>(&done(&held, "won")).await.unwrap();
    }
    check(&fleet, tasks, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_of_64_agents_that_poll_get_the_same_task() {
    let tasks = sized(1_000, 100);
    let fleet = Arc::new(start().await);
    let racers = racers(&fleet).await;
    let mut acknowledged = Acknowledged::default();
    create(&fleet, tasks, &mut acknowledged).await;
    let polls = racers.into_iter().map(|racer| {
        tokio::spawn(async move {
            let mut won = Vec::new();
            let poll = NextRequest::waiting(0);
            while let Some(claimed) = racer.call::<Next>(&poll).await.unwrap().task {
                let held = hold(&claimed);
                won.push((held.task_id.clone(), held.epoch, racer.name().clone()));
                racer.call::<Complete>(&done(&held, "won")).await.unwrap();
            }
            won
        })
    });
    for won in join_all(polls).await {
        acknowledged.claimed.extend(won.unwrap());
    }
    check(&fleet, tasks, &acknowledged).await;
}
