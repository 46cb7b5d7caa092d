//! Value types that check themselves when a configuration is read, and print without secrets.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tracing_subscriber::EnvFilter;

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// A secret. Prints and serialises as `[redacted]`; only [`Secret::expose`] gives the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for whoever must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        if value == REDACTED {
            return Err(D::Error::custom("expected the secret itself, not a printed one"));
        }
        Ok(Self(value))
    }
}

/// A server's address, such as `nats://host:4222`, several separated by commas. Whatever stands
/// before `@` is a secret and is not printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Takes an address without control characters and blanks.
    pub fn new(value: impl Into<String>) -> Result<Self, &'static str> {
        let value = value.into();
        if value.is_empty() || value.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err("expected an address such as nats://127.0.0.1:4222, without blanks");
        }
        Ok(Self(value))
    }

    /// The address as given, with its secrets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_userinfo(&self.0))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// `text` with what stands between `://` and `@` taken out, in each of its comma-separated parts.
pub(crate) fn without_userinfo(text: &str) -> String {
    let parts = text.split(',').map(|part| {
        let start = part.find("://").map_or(0, |at| at + 3);
        let end = part[start..].find(['/', '?', '#']).map_or(part.len(), |at| start + at);
        match part[start..end].rfind('@') {
            Some(at) => format!("{}{REDACTED}{}", &part[..start], &part[start + at..]),
            None => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Where OTLP goes: `http://host:port`, gRPC without TLS (a collector stands beside the service).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OtlpEndpoint(String);

impl OtlpEndpoint {
    /// Takes an `http://` address.
    pub fn new(value: impl Into<String>) -> Result<Self, &'static str> {
        let value = value.into();
        let host = value.strip_prefix("http://").unwrap_or_default();
        if host.is_empty() || host.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err("expected http://HOST:PORT of a collector (gRPC, no TLS)");
        }
        Ok(Self(value))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for OtlpEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Which log lines are written: a level, or directives such as `info,troupe_bus=debug`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LogFilter(String);

impl LogFilter {
    /// Takes directives that tracing understands.
    pub fn new(value: impl Into<String>) -> Result<Self, String> {
        let value = value.into();
        let all_levels = value.split(',').map(str::trim).filter(|part| !part.contains(['=', '[']));
        for part in all_levels {
            // A bare word that is no level would be taken for a target, and silence all else.
            if part.parse::<tracing_subscriber::filter::LevelFilter>().is_err() {
                return Err(format!(
                    "expected off, error, warn, info, debug, trace or TARGET=LEVEL, not {part:?}"
                ));
            }
        }
        EnvFilter::try_new(&value).map_err(|why| format!("expected log directives: {why}"))?;
        Ok(Self(value))
    }

    /// The directives.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&secret).unwrap().contains("hunter2"));
        let address = Address::new("nats://me:hunter2@a:1,nats://you:p@ss@b:2").unwrap();
        let shown = format!("{address:?}");
        assert_eq!(shown, "nats://[redacted]@a:1,nats://[redacted]@b:2");
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        assert!(LogFilter::new("loud").is_err());
        assert!(LogFilter::new("info,troupe_bus=debug").is_ok());
        assert!(LogFilter::new("troupe_bus=loud").is_err());
    }

    #[test]
    fn otlp_over_tls_is_refused() {
        assert!(OtlpEndpoint::new("https://collector:4317").is_err());
        assert!(OtlpEndpoint::new("http://collector:4317").is_ok());
    }
}
