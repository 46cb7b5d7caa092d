//! JSON Schemas for models: made from the contract's types, flat, and without what only confuses.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Face;

/// Formats that say how a number is kept here; a reader of JSON cannot use them.
const FORMATS_OF_NUMBERS: [&str; 8] =
    ["uint", "uint8", "uint16", "uint32", "uint64", "int64", "double", "float"];

/// The schema of a tool's arguments, as its face shows them.
pub(super) fn of_arguments<T: JsonSchema>(face: &Face) -> Map<String, Value> {
    let mut schema = flat::<T>(SchemaSettings::draft2020_12().for_deserialize());
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for field in face.hidden {
            properties.remove(*field);
        }
        for (field, note) in face.notes {
            if let Some(Value::Object(property)) = properties.get_mut(*field) {
                property.insert("description".to_owned(), json!(note));
            }
        }
    }
    schema
}

/// The schema of what a tool gives back.
pub(super) fn of_result<T: JsonSchema>() -> Map<String, Value> {
    // As it is written: what may be left out is not required.
    let mut schema = flat::<T>(SchemaSettings::draft2020_12().for_serialize());
    // A later version may say more.
    schema.remove("additionalProperties");
    schema
}

/// A schema without references and without what the wire alone needs.
fn flat<T: JsonSchema>(settings: SchemaSettings) -> Map<String, Value> {
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let Value::Object(mut schema) = schema.to_value() else { return Map::new() };
    for name in ["$schema", "title", "description"] {
        schema.remove(name);
    }
    schema.insert("type".to_owned(), json!("object"));
    schema.entry("properties").or_insert_with(|| json!({}));
    let mut tree = Value::Object(schema);
    clean(&mut tree);
    match tree {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn clean(tree: &mut Value) {
    match tree {
        Value::Object(map) => {
            let meaningless = map
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|format| FORMATS_OF_NUMBERS.contains(&format));
            if meaningless {
                map.remove("format");
            }
            map.values_mut().for_each(clean);
        }
        Value::Array(list) => list.iter_mut().for_each(clean),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(JsonSchema, serde::Serialize)]
    #[allow(dead_code)]
    struct Shown {
        always: u32,
        #[serde(skip_serializing_if = "String::is_empty")]
        sometimes: String,
    }

    #[test]
    fn what_may_be_left_out_of_a_result_is_not_required() {
        let schema = of_result::<Shown>();
        assert_eq!(schema["required"], json!(["always"]));
        assert!(schema["properties"]["always"].get("format").is_none());
    }
}
