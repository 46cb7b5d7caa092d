//! The sections that every service has. A service's configuration holds them in a field named
//! `common`; their keys stay at the top (`nats.url`), whatever the service adds beside them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::value_types::{Address, LogFilter, OtlpEndpoint, Secret};

const DEFAULT_DRAIN_TIMEOUT_MS: u64 = 20_000;

/// What every service can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// The NATS servers.
    pub nats: Nats,
    /// The hot tier.
    pub redis: Redis,
    /// The admin server.
    pub admin: Admin,
    /// The log.
    pub log: Log,
    /// Traces and metrics over OTLP.
    pub otlp: Otlp,
    /// How long a drain may take before what is left is aborted, in milliseconds.
    pub drain_timeout_ms: u64,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            nats: Nats::default(),
            redis: Redis::default(),
            admin: Admin::default(),
            log: Log::default(),
            otlp: Otlp::default(),
            drain_timeout_ms: DEFAULT_DRAIN_TIMEOUT_MS,
        }
    }
}

impl AsRef<Common> for Common {
    fn as_ref(&self) -> &Common {
        self
    }
}

/// How to reach NATS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// One server or several, separated by commas.
    pub url: Address,
    /// A credentials file.
    pub credentials_file: Option<PathBuf>,
    /// A user's name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The connection's name as the server shows it; empty means the service's name.
    pub name: String,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: Address::new("nats://127.0.0.1:4222").expect("a constant that is an address"),
            credentials_file: None,
            user: None,
            password: None,
            name: String::new(),
        }
    }
}

/// How to reach Redis or Valkey.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://host:6379`; none runs without a hot tier.
    pub url: Option<Address>,
}

/// The admin server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into() }
    }
}

/// The log, written to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// One JSON object a line, or lines for people.
    pub format: LogFormat,
    /// A level or directives.
    pub level: LogFilter,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: LogFilter::new("info").expect("a constant that is a level"),
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Pretty,
}

impl<'de> Deserialize<'de> for LogFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err(D::Error::custom("expected json or pretty")),
        }
    }
}

/// Traces and metrics over OTLP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The collector; none exports nothing, and spans then cost nothing.
    pub endpoint: Option<OtlpEndpoint>,
}
