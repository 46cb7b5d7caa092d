//! The configuration in effect, as a person may see it.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::layer::{COMMON, without_secrets};

/// `config` as indented JSON with its keys where a file would have them, and without secrets.
pub fn printable<T: Serialize>(config: &T) -> Result<String, serde_json::Error> {
    let mut tree = serde_json::to_value(config)?;
    if let Json::Object(fields) = &mut tree
        && let Some(Json::Object(common)) = fields.remove(COMMON)
    {
        for (name, value) in common {
            fields.entry(name).or_insert(value);
        }
    }
    let mut path = String::new();
    redact(&mut path, &mut tree);
    serde_json::to_string_pretty(&tree)
}

fn redact(path: &mut String, tree: &mut Json) {
    match tree {
        Json::Object(fields) => redact_fields(path, fields),
        Json::Array(items) => items.iter_mut().for_each(|item| redact(path, item)),
        Json::String(text) => *text = without_secrets(path, text),
        _ => {}
    }
}

fn redact_fields(path: &mut String, fields: &mut Map<String, Json>) {
    for (name, value) in fields {
        let length = path.len();
        path.push('.');
        path.push_str(name);
        redact(path, value);
        path.truncate(length);
    }
}
