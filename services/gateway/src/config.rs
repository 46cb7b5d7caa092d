//! What the gateway can be told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use troupe_domain::limits::MAX_WAIT_MS;
use troupe_domain::{Fault, Name};
use troupe_runtime::Common;

/// The port on which MCP is spoken where nobody says another.
pub const DEFAULT_PORT: u16 = 7071;

/// The configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service is told. Its credentials are the gateway's own, with which it hears events.
    pub common: Common,
    /// MCP.
    pub mcp: McpConfig,
}

/// How MCP is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpConfig {
    /// Where it listens; port 0 takes a free one. Without tokens this must be loopback.
    pub listen: SocketAddr,
    /// A list of tokens: `[{sha256, agent, user, password, credentials_file}]` in YAML.
    pub callers_file: Option<PathBuf>,
    /// Without tokens: the name of everybody who calls.
    pub dev_name: String,
    /// What a `Host` header may say, with or without a port, separated by commas:
    /// `troupe.example.com`. Loopback always may.
    pub allowed_hosts: String,
    /// Which pages of browsers may call, separated by commas, such as `https://app.example.com`; none
    /// where none is named.
    pub allowed_origins: String,
    /// Bytes of one request.
    pub max_body_bytes: usize,
    /// How long the head of a request may take, from when the one before it was answered: whoever is
    /// silent for longer comes back with a new socket.
    pub head_within_ms: u64,
    /// Sockets that are open at once.
    pub max_sockets: usize,
    /// Requests that are answered at once, streams included.
    pub max_requests: usize,
    /// Sessions of clients that speak a revision with sessions.
    pub max_sessions: usize,
    /// A session of which nothing was heard for so long ends.
    pub session_idle_ms: u64,
    /// Resources that one client may follow.
    pub max_subscriptions: usize,
    /// Connections to NATS, one for each caller.
    pub max_connections: usize,
    /// A connection that nobody used for so long is closed.
    pub connection_idle_ms: u64,
    /// Callers that are kept alive in the directory at once.
    pub max_attended: usize,
    /// Whoever calls nothing for so long is kept alive no more, and loses its tasks.
    pub silence_ms: u64,
    /// The longest that a tool waits for something to happen.
    pub max_wait_ms: u64,
}

impl Default for McpConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(),
            callers_file: None,
            dev_name: "mcp".to_owned(),
            allowed_hosts: String::new(),
            allowed_origins: String::new(),
            max_body_bytes: 1024 * 1024,
            head_within_ms: 60_000,
            max_sockets: 2_048,
            max_requests: 1_024,
            max_sessions: 1_024,
            session_idle_ms: 30 * 60 * 1000,
            max_subscriptions: 64,
            max_connections: 256,
            connection_idle_ms: 5 * 60 * 1000,
            max_attended: 256,
            silence_ms: 15 * 60 * 1000,
            max_wait_ms: 45_000,
        }
    }
}

impl AsRef<Common> for Config {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

impl Config {
    /// Refuses values that cannot work, by name.
    pub fn check(&self) -> Result<(), Fault> {
        let mcp = &self.mcp;
        for (name, value) in [
            ("mcp.max_body_bytes", mcp.max_body_bytes as u64),
            ("mcp.head_within_ms", mcp.head_within_ms),
            ("mcp.max_sockets", mcp.max_sockets as u64),
            ("mcp.max_requests", mcp.max_requests as u64),
            ("mcp.max_sessions", mcp.max_sessions as u64),
            ("mcp.session_idle_ms", mcp.session_idle_ms),
            ("mcp.max_subscriptions", mcp.max_subscriptions as u64),
            ("mcp.max_connections", mcp.max_connections as u64),
            ("mcp.connection_idle_ms", mcp.connection_idle_ms),
            ("mcp.max_attended", mcp.max_attended as u64),
            ("mcp.silence_ms", mcp.silence_ms),
        ] {
            if value == 0 {
                return Err(Fault::invalid(name, "must be more than 0"));
            }
        }
        if mcp.max_wait_ms > MAX_WAIT_MS {
            let why = format!("must not be more than {MAX_WAIT_MS}");
            return Err(Fault::invalid("mcp.max_wait_ms", why));
        }
        Name::parse_field("mcp.dev_name", &mcp.dev_name)?;
        if mcp.callers_file.is_none() && !mcp.listen.ip().is_loopback() {
            return Err(Fault::invalid(
                "mcp.callers_file",
                "is needed where mcp.listen is not loopback: without tokens everybody is let in",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut McpConfig)) -> String {
        let mut config = Config::default();
        change(&mut config.mcp);
        config.check().unwrap_err().details["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_defaults_work_and_each_bad_value_is_named() {
        assert!(Config::default().check().is_ok());
        assert_eq!(refused(|mcp| mcp.max_sessions = 0), "mcp.max_sessions");
        assert_eq!(refused(|mcp| mcp.max_wait_ms = MAX_WAIT_MS + 1), "mcp.max_wait_ms");
        assert_eq!(refused(|mcp| mcp.dev_name = "a.b".to_owned()), "mcp.dev_name");
    }

    #[test]
    fn without_tokens_nobody_listens_to_the_world() {
        let everywhere = |mcp: &mut McpConfig| mcp.listen = "0.0.0.0:7071".parse().unwrap();
        assert_eq!(refused(everywhere), "mcp.callers_file");
        let mut config = Config::default();
        everywhere(&mut config.mcp);
        config.mcp.callers_file = Some("callers.yaml".into());
        assert!(config.check().is_ok());
    }
}
