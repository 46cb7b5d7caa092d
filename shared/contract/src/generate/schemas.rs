//! The JSON Schemas of everything that travels.
//!
//! A request is described as it is read and a reply as it is written: a field with a default is
//! optional in the one and present in the other. Where a type looks different on the two ways, the
//! way in is called `<Type>Input`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use troupe_domain::Fault;

use super::{operation_address, sorted_json};
use crate::catalogue;
use crate::endpoint::EndpointEntry;
use crate::event::{self, EventEntry};

const INPUT_SUFFIX: &str = "Input";

/// All schemas, with the definitions of both ways brought together.
pub(super) struct Bundle {
    /// By name.
    pub(super) definitions: BTreeMap<String, Value>,
    /// In the order of the catalogue.
    pub(super) endpoints: Vec<EndpointSchemas>,
    /// The data of each entity's events.
    pub(super) events: Vec<EventSchemas>,
    /// The body of a refusal.
    pub(super) fault: Value,
}

/// What one operation takes and gives; each a reference or a schema.
pub(super) struct EndpointSchemas {
    pub(super) entry: &'static EndpointEntry,
    pub(super) request: Value,
    pub(super) reply: Value,
}

/// The events of one entity, with the schema of their data.
pub(super) struct EventSchemas {
    pub(super) entry: EventEntry,
    pub(super) data: Value,
}

impl Bundle {
    /// In the words of JSON Schema 2020-12.
    pub(super) fn draft_2020_12() -> Self {
        Self::collect(SchemaSettings::draft2020_12)
    }

    /// In the words of draft 7, which AsyncAPI's own schema language extends.
    pub(super) fn for_asyncapi() -> Self {
        Self::collect(|| {
            SchemaSettings::draft07().with(|s| s.definitions_path = "/components/schemas".into())
        })
    }

    fn collect(settings: impl Fn() -> SchemaSettings) -> Self {
        let path = format!("#{}", settings().definitions_path.trim_end_matches('/'));
        let mut reads = settings().for_deserialize().into_generator();
        let mut writes = settings().for_serialize().into_generator();
        let mut endpoints: Vec<_> = catalogue::endpoints()
            .map(|entry| EndpointSchemas {
                entry,
                request: Value::from((entry.request)(&mut reads)),
                reply: Value::from((entry.reply)(&mut writes)),
            })
            .collect();
        let events = event::entries().into_iter();
        let events = events
            .map(|entry| EventSchemas { data: Value::from((entry.data)(&mut writes)), entry })
            .collect();
        let fault = subschema::<Fault>(&mut writes);

        let mut inputs: BTreeMap<_, _> = reads.take_definitions(true).into_iter().collect();
        let mut definitions: BTreeMap<_, _> = writes.take_definitions(true).into_iter().collect();
        let different = different(&inputs, &definitions, &path);
        for value in inputs.values_mut() {
            rename(value, &path, &different);
        }
        for endpoint in &mut endpoints {
            rename(&mut endpoint.request, &path, &different);
        }
        let both = inputs.values_mut().chain(definitions.values_mut());
        both.for_each(without_source_links);
        for (name, value) in inputs {
            let name = if different.contains(&name) { input_name(&name) } else { name };
            definitions.insert(name, value);
        }
        Self { definitions, endpoints, events, fault }
    }
}

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    Value::from(generator.subschema_for::<T>())
}

fn input_name(name: &str) -> String {
    format!("{name}{INPUT_SUFFIX}")
}

/// Links of the source's documentation lead nowhere in a document: their last word stays.
fn without_source_links(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`");
                for path in ["troupe_domain::", "crate::", "limits::"] {
                    *text = text.replace(&format!("`{path}"), "`");
                }
            }
            map.values_mut().for_each(without_source_links);
        }
        Value::Array(items) => items.iter_mut().for_each(without_source_links),
        _ => {}
    }
}

/// The names that mean different things on the two ways, directly or through what they refer to.
fn different(
    inputs: &BTreeMap<String, Value>,
    outputs: &BTreeMap<String, Value>,
    path: &str,
) -> BTreeSet<String> {
    let shared = |name: &&String| outputs.contains_key(name.as_str());
    let mut found: BTreeSet<String> = inputs
        .keys()
        .filter(shared)
        .filter(|name| inputs[*name] != outputs[*name])
        .cloned()
        .collect();
    loop {
        let more: Vec<String> = inputs
            .iter()
            .filter(|(name, value)| {
                shared(name)
                    && !found.contains(*name)
                    && !references(value, path).is_disjoint(&found)
            })
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// The names that `value` refers to.
pub(super) fn references(value: &Value, path: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(map) => {
                names.extend(target(map, path).map(str::to_owned));
                pending.extend(map.values());
            }
            Value::Array(items) => pending.extend(items),
            _ => {}
        }
    }
    names
}

/// The name that a schema refers to itself.
pub(super) fn target<'a>(schema: &'a Map<String, Value>, path: &str) -> Option<&'a str> {
    schema.get("$ref")?.as_str()?.strip_prefix(path)?.strip_prefix('/')
}

fn rename(value: &mut Value, path: &str, different: &BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let renamed = target(map, path)
                .filter(|name| different.contains(*name))
                .map(|name| format!("{path}/{}", input_name(name)));
            if let Some(reference) = renamed {
                map.insert("$ref".to_owned(), reference.into());
            }
            map.values_mut().for_each(|inner| rename(inner, path, different));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| rename(inner, path, different)),
        _ => {}
    }
}

/// One JSON Schema 2020-12 document: every definition, and which operation and event uses which.
pub fn schemas() -> String {
    let bundle = Bundle::draft_2020_12();
    let endpoints: Map<String, Value> = bundle
        .endpoints
        .iter()
        .map(|EndpointSchemas { entry, request, reply }| {
            let name = format!("{}.{}", entry.service.token(), entry.operation);
            let subject = operation_address(entry);
            (name, json!({"subject": subject, "request": request, "reply": reply}))
        })
        .collect();
    let events: Map<String, Value> =
        bundle.events.into_iter().map(|e| (e.entry.entity.to_owned(), e.data)).collect();
    sorted_json::text(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:troupe:contract:v1",
        "title": "Troupe, version 1 of the wire",
        "description": "Requests as they are read, replies and events as they are written.",
        "$defs": bundle.definitions,
        "x-endpoints": endpoints,
        "x-events": events,
        "x-fault": bundle.fault,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "#/$defs";

    #[test]
    fn every_reference_has_its_definition() {
        let document: Value = serde_json::from_str(&schemas()).unwrap();
        let defined = document["$defs"].as_object().unwrap();
        for name in references(&document, PATH) {
            assert!(defined.contains_key(&name), "{name}");
        }
    }

    #[test]
    fn no_description_points_into_the_source() {
        let text = schemas();
        for link in ["[`", "crate::", "troupe_domain::", "`limits::"] {
            assert!(!text.contains(link), "{link}");
        }
    }

    #[test]
    fn no_two_types_share_a_name() {
        // A second type of the same name is given a number by the generator.
        let bundle = Bundle::draft_2020_12();
        for name in bundle.definitions.keys() {
            assert!(!name.ends_with(|c: char| c.is_ascii_digit()), "{name}");
        }
    }

    #[test]
    fn requests_refuse_unknown_fields_and_replies_do_not_say_so() {
        let bundle = Bundle::draft_2020_12();
        let definition = |schema: &Value| {
            let name = target(schema.as_object().unwrap(), PATH).unwrap();
            bundle.definitions[name].clone()
        };
        for endpoint in &bundle.endpoints {
            let request = definition(&endpoint.request);
            assert_eq!(request["additionalProperties"], false, "{}", endpoint.entry.operation);
            let reply = definition(&endpoint.reply);
            assert_ne!(reply["additionalProperties"], false, "{}", endpoint.entry.operation);
        }
    }

    #[test]
    fn a_capability_is_read_in_more_forms_than_it_is_written() {
        let bundle = Bundle::draft_2020_12();
        assert!(bundle.definitions["CapabilityInput"].get("anyOf").is_some());
        assert_eq!(bundle.definitions["Capability"]["type"], "object");
    }
}
