//! JSON text with sorted keys.
//!
//! Whether `serde_json` keeps the order of insertion depends on what other crates of the build ask
//! for; committed documents must not.

use std::collections::BTreeMap;

use serde_json::Value;

/// Pretty-printed, keys sorted, with a final newline.
pub(super) fn text(value: &Value) -> String {
    format!("{:#}\n", sorted(value))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, &Value> = map.iter().collect();
            ordered.into_iter().map(|(key, inner)| (key.clone(), sorted(inner))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth_and_lists_keep_their_order() {
        let value = json!({"b": [{"z": 1, "a": 2}, 0], "a": null});
        assert_eq!(
            text(&value).split_whitespace().collect::<String>(),
            r#"{"a":null,"b":[{"a":2,"z":1},0]}"#
        );
    }
}
