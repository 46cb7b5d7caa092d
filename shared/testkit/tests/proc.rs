//! Child processes: their output, their ends, and what they leave behind.

use std::{path::Path, time::Duration};

use anyhow::Result;
use troupe_testkit::{Proc, eventually, free_port, try_eventually};

const DEADLINE: Duration = Duration::from_secs(20);
const BRIEFLY: Duration = Duration::from_millis(100);

fn shell(script: &str) -> Result<Proc> {
    Proc::build("shell", "/bin/sh").args(["-c", script]).env("WORD", "given").start()
}

#[tokio::test]
async fn output_and_exit_code_are_seen() -> Result<()> {
    let child = shell("echo out $WORD; echo err >&2; exit 3")?;
    assert_eq!(child.wait(DEADLINE).await?.code(), Some(3));
    assert_eq!((child.stdout().as_str(), child.stderr().as_str()), ("out given\n", "err\n"));
    assert!(child.pause().is_err(), "it has ended");
    child.kill9()
}

#[tokio::test]
async fn terminate_lets_it_clean_up_and_kill9_does_not() -> Result<()> {
    let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    for (kill, last_word) in [(false, true), (true, false)] {
        let child = shell(script)?;
        child.wait_for_output("ready", DEADLINE).await?;
        if kill {
            child.kill9()?;
        } else {
            child.terminate()?;
        }
        child.wait(DEADLINE).await?;
        assert_eq!(child.stdout().contains("bye"), last_word);
    }
    Ok(())
}

#[tokio::test]
async fn a_paused_process_can_be_paused_resumed_and_killed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let beat = folder.path().join("beat");
    let child = Proc::build("shell", "/bin/sh")
        .args(["-c", "while :; do echo > beat; sleep 0.01; done"])
        .current_dir(folder.path())
        .start()?;
    for _ in 0..2 {
        beats(&beat).await?;
        child.pause()?;
        child.pause()?;
        std::fs::remove_file(&beat)?;
        let beat = try_eventually("a beat", BRIEFLY, || async { beat.exists().then_some(()) });
        assert!(beat.await.is_err(), "it went on");
        child.resume()?;
    }
    child.pause()?;
    child.kill9()?;
    assert!(child.ended().is_some());
    Ok(())
}

#[tokio::test]
async fn waiting_has_a_deadline_and_quotes_the_output() -> Result<()> {
    let child = shell("echo stuck; exec sleep 600")?;
    child.wait_for_output("stuck", DEADLINE).await?;
    let error = child.wait(BRIEFLY).await.expect_err("it goes on").to_string();
    assert!(error.contains("the end of shell") && error.contains("stuck"), "{error}");
    let ended = shell("exit 0")?.wait_for_output("never", DEADLINE).await;
    assert!(ended.expect_err("it ended").to_string().contains("ended first"));
    Ok(())
}

/// The grandchild writes while it lives, so that its end can be seen without its number.
#[tokio::test]
async fn a_drop_ends_grandchildren_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let beat = folder.path().join("beat");
    let script = "(while :; do echo > beat; sleep 0.01; done) & echo ready; wait";
    let child =
        Proc::build("shell", "/bin/sh").args(["-c", script]).current_dir(folder.path()).start()?;
    child.wait_for_output("ready", DEADLINE).await?;
    beats(&beat).await?;
    child.kill9()?;
    beats(&beat).await?;
    drop(child);
    eventually("the beat to stop", DEADLINE, || async {
        let _ = std::fs::remove_file(&beat);
        let beat = try_eventually("a beat", BRIEFLY, || async { beat.exists().then_some(()) });
        beat.await.is_err().then_some(())
    })
    .await;
    Ok(())
}

async fn beats(beat: &Path) -> Result<()> {
    let _ = std::fs::remove_file(beat);
    Ok(try_eventually("a beat", DEADLINE, || async { beat.exists().then_some(()) }).await?)
}

#[tokio::test]
#[should_panic(expected = "waited 20ms in vain for the moon (0 attempts ended)")]
async fn eventually_cuts_off_an_attempt_that_hangs() {
    let moon = || std::future::pending::<Option<()>>();
    eventually("the moon", Duration::from_millis(20), moon).await;
}

#[test]
fn a_free_port_can_be_used() {
    assert!(std::net::TcpListener::bind(("127.0.0.1", free_port())).is_ok());
}
