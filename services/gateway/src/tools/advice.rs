//! Faults as a model reads them: what happened, and what to do about it.

use serde_json::Value;
use troupe_domain::{Code, Fault};

/// What to do about a fault with this code.
const fn advice(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "Correct the named argument and call the tool again.",
        Code::NotFound => {
            "Check the id. List or search for the right one; do not repeat the call unchanged."
        }
        Code::AlreadyExists => "Use what is there already, or choose another id.",
        Code::Conflict => "Somebody else changed it first. Read it again, then decide anew.",
        Code::StaleEpoch => {
            "You no longer hold this task: stop working on it and discard what you would have \
             written. Take another with task_next."
        }
        Code::FailedPrecondition => {
            "Its state does not allow this now. Read it to see why before you try anything else."
        }
        Code::PermissionDenied => {
            "You may only act under your own name. Do not retry; tell the person you work for."
        }
        Code::ResourceExhausted => "Ask for less, or send less: the limit is named.",
        Code::DeadlineExceeded => {
            "It may or may not have happened. Read the current state first, and repeat the call \
             only if it did not."
        }
        Code::Unavailable => "The service is away for the moment. Try again in a few seconds.",
        Code::Internal => "A defect of the service. Do not repeat the call more than once.",
    }
}

/// The whole of it, as text.
pub(crate) fn told(fault: &Fault) -> String {
    let mut text = format!("{}: {}\n{}", fault.code.as_str(), fault.message, advice(fault.code));
    if !fault.details.is_empty() {
        text.push_str("\nDetails: ");
        text.push_str(&Value::Object(fault.details.clone()).to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_says_what_to_do() {
        for code in Code::ALL {
            let text = told(&Fault::new(code, "it is so").with("field", "epoch"));
            assert!(text.starts_with(code.as_str()), "{text}");
            assert!(text.contains("it is so") && text.contains(r#"{"field":"epoch"}"#), "{text}");
            assert!(text.lines().count() == 3, "{text}");
        }
    }
}
