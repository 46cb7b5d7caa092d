//! Capabilities: what an agent can do, how well, and what a task needs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::fault::Fault;
use crate::limits::{
    MAX_AGENT_CAPABILITIES, MAX_CAPABILITY_UTTERANCES, MAX_REQUIRED_CAPABILITIES, MAX_TEXT_BYTES,
    MAX_UTTERANCE_BYTES,
};
use crate::name::Name;

/// What an agent says it can do. Also accepted as a text: `rust` or `rust:0.9`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "CapabilityForm")]
pub struct Capability {
    /// The name that tasks ask for.
    pub name: Name,
    /// What it means, in a sentence; intent routing reads it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How well, 0 to 1.
    pub proficiency: f64,
    /// Capabilities that this one rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Name>,
    /// What people say who want it; intent routing learns from them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub utterances: Vec<String>,
}

/// What a task needs of its agent. Also accepted as a text: `rust` or `rust:0.8`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(try_from = "RequiredForm")]
pub struct RequiredCapability {
    /// The capability's name.
    pub name: Name,
    /// The least proficiency that will do, 0 to 1; 0 where none is named.
    pub min_proficiency: f64,
}

fn full() -> f64 {
    1.0
}

#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a capability: \"name\", \"name:0.9\" or {name, proficiency, description, dependencies, utterances}"
)]
enum CapabilityForm {
    Text(String),
    Full(FullCapability),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullCapability {
    name: Name,
    #[serde(default)]
    description: String,
    #[serde(default = "full")]
    proficiency: f64,
    #[serde(default)]
    dependencies: Vec<Name>,
    #[serde(default)]
    utterances: Vec<String>,
}

/// What the schema says; reading is done by hand, because every message about a task has some.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum RequiredForm {
    Text(String),
    Full(FullRequirement),
}

impl<'de> Deserialize<'de> for RequiredCapability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrFull;
        impl<'de> de::Visitor<'de> for TextOrFull {
            type Value = RequiredCapability;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a requirement: "name", "name:0.8" or {name, min_proficiency}"#)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let full =
                    FullRequirement::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(RequiredCapability { name: full.name, min_proficiency: full.min_proficiency })
            }
        }
        deserializer.deserialize_any(TextOrFull)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FullRequirement {
    name: Name,
    #[serde(default)]
    min_proficiency: f64,
}

/// Splits `name:0.9`; the number is `None` where there is no colon.
fn name_and_number(text: &str) -> Result<(Name, Option<f64>), String> {
    let (name, number) = match text.split_once(':') {
        Some((name, number)) => {
            (name, Some(number.parse().map_err(|_| format!("{number:?} is not a number"))?))
        }
        None => (text, None),
    };
    Ok((Name::parse(name).map_err(|why| why.to_string())?, number))
}

impl TryFrom<CapabilityForm> for Capability {
    type Error = String;
    fn try_from(form: CapabilityForm) -> Result<Self, String> {
        match form {
            CapabilityForm::Text(text) => text.parse(),
            CapabilityForm::Full(full) => Ok(Self {
                name: full.name,
                description: full.description,
                proficiency: full.proficiency,
                dependencies: full.dependencies,
                utterances: full.utterances,
            }),
        }
    }
}

impl std::str::FromStr for Capability {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        name_and_number(text).map(|(name, number)| Self::new(name, number.unwrap_or(1.0)))
    }
}

impl std::str::FromStr for RequiredCapability {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        name_and_number(text)
            .map(|(name, number)| Self { name, min_proficiency: number.unwrap_or(0.0) })
    }
}

impl Capability {
    /// A capability with a proficiency and nothing else.
    pub fn new(name: Name, proficiency: f64) -> Self {
        Self {
            name,
            description: String::new(),
            proficiency,
            dependencies: Vec::new(),
            utterances: Vec::new(),
        }
    }
}

/// The proficiency that `have` offers for `name`.
pub fn proficiency(have: &[Capability], name: &Name) -> Option<f64> {
    have.iter().find(|c| c.name == *name).map(|c| c.proficiency)
}

/// Whether `have` covers every one of `need`.
pub fn covers(have: &[Capability], need: &[RequiredCapability]) -> bool {
    need.iter().all(|n| proficiency(have, &n.name).is_some_and(|p| p >= n.min_proficiency))
}

/// Checks an agent's capabilities: bounds, no name twice, proficiency within 0 to 1.
pub fn check_capabilities(capabilities: &[Capability]) -> Result<(), Fault> {
    if capabilities.len() > MAX_AGENT_CAPABILITIES {
        return Err(Fault::exhausted("MAX_AGENT_CAPABILITIES", MAX_AGENT_CAPABILITIES)
            .with("field", "capabilities"));
    }
    for (index, capability) in capabilities.iter().enumerate() {
        let field = format!("capabilities[{index}]");
        check_unit(&format!("{field}.proficiency"), capability.proficiency)?;
        if capability.description.len() > MAX_TEXT_BYTES {
            return Err(Fault::exhausted("MAX_TEXT_BYTES", MAX_TEXT_BYTES).with("field", field));
        }
        check_utterances(&field, &capability.utterances)?;
        if capabilities[..index].iter().any(|c| c.name == capability.name) {
            return Err(Fault::invalid(&field, format!("{} is listed twice", capability.name)));
        }
    }
    Ok(())
}

/// Checks the example utterances of one capability: not too many, none too long or empty.
fn check_utterances(field: &str, utterances: &[String]) -> Result<(), Fault> {
    let field = format!("{field}.utterances");
    if utterances.len() > MAX_CAPABILITY_UTTERANCES {
        return Err(Fault::exhausted("MAX_CAPABILITY_UTTERANCES", MAX_CAPABILITY_UTTERANCES)
            .with("field", field));
    }
    for (index, text) in utterances.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if text.len() > MAX_UTTERANCE_BYTES {
            return Err(
                Fault::exhausted("MAX_UTTERANCE_BYTES", MAX_UTTERANCE_BYTES).with("field", field)
            );
        }
        if text.trim().is_empty() {
            return Err(Fault::invalid(&field, "must not be empty"));
        }
    }
    Ok(())
}

/// Checks what a task requires: bounds, no name twice, proficiency within 0 to 1.
pub fn check_required(field: &str, required: &[RequiredCapability]) -> Result<(), Fault> {
    if required.len() > MAX_REQUIRED_CAPABILITIES {
        return Err(Fault::exhausted("MAX_REQUIRED_CAPABILITIES", MAX_REQUIRED_CAPABILITIES)
            .with("field", field));
    }
    for (index, need) in required.iter().enumerate() {
        check_unit(&format!("{field}[{index}].min_proficiency"), need.min_proficiency)?;
        if required[..index].iter().any(|n| n.name == need.name) {
            return Err(Fault::invalid(
                &format!("{field}[{index}]"),
                format!("{} is listed twice", need.name),
            ));
        }
    }
    Ok(())
}

fn check_unit(field: &str, value: f64) -> Result<(), Fault> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Fault::invalid(field, format!("must be within 0 and 1 (got {value})")))
    }
}
