//! How a command ends: one clear line for a person, and an exit code for a script.

use std::process::ExitCode;

use troupe_domain::Fault;

/// Something was refused, failed or did not complete.
pub(crate) const FAULT: u8 = 1;
/// The command line itself is wrong.
pub(crate) const USAGE: u8 = 2;

/// The command line is wrong in a way that the parser cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl Usage {
    pub(crate) fn error(message: impl Into<String>) -> anyhow::Error {
        Self(message.into()).into()
    }
}

/// Writes the error to standard error, and gives the exit code.
pub(crate) fn explain(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", line(error));
    ExitCode::from(if error.is::<Usage>() { USAGE } else { FAULT })
}

/// The error in one line; a fault says its code and, if it names one, the field.
fn line(error: &anyhow::Error) -> String {
    let Some(fault) = error.downcast_ref::<Fault>() else {
        return format!("{error:#}");
    };
    let context = error.to_string();
    let text = fault.to_string();
    let place = if context == text { String::new() } else { format!("{context}: ") };
    match fault.details.get("field").and_then(|field| field.as_str()) {
        Some(field) if !fault.message.contains(field) => format!("{place}{text} (field {field})"),
        _ => format!("{place}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use troupe_domain::Code;

    #[test]
    fn a_fault_says_its_code_and_its_field_once() {
        let fault = Fault::exhausted("MAX_TITLE_CHARS", 256).with("field", "title");
        let text = line(&fault.clone().into());
        assert_eq!(text, "resource_exhausted: the limit MAX_TITLE_CHARS is 256 (field title)");
        let text = line(&Fault::invalid("title", "must not be empty").into());
        assert_eq!(text, "invalid_argument: title: must not be empty");
        let placed = Err::<(), _>(Fault::new(Code::NotFound, "no")).context("graph.yaml");
        assert_eq!(line(&placed.unwrap_err()), "graph.yaml: not_found: no");
    }
}
