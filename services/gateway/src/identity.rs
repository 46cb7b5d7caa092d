//! Who calls: from a bearer token to a name and the credentials of that name.
//!
//! Invariants: a token is known by its SHA-256 only, and compared in constant time; nothing that a
//! client says beside its token has any influence on its name; without tokens there is one named
//! caller, on loopback alone.

mod tokens;

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use troupe_client::Settings;
use troupe_domain::AgentId;

pub use tokens::{BadTokens, TokenEntry, TokenList, sha256_of};

/// Whom a client speaks as.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) agent: AgentId,
    /// With this agent's own credentials.
    pub(crate) settings: Settings,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// No token came.
    #[error("a bearer token is needed: send `Authorization: Bearer <token>`")]
    NoToken,
    /// It is not known, or no longer.
    #[error("this bearer token is not known here")]
    UnknownToken,
}

/// How callers are known.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Everybody on loopback is this one.
    Loopback(Caller),
    /// By their tokens.
    Tokens(Tokens),
}

/// The tokens of a file, read again when it changes.
#[derive(Debug)]
pub(crate) struct Tokens {
    file: PathBuf,
    /// Where the fleet is; the credentials come from the entry.
    nats_url: String,
    list: RwLock<Arc<TokenList>>,
}

impl Identity {
    /// Reads the file of tokens.
    pub(crate) fn of_file(file: PathBuf, nats_url: String) -> Result<Self, BadTokens> {
        let list = RwLock::new(Arc::new(TokenList::read(&file)?));
        Ok(Self::Tokens(Tokens { file, nats_url, list }))
    }

    /// The caller whose `Authorization` header this is.
    pub(crate) fn caller(&self, authorization: Option<&str>) -> Result<Caller, Refused> {
        match self {
            Self::Loopback(caller) => Ok(caller.clone()),
            Self::Tokens(tokens) => {
                let token = authorization.and_then(bearer).ok_or(Refused::NoToken)?;
                let list = tokens.list.read().clone();
                let entry = list.find(token).ok_or(Refused::UnknownToken)?;
                Ok(Caller {
                    agent: entry.agent.clone(),
                    settings: Settings {
                        url: tokens.nats_url.clone(),
                        user: entry.user.clone(),
                        password: entry.password.clone(),
                        credentials_file: entry.credentials_file.clone(),
                    },
                })
            }
        }
    }

    /// Reads the file again. A file that cannot be read changes nothing, and is told.
    pub(crate) fn refresh(&self) {
        let Self::Tokens(tokens) = self else { return };
        match TokenList::read(&tokens.file) {
            Ok(list) => {
                let changed = **tokens.list.read() != list;
                if changed {
                    tracing::info!(tokens = list.len(), "the tokens have changed");
                    *tokens.list.write() = Arc::new(list);
                }
            }
            Err(why) => tracing::error!(%why, "the former tokens stay in force"),
        }
    }
}

/// The token in an `Authorization` header; the scheme's case does not matter.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_header_has_a_token() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_token_leads_to_its_agent_and_a_removed_one_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.yaml");
        let line = |agent: &str, token: &str| {
            format!("- {{agent: {agent}, sha256: {}}}\n", sha256_of(token))
        };
        std::fs::write(&file, line("ann", "one") + &line("bob", "two")).unwrap();
        let identity = Identity::of_file(file.clone(), "nats://x".to_owned()).unwrap();
        let agent = |header: Option<&str>| {
            identity.caller(header).map(|caller| caller.agent.as_str().to_owned())
        };
        assert_eq!(agent(Some("Bearer one")), Ok("ann".to_owned()));
        assert_eq!(agent(Some("Bearer two")), Ok("bob".to_owned()));
        assert_eq!(agent(Some("Bearer three")), Err(Refused::UnknownToken));
        assert_eq!(agent(None), Err(Refused::NoToken));
        std::fs::write(&file, line("bob", "two")).unwrap();
        identity.refresh();
        assert_eq!(agent(Some("Bearer one")), Err(Refused::UnknownToken));
        std::fs::write(&file, "not a list").unwrap();
        identity.refresh();
        assert_eq!(agent(Some("Bearer two")), Ok("bob".to_owned()), "the former ones stay");
    }
}
