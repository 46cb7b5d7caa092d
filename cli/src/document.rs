//! What people write for a command: YAML or JSON from a file or standard input, within bounds.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use troupe_domain::Json;
use troupe_domain::limits::MAX_MESSAGE_BYTES;

use crate::exit::Usage;

/// The name that means standard input.
const STDIN: &str = "-";

/// Reads a file, or standard input for `-`.
pub(crate) fn text(path: &Path) -> Result<String> {
    if path.as_os_str() == STDIN {
        return stdin();
    }
    let text = std::fs::read_to_string(path);
    Ok(text.map_err(|why| Usage(format!("{}: {why}", path.display())))?)
}

fn stdin() -> Result<String> {
    let mut text = String::new();
    let most = MAX_MESSAGE_BYTES as u64 + 1;
    std::io::stdin().take(most).read_to_string(&mut text).context("standard input")?;
    Ok(text)
}

/// Reads YAML or JSON.
pub(crate) fn parse(text: &str) -> Result<Value> {
    if text.len() > MAX_MESSAGE_BYTES {
        return Err(Usage::error(format!("is larger than {MAX_MESSAGE_BYTES} bytes")));
    }
    // JSON is YAML too, but its own parser gives the better message.
    let value = if text.trim_start().starts_with(['{', '[']) {
        serde_json::from_str(text).map_err(|why| Usage(format!("is not JSON: {why}")))?
    } else {
        serde_norway::from_str(text).map_err(|why| Usage(format!("is not YAML: {why}")))?
    };
    Ok(value)
}

/// A list of entries: alone in its file, or under `name`.
pub(crate) fn list(value: Value, name: &str) -> Result<Vec<Value>> {
    let list = match value {
        Value::Array(list) => Some(list),
        Value::Object(mut fields) => match fields.remove(name) {
            Some(Value::Array(list)) if fields.is_empty() => Some(list),
            _ => None,
        },
        _ => None,
    };
    list.ok_or_else(|| Usage::error(format!("must be a list, or {{{name}: [...]}}")))
}

/// What is said: JSON if it parses, a text otherwise; `-` reads it from standard input.
pub(crate) fn body(given: &str) -> Result<Json> {
    let text = if given == STDIN { stdin()? } else { given.to_owned() };
    let text = text.trim_end_matches('\n');
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Json::text(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_stands_alone_or_under_its_name_and_nowhere_else() {
        let read = |text: &str| list(parse(text).unwrap(), "routes").map(|list| list.len()).ok();
        assert_eq!(read("- {id: a}\n- {id: b}"), Some(2));
        assert_eq!(read("routes: [{id: a}]"), Some(1));
        assert_eq!(read(r#"{"routes": [], "more": 1}"#), None);
        assert_eq!(read("3"), None);
    }

    #[test]
    fn what_is_said_is_json_if_it_parses() {
        assert_eq!(body("{\"n\": 1.50}").unwrap().get(), "{\"n\": 1.50}");
        assert_eq!(body("hello").unwrap().get(), "\"hello\"");
    }
}
