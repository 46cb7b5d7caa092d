//! Evidence: what a result offers to whoever must believe it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::RequiredCapability;
use crate::fault::Fault;
use crate::limits::{MAX_EVIDENCE, MAX_TEXT_BYTES};
use crate::name::Role;

/// One piece of typed evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Evidence {
    /// A command that was run, and how it ended.
    Command {
        /// The command line.
        command: String,
        /// Its exit code.
        exit_code: i32,
        /// SHA-256 of its output, hexadecimal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_sha256: Option<String>,
    },
    /// A thing that was made, and its digest.
    Artifact {
        /// Where it is.
        uri: String,
        /// SHA-256 of its bytes, hexadecimal.
        sha256: String,
        /// Its size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
    },
    /// What a person or an agent saw. The weakest kind.
    Observation {
        /// The statement.
        statement: String,
    },
}

/// A kind of evidence that a task may demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// [`Evidence::Command`] with exit code 0.
    Command,
    /// [`Evidence::Artifact`].
    Artifact,
    /// [`Evidence::Observation`].
    Observation,
}

/// What must happen between a report and a completion.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// The verifier must have this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The verifier must have these capabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<RequiredCapability>,
    /// The report must carry at least one of each of these kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceKind>,
}

impl Evidence {
    fn satisfies(&self, kind: EvidenceKind) -> bool {
        matches!(
            (self, kind),
            (Self::Command { exit_code: 0, .. }, EvidenceKind::Command)
                | (Self::Artifact { .. }, EvidenceKind::Artifact)
                | (Self::Observation { .. }, EvidenceKind::Observation)
        )
    }

    fn check(&self) -> Result<(), &'static str> {
        let digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let text = |text: &str| !text.trim().is_empty() && text.len() <= MAX_TEXT_BYTES;
        match self {
            Self::Command { command, output_sha256, .. } => {
                if !text(command) {
                    return Err("command must not be empty or over-long");
                }
                if output_sha256.as_deref().is_some_and(|d| !digest(d)) {
                    return Err("output_sha256 must be 64 hexadecimal digits");
                }
            }
            Self::Artifact { uri, sha256, .. } => {
                if !text(uri) {
                    return Err("uri must not be empty or over-long");
                }
                if !digest(sha256) {
                    return Err("sha256 must be 64 hexadecimal digits");
                }
            }
            Self::Observation { statement } if !text(statement) => {
                return Err("statement must not be empty or over-long");
            }
            Self::Observation { .. } => {}
        }
        Ok(())
    }
}

/// Checks the form and the bounds of a list of evidence.
pub fn check_evidence(evidence: &[Evidence]) -> Result<(), Fault> {
    if evidence.len() > MAX_EVIDENCE {
        return Err(Fault::exhausted("MAX_EVIDENCE", MAX_EVIDENCE).with("field", "evidence"));
    }
    for (index, piece) in evidence.iter().enumerate() {
        piece.check().map_err(|why| Fault::invalid(&format!("evidence[{index}]"), why))?;
    }
    Ok(())
}

impl Verification {
    /// The first kind of evidence that is demanded and missing.
    pub fn missing(&self, evidence: &[Evidence]) -> Option<EvidenceKind> {
        self.evidence.iter().copied().find(|kind| !evidence.iter().any(|e| e.satisfies(*kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_no_evidence() {
        let wanted =
            Verification { evidence: vec![EvidenceKind::Command], ..Verification::default() };
        let ran = |exit_code| Evidence::Command {
            command: "make test".into(),
            exit_code,
            output_sha256: None,
        };
        assert_eq!(wanted.missing(&[ran(1)]), Some(EvidenceKind::Command));
        assert_eq!(wanted.missing(&[ran(0)]), None);
    }

    #[test]
    fn digests_must_be_digests() {
        let bad = Evidence::Artifact { uri: "a".into(), sha256: "beef".into(), size_bytes: None };
        assert!(check_evidence(&[bad]).unwrap_err().message.contains("evidence[0]: sha256"));
    }
}
