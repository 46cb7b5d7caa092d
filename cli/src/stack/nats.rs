//! nats-server with JetStream, for one machine.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::server::{LISTEN_LIMIT_MS, LISTEN_POLL_MS, Server};

/// The largest message, as everywhere in Troupe.
const MAX_PAYLOAD_MB: usize = troupe_domain::limits::MAX_MESSAGE_BYTES / (1024 * 1024);

/// The server sets aside what every stream may grow to, and refuses a stream beyond this. By itself it
/// would count with three quarters of what happens to be free, which a small disk does not have.
const MAX_FILE_STORE_GB: usize = 32;

/// Starts it on `port` (0 is a free one), and waits until it listens.
pub(crate) async fn start(binary: &Path, folder: &Path, port: u16) -> Result<Server> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let config = folder.join("nats.conf");
    std::fs::write(&config, text(folder, port)).with_context(|| config.display().to_string())?;
    let mut command = Command::new(binary);
    command.arg("-c").arg(&config).envs(troupe_parts::nats_server_environment());
    let mut server = Server::start("nats-server", &mut command, folder).await?;
    let told = folder.join(format!("nats-server_{}.ports", server.pid()));
    let deadline = Instant::now() + Duration::from_millis(LISTEN_LIMIT_MS);
    loop {
        if let Some(port) = std::fs::read_to_string(&told).ok().and_then(|text| listens(&text)) {
            server.port = port;
            return Ok(server);
        }
        if Instant::now() > deadline {
            bail!("nats-server does not listen after {LISTEN_LIMIT_MS} ms");
        }
        tokio::select! {
            error = server.failed() => return Err(error),
            () = sleep(Duration::from_millis(LISTEN_POLL_MS)) => {}
        }
    }
}

fn text(folder: &Path, port: u16) -> String {
    // For nats-server -1 is a free port.
    let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
    let folder = serde_json::Value::from(folder.display().to_string());
    format!(
        "server_name: troupe-dev\nhost: \"127.0.0.1\"\nport: {port}\nports_file_dir: {folder}\n\
         max_payload: {MAX_PAYLOAD_MB}MB\njetstream {{\n  store_dir: {folder}\n  \
         max_file_store: {MAX_FILE_STORE_GB}GB\n  \
         # The server's default, written out: a power loss can cost the last two minutes.\n  \
         sync_interval: \"2m\"\n}}\n"
    )
}

/// The port in the file that the server writes once it listens; none while it is not whole.
fn listens(text: &str) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_str(text).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_once_the_file_is_whole() {
        assert_eq!(listens(r#"{"nats":["nats://127.0.0.1:4301"]}"#), Some(4301));
        assert_eq!(listens(r#"{"nats":["nats://127"#), None);
        assert!(text(Path::new("/a \"b\""), 0).contains(r#"store_dir: "/a \"b\"""#));
    }
}
