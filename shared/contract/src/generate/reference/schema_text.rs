//! A schema in words: the type of a field, a table of fields, a list of values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::schemas::Bundle;

const DEFINITIONS: &str = "#/$defs/";

/// A type's section: what it is, and its fields or values.
pub(super) struct Section {
    pub(super) text: String,
    pub(super) table: Option<(&'static [&'static str], Vec<Vec<String>>)>,
}

/// The name that a schema refers to.
pub(super) fn target(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(DEFINITIONS)
}

/// What the declaration says, on one line.
pub(super) fn description(schema: &Value) -> String {
    let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The schema itself, where `schema` refers to one.
pub(super) fn flattened(schema: &Value, bundle: &Bundle) -> Value {
    let definition = target(schema).and_then(|name| bundle.definitions.get(name));
    definition.unwrap_or(schema).clone()
}

/// One row a field, the required ones first; `None` for what has no fields.
pub(super) fn fields_table(schema: &Value) -> Option<Vec<Vec<String>>> {
    let properties = schema.get("properties")?.as_object()?;
    let required: BTreeSet<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
    names.sort_by_key(|name| (!required.contains(name), *name));
    let rows = names.into_iter().map(|name| {
        let field = &properties[name];
        let need = if required.contains(name) { "yes" } else { "" };
        vec![format!("`{name}`"), type_of(field), need.to_owned(), meaning(field)]
    });
    Some(rows.collect())
}

fn meaning(field: &Value) -> String {
    let mut said = description(field);
    match field.get("default") {
        None | Some(Value::Null) => {}
        Some(default) => said = format!("{said} Default `{default}`."),
    }
    said.trim_start().to_owned()
}

/// The type of a field, with links to what is defined on the page.
pub(super) fn type_of(schema: &Value) -> String {
    if let Some(name) = target(schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(constant) = schema.get("const") {
        return format!("`{constant}`");
    }
    for (key, joint) in [("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")] {
        if let Some(choices) = schema.get(key).and_then(Value::as_array) {
            return choices.iter().map(type_of).collect::<Vec<_>>().join(joint);
        }
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ");
    }
    match schema.get("type") {
        Some(Value::String(one)) => plain(one, schema),
        Some(Value::Array(several)) => {
            let words = several.iter().filter_map(Value::as_str).map(|one| plain(one, schema));
            words.collect::<Vec<_>>().join(" or ")
        }
        _ => "any JSON".to_owned(),
    }
}

fn plain(kind: &str, schema: &Value) -> String {
    match kind {
        "array" => schema
            .get("items")
            .map_or_else(|| "list".to_owned(), |items| format!("list of {}", type_of(items))),
        "object" => map_or_object(schema),
        "string" if schema["format"] == "date-time" => "RFC 3339 time".to_owned(),
        other => other.to_owned(),
    }
}

fn map_or_object(schema: &Value) -> String {
    let patterned = schema.get("patternProperties").and_then(Value::as_object);
    let values = patterned
        .and_then(|patterns| patterns.values().next())
        .or_else(|| schema.get("additionalProperties").filter(|values| values.is_object()));
    if let Some(values) = values {
        return format!("map of {}", type_of(values));
    }
    match schema.get("properties").and_then(Value::as_object) {
        Some(properties) if properties.len() == 1 => {
            let fields: Vec<_> = properties
                .iter()
                .map(|(name, field)| format!("`{name}`: {}", nested(field)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        _ => "object".to_owned(),
    }
}

/// A variant's own fields, by name; they have no section of their own.
fn nested(schema: &Value) -> String {
    match schema.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let mut names: Vec<_> =
                properties.iter().map(|(name, f)| format!("`{name}`: {}", type_of(f))).collect();
            names.sort();
            format!("{{{}}}", names.join(", "))
        }
        None => type_of(schema),
    }
}

/// A definition's section.
pub(super) fn type_section(schema: &Value) -> Section {
    let text = description(schema);
    if let Some(rows) = fields_table(schema) {
        return Section { text, table: Some((&["field", "type", "required", "meaning"], rows)) };
    }
    let choices = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    if let Some(choices) = choices {
        let rows = choices.iter().flat_map(choice_rows).collect();
        return Section { text, table: Some((&["form", "meaning"], rows)) };
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        return Section { text: format!("{text} One of {}.", values.join(", ")), table: None };
    }
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let kind = type_of(schema);
    let kind = pattern.map_or(kind.clone(), |pattern| format!("{kind}, `{pattern}`"));
    Section { text: format!("{text} ({kind})").trim_start().to_owned(), table: None }
}

fn choice_rows(choice: &Value) -> Vec<Vec<String>> {
    let meaning = description(choice);
    match choice.get("enum").and_then(Value::as_array) {
        Some(values) => {
            values.iter().map(|value| vec![format!("`{value}`"), meaning.clone()]).collect()
        }
        None => vec![vec![type_of(choice), meaning]],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_read_as_words() {
        assert_eq!(type_of(&json!({"type": ["integer", "null"]})), "integer or null");
        assert_eq!(type_of(&json!({"$ref": "#/$defs/Task"})), "[Task](#task)");
        let list = json!({"type": "array", "items": {"$ref": "#/$defs/Name"}});
        assert_eq!(type_of(&list), "list of [Name](#name)");
        assert_eq!(type_of(&json!({"description": "Any JSON value."})), "any JSON");
        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        assert_eq!(type_of(&map), "map of integer");
    }

    #[test]
    fn required_fields_come_first() {
        let schema = json!({
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "required": ["b"],
        });
        let names: Vec<_> =
            fields_table(&schema).unwrap().into_iter().map(|r| r[0].clone()).collect();
        assert_eq!(names, ["`b`", "`a`"]);
    }
}
