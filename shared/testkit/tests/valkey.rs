//! A valkey-server keeps its port and, where asked to, its data across `kill -9`.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use troupe_testkit::{ValkeyServer, eventually};

const DEADLINE: Duration = Duration::from_secs(20);
const BRIEFLY: Duration = Duration::from_millis(300);

async fn ask(server: &ValkeyServer, command: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}

#[tokio::test]
async fn an_append_only_server_comes_back_with_its_data() -> Result<()> {
    let begun = Instant::now();
    // Synced at every write here, so that the kill cannot fall inside the second.
    let builder = ValkeyServer::builder().append_only().args(["--appendfsync", "always"]);
    let server = builder.start().await?;
    println!("started in {:?}", begun.elapsed());
    ask(&server, "SET name value").await?;
    let pid = server.pid();
    server.kill9()?;
    assert!(ask(&server, "PING").await.is_err(), "it is dead");
    server.restart().await?;
    assert_ne!(server.pid(), pid);
    assert!(ask(&server, "GET name").await?.contains("value"));
    Ok(())
}

#[tokio::test]
async fn an_ordinary_server_comes_back_empty() -> Result<()> {
    let server = ValkeyServer::start().await?;
    ask(&server, "SET name value").await?;
    server.restart().await?;
    assert!(ask(&server, "GET name").await?.starts_with("$-1"));
    Ok(())
}

#[tokio::test]
async fn a_paused_server_says_nothing_until_it_is_resumed() -> Result<()> {
    let server = ValkeyServer::start().await?;
    server.pause()?;
    assert!(timeout(BRIEFLY, ask(&server, "PING")).await.is_err(), "a paused server answered");
    server.resume()?;
    eventually("an answer", DEADLINE, || async { ask(&server, "PING").await.ok() }).await;
    Ok(())
}
