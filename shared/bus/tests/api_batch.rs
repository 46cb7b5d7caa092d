//! Calls that travel together, over a real nats-server: each keeps its own outcome.
#![allow(missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use troupe_bus::{Bus, CallOptions, Server, Settings, serve::Serving};
use troupe_contract::Service;
use troupe_contract::batch::{BatchOutcome, BatchReply, MAX_BATCH_CALLS};
use troupe_contract::work::{HoldRequest, Start, TaskReceipt, WorkBatch};
use troupe_domain::{Code, Fault, Name, TaskStatus};
use troupe_testkit::NatsServer;

async fn bus(nats: &NatsServer, name: &str) -> Bus {
    let settings = Settings { url: nats.url(), ..Settings::default() };
    Bus::connect(&settings, Name::parse(name).unwrap()).await.unwrap()
}

fn hold(task: &str, epoch: u64) -> HoldRequest {
    HoldRequest { task_id: Name::parse(task).unwrap(), epoch }
}

/// A gate that nobody opens.
fn shut() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

/// What the service is told to do follows from the task's id.
async fn serve(bus: &Bus, gate: Arc<Semaphore>) -> Serving {
    let mut server = Server::new(bus, Service::Work, "1.2.3");
    let start = move |call: troupe_bus::Call<HoldRequest>| {
        let gate = gate.clone();
        async move {
            let HoldRequest { task_id, epoch } = call.request;
            match task_id.as_str() {
                "panic" => panic!("a defect"),
                "refused" => Err(Fault::precondition("no")
                    .with("caller", call.caller.as_str())
                    .with("command_id", call.command_id)
                    .with(
                        "left_ms",
                        call.deadline.duration_since(tokio::time::Instant::now()).as_millis()
                            as u64,
                    )),
                "slow" => {
                    gate.acquire().await.unwrap().forget();
                    Ok(receipt(task_id, epoch))
                }
                _ => Ok(receipt(task_id, epoch)),
            }
        }
    };
    server.endpoint::<Start, _, _>(start).await.unwrap();
    server.batches::<WorkBatch>().await.unwrap();
    server.start().await.unwrap()
}

fn receipt(task_id: Name, epoch: u64) -> TaskReceipt {
    TaskReceipt { task_id, status: TaskStatus::InProgress, epoch, lease_expires_at: None }
}

#[tokio::test]
async fn a_crowd_shares_messages_and_everybody_gets_their_own_answer() {
    let nats = NatsServer::start().await.unwrap();
    let _serving = serve(&bus(&nats, "server").await, shut()).await;
    let messages = Arc::new(AtomicUsize::new(0));
    let (listener, heard) = (bus(&nats, "listener").await, messages.clone());
    let mut every = listener.listen("troupe.v1.work.*.ann").await.unwrap();
    let counting = tokio::spawn(async move {
        while every.next().await.is_some() {
            heard.fetch_add(1, Ordering::SeqCst);
        }
    });
    let ann = bus(&nats, "ann").await;
    let calls = (0..500_u64).map(|epoch| {
        let ann = ann.clone();
        async move {
            let task = match epoch % 50 {
                7 => "refused".to_owned(),
                8 => "panic".to_owned(),
                _ => format!("task-{epoch}"),
            };
            (epoch, ann.call::<Start>(&hold(&task, epoch)).await)
        }
    });
    for (epoch, answer) in futures::future::join_all(calls).await {
        match epoch % 50 {
            7 => {
                let fault = answer.unwrap_err();
                assert_eq!(fault.code, Code::FailedPrecondition);
                assert_eq!(fault.details["caller"], "ann");
            }
            8 => assert_eq!(answer.unwrap_err().code, Code::Internal),
            _ => {
                let receipt = answer.unwrap();
                assert_eq!(
                    (receipt.task_id.as_str(), receipt.epoch),
                    (&*format!("task-{epoch}"), epoch)
                );
            }
        }
    }
    let sent = messages.load(Ordering::SeqCst);
    assert!((8..100).contains(&sent), "{sent} messages for 500 calls");
    counting.abort();
}

#[tokio::test]
async fn a_call_that_takes_long_holds_up_no_other() {
    let nats = NatsServer::start().await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let _serving = serve(&bus(&nats, "server").await, gate.clone()).await;
    let ann = bus(&nats, "ann").await;
    // More of them than flights, each in the company of others.
    let slow: Vec<_> = (0..6_u64)
        .map(|epoch| {
            let ann = ann.clone();
            let options = CallOptions::within(Duration::from_secs(60));
            tokio::spawn(
                async move { ann.call_with::<Start>(&hold("slow", epoch), &options).await },
            )
        })
        .collect();
    for round in 0..20_u64 {
        let calls = (0..20).map(|n| {
            let ann = ann.clone();
            async move { ann.call::<Start>(&hold("quick", round * 100 + n)).await.unwrap() }
        });
        futures::future::join_all(calls).await;
    }
    assert!(slow.iter().all(|call| !call.is_finished()));
    gate.add_permits(6);
    for (epoch, call) in slow.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap().epoch, epoch as u64);
    }
}

#[tokio::test]
async fn each_call_has_its_own_command_id_and_deadline() {
    let nats = NatsServer::start().await.unwrap();
    let _serving = serve(&bus(&nats, "server").await, shut()).await;
    let ann = bus(&nats, "ann").await;
    let calls = (0..40_u64).map(|n| {
        let ann = ann.clone();
        async move {
            let options = CallOptions {
                command_id: Some(format!("c-{n}")),
                ..CallOptions::within(Duration::from_secs(100 + n))
            };
            (n, ann.call_with::<Start>(&hold("refused", n), &options).await.unwrap_err())
        }
    });
    for (n, fault) in futures::future::join_all(calls).await {
        assert_eq!(fault.details["command_id"], format!("c-{n}"));
        let left = fault.details["left_ms"].as_u64().unwrap();
        assert!(left > 70_000 && left <= (100 + n) * 1_000, "{left}");
    }
}

#[tokio::test]
async fn what_nobody_hears_is_asked_again_until_somebody_does() {
    let nats = NatsServer::start().await.unwrap();
    let ann = bus(&nats, "ann").await;
    let early: Vec<_> = (0..30_u64)
        .map(|epoch| {
            let ann = ann.clone();
            tokio::spawn(async move { ann.call::<Start>(&hold("early", epoch)).await })
        })
        .collect();
    let _serving = serve(&bus(&nats, "server").await, shut()).await;
    for call in early {
        assert!(call.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_crowd_that_nobody_hears_is_told_so() {
    let nats = NatsServer::start().await.unwrap();
    let ann = bus(&nats, "ann").await;
    let options = CallOptions { retry_unheard: false, ..CallOptions::default() };
    let calls = (0..30_u64).map(|epoch| {
        let (ann, options) = (ann.clone(), options.clone());
        async move { ann.call_with::<Start>(&hold("nobody", epoch), &options).await }
    });
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap_err().code, Code::Unavailable);
    }
}

#[tokio::test]
async fn junk_is_explained_as_a_whole_and_call_by_call() {
    let nats = NatsServer::start().await.unwrap();
    let _serving = serve(&bus(&nats, "server").await, shut()).await;
    let ann = bus(&nats, "ann").await;
    let ask = |body: String| {
        let ann = ann.clone();
        async move {
            ann.call_raw("troupe.v1.work.batch.ann", body.into(), &CallOptions::default()).await
        }
    };
    let call = r#"{"operation":"start","request":{"task_id":"t","epoch":1}}"#;
    let many = vec![call; MAX_BATCH_CALLS + 1].join(",");
    for (body, code) in [
        ("{".to_owned(), Code::InvalidArgument),
        ("{}".to_owned(), Code::InvalidArgument),
        (r#"{"calls":[]}"#.to_owned(), Code::InvalidArgument),
        (format!(r#"{{"calls":[{many}]}}"#), Code::ResourceExhausted),
    ] {
        assert_eq!(ask(body).await.unwrap_err().code, code);
    }
    let odd = format!(
        r#"{{"calls":[{call},{{"operation":"next","request":{{}}}},{{"operation":"start","request":[]}}]}}"#
    );
    let reply: BatchReply = serde_json::from_slice(&ask(odd).await.unwrap()).unwrap();
    let mut outcomes: Vec<_> = reply.answers.into_iter().map(|a| (a.call, a.outcome)).collect();
    outcomes.sort_by_key(|(call, _)| *call);
    let [
        (0, BatchOutcome::Reply(_)),
        (1, BatchOutcome::Fault(next)),
        (2, BatchOutcome::Fault(list)),
    ] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((next.code, &next.details["field"]), (Code::InvalidArgument, &"operation".into()));
    assert_eq!((list.code, &list.details["field"]), (Code::InvalidArgument, &"body".into()));
    assert!(ann.call::<Start>(&hold("after", 1)).await.is_ok(), "junk takes nothing with it");
}
