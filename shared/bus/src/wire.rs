//! Bytes on the wire: JSON bodies, and faults as ADR-32 headers with a JSON body.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use troupe_contract::headers;
use troupe_domain::limits::MAX_MESSAGE_BYTES;
use troupe_domain::{Code, Fault};

/// Reads a request's body. The fault names the field that is wrong.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    // An empty body is an empty object: `nats req troupe.v1.work.stats.me ''` is what people type.
    let body = if body.is_empty() { b"{}" } else { body };
    match serde_json::from_slice(body) {
        // A list would pass for an object whose fields come in order: it is a mistake.
        Ok(_) if !body.trim_ascii_start().starts_with(b"{") => {
            Err(Fault::invalid("body", "must be a JSON object"))
        }
        Ok(value) => Ok(value),
        Err(first) => Err(explain::<T>(body, &first)),
    }
}

/// Reads it again, slowly, to learn where it is wrong.
fn explain<T: DeserializeOwned>(body: &[u8], first: &serde_json::Error) -> Fault {
    // Asked of the body itself: a number where a name is wanted also counts as a syntax error.
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() {
        return Fault::invalid("body", format!("is not JSON: {first}"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => {
            let path = error.path().to_string();
            let path = if path.is_empty() || path == "." { "body".to_owned() } else { path };
            Fault::invalid(&path, error.inner())
        }
        Ok(_) => Fault::invalid("body", first),
    }
}

/// What most bodies fit in.
const USUAL_BODY_BYTES: usize = 1_024;

/// Writes a body.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes, Fault> {
    let mut body = Vec::with_capacity(USUAL_BODY_BYTES);
    serde_json::to_writer(&mut body, value).map_err(|why| unwritable(&why))?;
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(Fault::exhausted("MAX_MESSAGE_BYTES", MAX_MESSAGE_BYTES));
    }
    Ok(body.into())
}

/// The fault of a value that is no JSON: a defect.
pub(crate) fn unwritable(why: &serde_json::Error) -> Fault {
    Fault::new(Code::Internal, format!("cannot be written: {why}"))
}

/// The headers and body of a fault.
pub(crate) fn encode_fault(fault: &Fault) -> (HeaderMap, Bytes) {
    let mut map = HeaderMap::new();
    let message: String =
        fault.message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(512).collect();
    map.insert(headers::SERVICE_ERROR, format!("{}: {message}", fault.code.as_str()).as_str());
    map.insert(headers::SERVICE_ERROR_CODE, fault.code.http().to_string().as_str());
    (map, serde_json::to_vec(fault).unwrap_or_default().into())
}

/// The fault that an answer carries, if it is one.
pub(crate) fn fault_of(message: &async_nats::Message) -> Option<Fault> {
    let map = message.headers.as_ref()?;
    let code = map.get(headers::SERVICE_ERROR_CODE)?;
    Some(serde_json::from_slice(&message.payload).unwrap_or_else(|_| {
        let text = map.get(headers::SERVICE_ERROR).map_or("", |value| value.as_str());
        Fault::new(Code::Internal, format!("{code}: {text}"))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_contract::work::CompleteRequest;

    #[test]
    fn a_wrong_field_is_named() {
        let fault = decode::<CompleteRequest>(br#"{"task_id":"a.b","epoch":1}"#).unwrap_err();
        assert_eq!(
            (fault.code, &fault.details["field"]),
            (Code::InvalidArgument, &"task_id".into())
        );
        let fault = decode::<CompleteRequest>(br#"{"task_id":"a","epoch":-1}"#).unwrap_err();
        assert_eq!(fault.details["field"], "epoch");
        let fault = decode::<CompleteRequest>(b"{").unwrap_err();
        assert_eq!(fault.details["field"], "body");
        let fault =
            decode::<CompleteRequest>(br#"{"task_id":"a","epoch":1,"evidence":[{"command":{"command":"x","exit_code":"y"}}]}"#)
                .unwrap_err();
        assert!(fault.message.contains("evidence[0]"), "{}", fault.message);
    }

    #[test]
    fn any_json_is_carried_verbatim_past_the_slow_path() {
        let body = br#"{"task_id":"a","epoch":1,"result":{"deep":[1,2.50,"x"]}}"#;
        let request = decode::<CompleteRequest>(body).unwrap();
        assert_eq!(request.result.unwrap().get(), r#"{"deep":[1,2.50,"x"]}"#);
    }
}
