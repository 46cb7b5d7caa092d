//! The file of tokens: a list in YAML, each with the SHA-256 of a token, the agent's name and the
//! agent's NATS credentials.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use troupe_domain::AgentId;

/// Tokens in one file.
const MAX_TOKENS: usize = 10_000;
/// Bytes of such a file.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of a token; a longer one is nobody's.
const MAX_TOKEN_BYTES: usize = 1_024;
const DIGEST_BYTES: usize = 32;

/// What is wrong with a file of tokens.
#[derive(Debug, thiserror::Error)]
pub enum BadTokens {
    /// It cannot be read.
    #[error("{file}: {why}")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        why: String,
    },
    /// An entry of it makes no sense.
    #[error("{file}: entry {entry}: {why}")]
    Entry {
        /// Which file.
        file: String,
        /// Which entry, from 1.
        entry: usize,
        /// Why.
        why: &'static str,
    },
}

/// One token, and whom it stands for.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// SHA-256 of the token, hexadecimal.
    pub sha256: String,
    /// The agent's name.
    pub agent: AgentId,
    /// Its NATS user; its name is used where there is a password and no user.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<String>,
    /// Or a file with NATS credentials.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

impl std::fmt::Debug for TokenEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenEntry({})", self.agent)
    }
}

/// Every token of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenList {
    entries: Vec<([u8; DIGEST_BYTES], TokenEntry)>,
}

impl TokenList {
    /// Reads a file; refuses it as a whole if anything is wrong with it.
    pub fn read(file: &Path) -> Result<Self, BadTokens> {
        let name = file.display().to_string();
        let unreadable = |why: String| BadTokens::Unreadable { file: name.clone(), why };
        let size = std::fs::metadata(file).map_err(|why| unreadable(why.to_string()))?.len();
        if size > MAX_FILE_BYTES {
            return Err(unreadable(format!("is larger than {MAX_FILE_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(file).map_err(|why| unreadable(why.to_string()))?;
        // What a reader of YAML quotes could be a part of a password.
        let listed: Vec<TokenEntry> = serde_norway::from_str(&text)
            .map_err(|why| unreadable(format!("is no list of tokens{}", place(&why))))?;
        if listed.len() > MAX_TOKENS {
            return Err(unreadable(format!("has more than {MAX_TOKENS} tokens")));
        }
        let mut seen = BTreeSet::new();
        let mut entries = Vec::with_capacity(listed.len());
        for (index, mut entry) in listed.into_iter().enumerate() {
            let bad = |why| BadTokens::Entry { file: name.clone(), entry: index + 1, why };
            let digest = digest_in(&entry.sha256).ok_or_else(|| bad("sha256 has no 64 digits"))?;
            if !seen.insert(digest) {
                return Err(bad("this token is there twice"));
            }
            if entry.password.is_some() && entry.credentials_file.is_some() {
                return Err(bad("has a password and a credentials file"));
            }
            if entry.user.is_none() && entry.password.is_some() {
                entry.user = Some(entry.agent.to_string());
            }
            entries.push((digest, entry));
        }
        Ok(Self { entries })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whose token this is. Looks at every entry, whichever fits, and at all of each.
    pub fn find(&self, token: &str) -> Option<&TokenEntry> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let digest = Sha256::digest(token.as_bytes());
        let mut found = None;
        for (known, entry) in &self.entries {
            if bool::from(known.as_slice().ct_eq(digest.as_slice())) {
                found = Some(entry);
            }
        }
        found
    }
}

fn place(why: &serde_norway::Error) -> String {
    why.location().map_or_else(String::new, |at| format!(" (line {})", at.line()))
}

/// The SHA-256 of a token, as the file has it.
pub fn sha256_of(token: &str) -> String {
    let mut text = String::with_capacity(DIGEST_BYTES * 2);
    for byte in Sha256::digest(token.as_bytes()) {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn digest_in(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    if text.len() != DIGEST_BYTES * 2 || !text.is_ascii() {
        return None;
    }
    let mut digest = [0; DIGEST_BYTES];
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TokenList, BadTokens> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.yaml");
        std::fs::write(&file, text).unwrap();
        TokenList::read(&file)
    }

    #[test]
    fn each_kind_of_nonsense_is_refused_and_no_secret_is_quoted() {
        let digest = sha256_of("t");
        let bad = [
            "sesame".to_owned(),
            "- {agent: a, sha256: sesame}".to_owned(),
            format!("- {{agent: a.b, sha256: {digest}}}"),
            format!("- {{agent: a, sha256: {digest}, sesame: 1}}"),
            format!("- {{agent: a, sha256: {digest}, password: sesame, credentials_file: /x}}"),
            format!("- {{agent: a, sha256: {digest}}}\n- {{agent: b, sha256: {digest}}}"),
        ];
        for text in bad {
            let why = read(&text).unwrap_err().to_string();
            assert!(!why.contains("sesame"), "{why}");
        }
    }

    #[test]
    fn a_password_goes_with_the_name() {
        let text = format!("- {{agent: ann, sha256: {}, password: p}}", sha256_of("t"));
        let list = read(&text).unwrap();
        let entry = list.find("t").unwrap();
        assert_eq!(entry.user.as_deref(), Some("ann"));
        assert_eq!(list.find("T"), None);
        assert_eq!(list.find(&"t".repeat(2_000)), None);
        assert!(!format!("{list:?}").contains("password"));
    }
}
