//! W3C trace context as data: what travels in headers and is stored with a task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A `traceparent`, and a `tracestate` if there is one (W3C Trace Context, version 00).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`
    pub traceparent: String,
    /// Vendor entries, verbatim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// Keeps a well-formed `traceparent`; anything else is treated as absent, as the standard asks.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, len: usize| {
            text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let some = |text: &str| text.bytes().any(|b| b != b'0');
        let well_formed = version == "00"
            && hex(trace, 32)
            && some(trace)
            && hex(span, 16)
            && some(span)
            && hex(flags, 2)
            && parts.next().is_none();
        well_formed.then(|| Self {
            traceparent: traceparent.to_owned(),
            tracestate: tracestate.filter(|s| !s.is_empty() && s.len() <= 512).map(str::to_owned),
        })
    }

    /// The 32 hexadecimal digits of the trace.
    pub fn trace_id(&self) -> &str {
        self.traceparent.get(3..35).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_contexts_are_kept() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            TraceContext::parse(good, None).unwrap().trace_id(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        for bad in
            ["", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "junk", &good[1..]]
        {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
    }
}
