//! Junk: requests made from the schemas of the contract, and what is put in the place of their parts.

use serde_json::{Map, Value, json};

use super::Chance;

const PLACE: &str = "@@here@@";
/// Deeper than any schema goes; instances end here.
const MAX_DEPTH: usize = 12;

/// The requests that the contract declares.
#[derive(Debug)]
pub struct Requests {
    schemas: Value,
}

/// A place in an instance.
#[derive(Debug)]
pub struct Site {
    /// As a fault would name it: `tasks[0].title`.
    pub path: String,
    text: String,
}

impl Site {
    /// The instance with `junk`, which need not be JSON, in this place.
    pub fn with(&self, junk: &str) -> String {
        self.text.replacen(&format!("\"{PLACE}\""), junk, 1)
    }
}

impl Requests {
    /// From the contract as it is compiled.
    pub fn read() -> Self {
        let schemas = serde_json::from_str(&troupe_contract::generate::schemas()).unwrap();
        Self { schemas }
    }

    /// An instance with every field of the request; `variant` chooses among alternatives.
    pub fn instance(&self, service: &str, operation: &str, variant: usize) -> Value {
        let schema = &self.schemas["x-endpoints"][format!("{service}.{operation}")]["request"];
        assert!(schema.is_object(), "{service}.{operation} has no schema");
        self.make(schema, variant, 0)
    }

    fn make(&self, schema: &Value, variant: usize, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        if let Some(link) = schema["$ref"].as_str() {
            let target = self.schemas.pointer(link.trim_start_matches('#')).unwrap();
            return self.make(target, variant, depth + 1);
        }
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        for key in ["oneOf", "anyOf"] {
            let Some(choices) = schema[key].as_array() else { continue };
            let choices: Vec<&Value> = choices.iter().filter(|c| c["type"] != "null").collect();
            return self.make(choices[variant % choices.len()], variant, depth + 1);
        }
        if let Some(values) = schema["enum"].as_array() {
            return values[variant % values.len()].clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null").unwrap(),
            kind => kind,
        };
        match kind.as_str() {
            Some("object") => {
                let fields = schema["properties"].as_object().into_iter().flatten();
                let made =
                    fields.map(|(key, part)| (key.clone(), self.make(part, variant, depth + 1)));
                Value::Object(made.collect::<Map<_, _>>())
            }
            Some("array") => json!([self.make(&schema["items"], variant, depth + 1)]),
            Some("string") if schema.get("pattern").is_some() => json!("hostile"),
            Some("string") => json!("rust:0.5"),
            Some("integer") => json!(1),
            Some("number") => json!(1.0),
            Some("boolean") => json!(true),
            // Any JSON.
            _ => json!({"any": 1}),
        }
    }
}

/// Every place of `instance`, each part of it and each of their parts.
pub fn sites(instance: &Value) -> Vec<Site> {
    let mut found = Vec::new();
    visit(instance, String::new(), &mut |path, pointer| {
        let mut changed = instance.clone();
        *changed.pointer_mut(pointer).unwrap() = json!(PLACE);
        found.push(Site { path: path.to_owned(), text: changed.to_string() });
    });
    found
}

fn visit(instance: &Value, pointer: String, each: &mut impl FnMut(&str, &str)) {
    if !pointer.is_empty() {
        let path = pointer.trim_start_matches('/').replace('/', ".");
        each(&path, &pointer);
    }
    match instance {
        Value::Object(fields) => {
            for (key, part) in fields {
                visit(part, format!("{pointer}/{key}"), each);
            }
        }
        Value::Array(items) => {
            for (index, part) in items.iter().enumerate() {
                visit(part, format!("{pointer}/{index}"), each);
            }
        }
        _ => {}
    }
}

/// What is put in the place of a field: text that may or may not be JSON.
pub fn values() -> Vec<String> {
    let quoted = |text: &str| json!(text).to_string();
    let mut all: Vec<String> = [
        "null",
        "true",
        "0",
        "-1",
        "0.5",
        "1e308",
        "-1e308",
        "1e999",
        "NaN",
        "Infinity",
        "-0",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "4294967296",
        "99999999999999999999999999999999999999999",
        "00",
        "0x10",
        "{}",
        "[]",
        "[[]]",
        "[{}]",
        "[null]",
        "[1,\"a\",true]",
        "{\"nonsense\":1}",
        "{\"name\":1,\"name\":2}",
        "'text'",
        "",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"a\\u0007b\"",
        "\"\\n\"",
        "\"",
        "\"unfinished",
        "\"a\":",
    ]
    .map(str::to_owned)
    .to_vec();
    let texts = [
        "",
        " ",
        ".",
        "*",
        ">",
        "a.b",
        "a b",
        "troupe.v1.>",
        "no_such_value",
        "é",
        "\u{202e}",
        "../../etc/passwd",
        "';--",
        "rust:",
        "rust:2",
        "rust:NaN",
        ":",
    ];
    all.extend(texts.map(quoted));
    all.extend([65, 257, 20_000, 300_000].map(|length| quoted(&"n".repeat(length))));
    all.push(format!("{}{}", "[".repeat(100), "]".repeat(100)));
    all.push(format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)));
    all.push(format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120)));
    all.push(json!((0..2_000).map(|n| format!("n{n}")).collect::<Vec<_>>()).to_string());
    all
}

/// Whole bodies that are no request of anything, but for two that are a request without fields.
pub fn bodies(chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "",
        "{}",
        " ",
        "{",
        "}",
        "[",
        "nul",
        "null",
        "true",
        "1",
        "-",
        "\"\"",
        "\"text\"",
        "[]",
        "[{}]",
        "{}{}",
        "{},",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "{\"nonsense\":1}",
        "\u{feff}{}",
        "{\"nonsense\":1,\"nonsense\":2}",
        "<xml/>",
        "key: value",
        "\u{0}",
        "{}\u{0}",
        "{\"task_id\":\"a\",\"task_id\":\"b\"}",
        "{\"id\":\"a\",\"task_id\":\"b\"}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    all.push(b"{\"title\":\"\xff\xfe\"}".to_vec());
    all.push(b"{\"task_id\":\"\xc3\x28\"}".to_vec());
    all.push(b"\xff\xff\xff\xff".to_vec());
    all.push("[".repeat(100_000).into_bytes());
    all.push("{\"a\":".repeat(50_000).into_bytes());
    for _ in 0..8 {
        let length = 1 + chance.below(300);
        all.push((0..length).map(|_| chance.next() as u8).collect());
    }
    all
}
