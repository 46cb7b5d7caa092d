//! The tools that a model sees, each declared once: its face, its arguments, what comes back.
//!
//! Invariant: a tool decides nothing. It is one call over the bus under the caller's own name, its
//! arguments are checked by the contract's own types, and what it gives back is short.

mod advice;
mod agents;
mod memory;
mod messages;
mod plans;
mod progress;
mod schema;
mod short;
mod tasks;
mod visit;
mod waiting;

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use troupe_contract::Endpoint;
use troupe_domain::{Code, Fault};

pub(crate) use advice::told;
pub(crate) use visit::Visit;

/// What a call does to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Reads,
    /// Something, and the same again changes nothing more.
    Settles,
    /// Something, each time anew.
    Adds,
    /// Something that takes away.
    Removes,
}

/// How a tool looks to the model that picks it.
#[derive(Debug)]
pub(crate) struct Face {
    /// The name in `tools/call`.
    pub(crate) name: &'static str,
    /// A few words for people.
    pub(crate) title: &'static str,
    /// What it does, when to use it, what comes next.
    pub(crate) about: &'static str,
    pub(crate) effect: Effect,
    /// Whoever uses it is at work, and is kept alive in the fleet's directory from then on.
    pub(crate) attends: bool,
    /// Arguments that the contract has and a model has no use for.
    pub(crate) hidden: &'static [&'static str],
    /// Arguments of which the model should hear more than the contract says.
    pub(crate) notes: &'static [(&'static str, &'static str)],
}

/// A tool that is one operation of the contract.
trait Operation: 'static {
    type Endpoint: Endpoint<Request: Sync>;
    type Output: From<<Self::Endpoint as Endpoint>::Reply> + Serialize + JsonSchema;
    const FACE: Face;
}

/// A tool with arguments of its own.
trait Custom: 'static {
    type Arguments: DeserializeOwned + JsonSchema + Send;
    type Output: Serialize + JsonSchema;
    const FACE: Face;

    fn run(
        visit: &Visit,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Self::Output, Fault>> + Send;
}

type Run = for<'a> fn(&'a Visit, Map<String, Value>) -> BoxFuture<'a, Result<Value, Fault>>;

/// A tool, ready to be listed and called.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) face: &'static Face,
    /// The JSON Schema of its arguments.
    pub(crate) input: Map<String, Value>,
    /// The JSON Schema of what comes back.
    pub(crate) output: Map<String, Value>,
    run: Run,
}

impl Tool {
    fn operation<T: Operation>() -> Self {
        let face: &'static Face = &T::FACE;
        Self {
            face,
            input: schema::of_arguments::<<T::Endpoint as Endpoint>::Request>(face),
            output: schema::of_result::<T::Output>(),
            run: |visit, arguments| {
                Box::pin(async move {
                    let request = parsed(arguments)?;
                    let reply = visit.ask::<T::Endpoint>(&request, T::FACE.effect).await?;
                    written(&T::Output::from(reply))
                })
            },
        }
    }

    fn custom<T: Custom>() -> Self {
        let face: &'static Face = &T::FACE;
        Self {
            face,
            input: schema::of_arguments::<T::Arguments>(face),
            output: schema::of_result::<T::Output>(),
            run: |visit, arguments| {
                Box::pin(async move { written(&T::run(visit, parsed(arguments)?).await?) })
            },
        }
    }

    /// Calls it for the caller whose visit this is.
    pub(crate) async fn call(
        &self,
        visit: &Visit,
        arguments: Map<String, Value>,
    ) -> Result<Value, Fault> {
        if self.face.attends {
            visit.attend().await?;
        }
        (self.run)(visit, arguments).await
    }
}

/// Every tool, in the order in which they are listed.
#[derive(Debug)]
pub(crate) struct Toolbox {
    tools: Vec<Tool>,
    places: BTreeMap<&'static str, usize>,
}

impl Toolbox {
    pub(crate) fn new() -> Self {
        let tools: Vec<Tool> = [
            agents::tools(),
            tasks::tools(),
            progress::tools(),
            plans::tools(),
            messages::tools(),
            memory::tools(),
        ]
        .into_iter()
        .flatten()
        .collect();
        let places = tools.iter().enumerate().map(|(place, tool)| (tool.face.name, place));
        let mut places: BTreeMap<_, _> = places.collect();
        for (alias, name) in ALIASES {
            if let Some(&place) = places.get(name) {
                places.insert(alias, place);
            }
        }
        Self { tools, places }
    }

    pub(crate) fn all(&self) -> &[Tool] {
        &self.tools
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.get(*self.places.get(name)?)
    }
}

/// Names that other systems of this field use: they are called, and not listed.
const ALIASES: [(&str, &str); 4] = [
    ("register_agent", "agent_register"),
    ("claim_next_task", "task_next"),
    ("report_progress", "progress_report"),
    ("send_message", "message_send"),
];

/// Reads arguments; the fault names the field.
fn parsed<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Fault> {
    // By way of text: a JSON value that is carried as it is cannot be read from every tree.
    let text = Value::Object(arguments).to_string();
    let mut reader = serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(&mut reader).map_err(|why| {
        let path = why.path().to_string();
        let field = if path == "." { "arguments".to_owned() } else { path };
        let why = why.into_inner().to_string();
        let end = why.find(" at line ").unwrap_or(why.len());
        Fault::invalid(&field, &why[..end])
    })
}

fn written(output: &impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(output).map_err(|why| Fault::new(Code::Internal, why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_one_name_a_sentence_and_plain_schemas() {
        let toolbox = Toolbox::new();
        let mut seen = std::collections::BTreeSet::new();
        for tool in toolbox.all() {
            let name = tool.face.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(tool.face.about.ends_with('.') && tool.face.about.len() > 40, "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            for schema in [&tool.input, &tool.output] {
                assert_eq!(schema["type"], "object", "{name}");
                let text = Value::Object(schema.clone()).to_string();
                assert!(!text.contains("\"$ref\""), "{name} has a reference: {text}");
                for not_at_the_top in ["oneOf", "anyOf", "allOf"] {
                    assert!(!schema.contains_key(not_at_the_top), "{name}: {not_at_the_top}");
                }
            }
            let properties = tool.input.get("properties").and_then(Value::as_object);
            for field in tool.face.hidden {
                assert!(properties.is_none_or(|p| !p.contains_key(*field)), "{name}.{field}");
            }
            for (field, _) in tool.face.notes {
                assert!(properties.is_some_and(|p| p.contains_key(*field)), "{name}.{field}");
            }
        }
    }

    #[test]
    fn aliases_lead_to_tools() {
        let toolbox = Toolbox::new();
        for (alias, name) in ALIASES {
            assert_eq!(toolbox.get(alias).map(|tool| tool.face.name), Some(name));
        }
        assert!(toolbox.get("no_such_tool").is_none());
    }

    #[test]
    fn what_is_wrong_with_arguments_is_named() {
        type Request = troupe_contract::work::CompleteRequest;
        let arguments = |value: Value| value.as_object().cloned().unwrap_or_default();
        let wrong = parsed::<Request>(arguments(serde_json::json!({"task_id": "t", "epoch": "x"})));
        let fault = wrong.unwrap_err();
        assert_eq!(fault.details["field"], "epoch");
        assert!(!fault.message.contains("line"), "{}", fault.message);
        let nested = serde_json::json!({"task_id": "t", "epoch": 1, "result": {"a": [1, null]}});
        let read = parsed::<Request>(arguments(nested)).unwrap();
        assert_eq!(read.result.unwrap().to_value()["a"][0], 1);
    }
}
