//! From a program's end to what is reported of its task. Nothing here does anything.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::Deserialize;
use troupe_domain::Json;
use troupe_domain::evidence::{Evidence, EvidenceKind};
use troupe_domain::limits::MAX_RESULT_BYTES;

use super::program::Ended;

/// How a program's end is read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The command line, as evidence.
    pub(crate) command: String,
    /// Exit codes after which trying again does not help.
    pub(crate) no_retry_exit_codes: Vec<i32>,
    /// Output is `{"result": …, "evidence": […]}`.
    pub(crate) with_evidence: bool,
}

/// What is reported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Completed { result: Option<Json>, evidence: Vec<Evidence> },
    Failed { error: String, retryable: bool },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultWithEvidence {
    #[serde(default)]
    result: Option<Json>,
    #[serde(default)]
    evidence: Vec<Evidence>,
}

impl Reading {
    /// `asked` are the kinds of evidence that the task demands.
    pub(crate) fn outcome(&self, ended: &Ended, asked: &[EvidenceKind]) -> Outcome {
        if !ended.status.success() {
            return self.failure(ended);
        }
        if ended.output.is_too_large() {
            return Outcome::Failed {
                error: format!(
                    "the result has {} bytes; the limit MAX_RESULT_BYTES is {MAX_RESULT_BYTES}",
                    ended.output.total_bytes
                ),
                retryable: false,
            };
        }
        match self.result(&ended.output.bytes) {
            Ok((result, mut evidence)) => {
                if asked.contains(&EvidenceKind::Command) {
                    evidence.push(Evidence::Command {
                        command: self.command.clone(),
                        exit_code: ended.status.code().unwrap_or_default(),
                        output_sha256: Some(ended.output.sha256.clone()),
                    });
                }
                Outcome::Completed { result, evidence }
            }
            Err(error) => Outcome::Failed { error, retryable: true },
        }
    }

    fn failure(&self, ended: &Ended) -> Outcome {
        let how = describe(ended.status);
        let error = match ended.errors.as_str() {
            "" => how,
            errors => format!("{how}: {errors}"),
        };
        let declared = ended.status.code().is_some_and(|c| self.no_retry_exit_codes.contains(&c));
        Outcome::Failed { error, retryable: !declared }
    }

    fn result(&self, output: &[u8]) -> Result<(Option<Json>, Vec<Evidence>), String> {
        let text = String::from_utf8_lossy(output);
        if self.with_evidence {
            let both: ResultWithEvidence = serde_json::from_str(&text).map_err(|why| {
                format!("the output is not {{\"result\", \"evidence\"}}, as --evidence says: {why}")
            })?;
            return Ok((both.result, both.evidence));
        }
        let text = text.trim();
        if text.is_empty() {
            return Ok((None, Vec::new()));
        }
        let result = serde_json::from_str(text).unwrap_or_else(|_| Json::text(text));
        Ok((Some(result), Vec::new()))
    }
}

/// `exit code 3` or `killed by signal 9`.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::capture::Captured;

    fn reading(with_evidence: bool) -> Reading {
        Reading { command: "./x".to_owned(), no_retry_exit_codes: vec![65], with_evidence }
    }

    /// `wait_status` as the system gives it: the exit code in the second byte, a signal in the first.
    fn ended(wait_status: i32, output: &str, errors: &str) -> Ended {
        Ended {
            status: ExitStatus::from_raw(wait_status),
            output: Captured {
                bytes: output.as_bytes().to_vec(),
                total_bytes: output.len() as u64,
                sha256: "0".repeat(64),
            },
            errors: errors.to_owned(),
        }
    }

    fn completed(outcome: Outcome) -> (Option<String>, usize) {
        match outcome {
            Outcome::Completed { result, evidence } => {
                (result.map(|json| json.get().to_owned()), evidence.len())
            }
            Outcome::Failed { .. } => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn output_is_json_if_it_parses_and_text_otherwise() {
        let read = |text| completed(reading(false).outcome(&ended(0, text, ""), &[])).0;
        assert_eq!(read("{\"n\": 1.50}\n").unwrap(), "{\"n\": 1.50}");
        assert_eq!(read("all well\n").unwrap(), "\"all well\"");
        assert_eq!(read(" \n"), None);
    }

    #[test]
    fn exit_codes_decide() {
        let fail = |raw| reading(false).outcome(&ended(raw, "", "boom"), &[]);
        let failed = |error: &str, retryable| Outcome::Failed { error: error.into(), retryable };
        assert_eq!(fail(1 << 8), failed("exit code 1: boom", true));
        assert_eq!(fail(65 << 8), failed("exit code 65: boom", false));
        assert_eq!(fail(9), failed("killed by signal 9: boom", true));
    }

    #[test]
    fn a_task_that_asks_for_a_command_gets_the_command() {
        let outcome = reading(false).outcome(&ended(0, "1", ""), &[EvidenceKind::Command]);
        let Outcome::Completed { evidence, .. } = outcome else { panic!("{outcome:?}") };
        assert!(matches!(&evidence[..], [Evidence::Command { exit_code: 0, .. }]));
    }

    #[test]
    fn evidence_is_read_only_when_it_is_announced() {
        let text = r#"{"result":7,"evidence":[{"observation":{"statement":"seen"}}]}"#;
        assert_eq!(
            completed(reading(true).outcome(&ended(0, text, ""), &[])),
            (Some("7".to_owned()), 1)
        );
        let plain = completed(reading(false).outcome(&ended(0, text, ""), &[]));
        assert_eq!(plain, (Some(text.to_owned()), 0));
        let wrong = reading(true).outcome(&ended(0, "7", ""), &[]);
        assert!(matches!(wrong, Outcome::Failed { .. }), "{wrong:?}");
    }

    #[test]
    fn a_result_over_the_limit_is_a_clear_failure() {
        let mut large = ended(0, "", "");
        large.output.total_bytes = MAX_RESULT_BYTES as u64 + 1;
        let outcome = reading(false).outcome(&large, &[]);
        let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
        assert!(error.contains("MAX_RESULT_BYTES"), "{error}");
    }
}
