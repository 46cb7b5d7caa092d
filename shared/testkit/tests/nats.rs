//! A nats-server that is killed, paused and restarted keeps its port and its store.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::Result;
use async_nats::{ConnectOptions, jetstream, jetstream::stream};
use tokio::time::timeout;
use troupe_testkit::{Cluster, NatsServer, Proc, eventually};

const DEADLINE: Duration = Duration::from_secs(20);
const BRIEFLY: Duration = Duration::from_millis(300);
const INNER: &str = "TROUPE_TESTKIT_INNER";

async fn stream(server: &NatsServer, replicas: usize) -> Result<(jetstream::Context, String)> {
    let context = jetstream::new(server.connect().await?);
    let config = stream::Config {
        name: "KEPT".to_owned(),
        subjects: vec!["kept.>".to_owned()],
        num_replicas: replicas,
        ..stream::Config::default()
    };
    context.create_stream(config).await?;
    Ok((context, "kept.one".to_owned()))
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_kill_9_and_restart() -> Result<()> {
    let begun = Instant::now();
    let server = NatsServer::start().await?;
    println!("started in {:?}", begun.elapsed());
    let (url, pid) = (server.url(), server.pid());
    let (context, subject) = stream(&server, 1).await?;
    context.publish(subject.clone(), "hello".into()).await?.await?;

    server.kill9()?;
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err(), "it is dead");
    let begun = Instant::now();
    server.restart().await?;
    println!("restarted in {:?}", begun.elapsed());
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), pid);

    let kept = jetstream::new(server.connect().await?).get_stream("KEPT").await?;
    assert_eq!(kept.get_last_raw_message_by_subject(&subject).await?.payload, "hello");
    // The client from before finds it again by itself.
    eventually("the old client to publish again", DEADLINE, || async {
        context.publish(subject.clone(), "again".into()).await.ok()?.await.ok()
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_paused_server_says_nothing_until_it_is_resumed() -> Result<()> {
    let server = NatsServer::start().await?;
    let client = server.connect().await?;
    let ask = || client.request("$JS.API.INFO", "".into());
    ask().await?;
    server.pause()?;
    assert!(timeout(BRIEFLY, ask()).await.is_err(), "a paused server answered");
    server.resume()?;
    eventually("an answer", DEADLINE, || async { ask().await.ok() }).await;
    Ok(())
}

#[tokio::test]
async fn an_auth_block_is_in_force_and_sync_always_starts() -> Result<()> {
    let block = "authorization { user: \"kit\", password: \"secret\" }";
    let login = ConnectOptions::with_user_and_password("kit".to_owned(), "secret".to_owned());
    let server = NatsServer::builder().auth(block, login).sync_always().start().await?;
    server.connect().await?.flush().await?;
    assert!(async_nats::connect(server.url()).await.is_err(), "let in without a password");
    Ok(())
}

#[tokio::test]
async fn a_wrong_configuration_is_an_error_that_quotes_the_server() -> Result<()> {
    let started = NatsServer::builder().config("no_such_setting: 1").start().await;
    let text = format!("{:#}", started.expect_err("refused"));
    assert!(text.contains("no_such_setting"), "{text}");
    Ok(())
}

/// Not a test by itself: the process that the test below kills.
#[tokio::test]
async fn inner_process_that_holds_a_server() -> Result<()> {
    if std::env::var_os(INNER).is_some() {
        let server = NatsServer::start().await?;
        println!("\nport={}.", server.port());
        std::future::pending::<()>().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_dies_with_the_process_that_started_it() -> Result<()> {
    // What a killed process leaves lying about goes with this folder.
    let folder = tempfile::tempdir()?;
    let inner = Proc::build("inner", std::env::current_exe()?)
        .args(["--exact", "inner_process_that_holds_a_server", "--nocapture"])
        .env(INNER, "1")
        .env("TMPDIR", folder.path())
        .start()?;
    inner.wait_for_output(".\n", DEADLINE).await?;
    let port = eventually("the inner server's port", DEADLINE, || async {
        let stdout = inner.stdout();
        stdout.split_once("port=")?.1.split_once('.')?.0.parse::<u16>().ok()
    })
    .await;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok(), "it runs");
    inner.kill9()?;
    eventually("the orphaned server to be gone", DEADLINE, || async {
        TcpStream::connect(("127.0.0.1", port)).is_err().then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_cluster_goes_on_without_one_node() -> Result<()> {
    let begun = Instant::now();
    let cluster = Cluster::start().await?;
    println!("cluster started in {:?}", begun.elapsed());
    let (_, subject) = stream(&cluster.nodes()[1], 3).await?;
    let client = async_nats::connect(cluster.urls().split(',').collect::<Vec<_>>()).await?;
    let context = jetstream::new(client);
    let publish = || async { context.publish(subject.clone(), "x".into()).await.ok()?.await.ok() };
    eventually("a write with all nodes", DEADLINE, publish).await;
    cluster.nodes()[0].kill9()?;
    eventually("a write with two nodes", DEADLINE, publish).await;
    cluster.nodes()[0].restart().await?;
    eventually("a write with all nodes again", DEADLINE, publish).await;
    Ok(())
}
