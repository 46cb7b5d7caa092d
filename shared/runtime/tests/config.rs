//! The four layers, and what they refuse.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use troupe_runtime::{
    Common, ConfigError, Environment, LoadOptions,
    config::{LogFormat, printable},
    load,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Config {
    common: Common,
    lease_ms: u64,
    weight: f64,
    labels: BTreeMap<String, String>,
    topics: Vec<String>,
    limit: Option<u32>,
    eager: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            common: Common::default(),
            lease_ms: 30_000,
            weight: 0.5,
            labels: BTreeMap::new(),
            topics: Vec::new(),
            limit: None,
            eager: false,
        }
    }
}

#[derive(Default)]
struct Layers {
    file: Option<(&'static str, &'static str)>,
    environment: Vec<(&'static str, &'static str)>,
    flags: Vec<(&'static str, &'static str)>,
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn read(layers: Layers) -> Result<Config, ConfigError> {
    let folder = TempDir::new().unwrap();
    let file = layers.file.map(|(name, text)| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    load(LoadOptions {
        file,
        environment: Environment::Given(pairs(&layers.environment).into_iter().collect()),
        flags: pairs(&layers.flags),
        ..LoadOptions::new("troupe-test")
    })
}

#[test]
fn each_layer_beats_the_one_before() {
    let file = Some((
        "troupe.toml",
        "lease_ms = 1\ntopics = ['a']\n[nats]\nname = 'file'\nuser = 'file'\n[log]\nformat = \
         'pretty'\n[labels]\nzone = 'x'\n",
    ));
    let environment = vec![
        ("TROUPE_NATS__NAME", "environment"),
        ("TROUPE_NATS__USER", "environment"),
        ("TROUPE_LEASE_MS", "2"),
        ("TROUPE_TOPICS", r#"["b","c"]"#),
        ("TROUPE_EAGER", "true"),
        ("TROUPE_LIMIT", "7"),
        ("UNRELATED", "x"),
    ];
    let flags = vec![("nats.user", "flag"), ("weight", "0.25")];
    let config = read(Layers { file, environment, flags }).unwrap();
    assert_eq!(config.common.drain_timeout_ms, Common::default().drain_timeout_ms, "default");
    assert_eq!(config.common.log.format, LogFormat::Pretty, "file");
    assert_eq!(config.labels["zone"], "x", "an open map takes any key");
    assert_eq!(config.common.nats.name, "environment");
    assert_eq!(config.common.nats.user.as_deref(), Some("flag"));
    assert_eq!((config.lease_ms, config.limit, config.eager), (2, Some(7), true));
    assert_eq!(config.topics, ["b", "c"]);
    assert!((config.weight - 0.25).abs() < f64::EPSILON);
}

#[test]
fn yaml_is_read_and_other_names_are_refused() {
    let yaml = "nats:\n  name: yaml\nlease_ms: 5\n";
    let config = read(Layers { file: Some(("a.yaml", yaml)), ..Layers::default() }).unwrap();
    assert_eq!((config.common.nats.name.as_str(), config.lease_ms), ("yaml", 5));
    let error = read(Layers { file: Some(("a.ini", "x=1")), ..Layers::default() }).unwrap_err();
    assert!(error.to_string().contains(".toml, .yaml or .yml"), "{error}");
    let error = read(Layers { file: Some(("a.toml", "x = [")), ..Layers::default() }).unwrap_err();
    assert!(matches!(error, ConfigError::File { .. }), "{error}");
}

#[test]
fn the_standard_otlp_variable_counts_and_the_own_one_beats_it() {
    let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317");
    let config = read(Layers { environment: vec![standard], ..Layers::default() }).unwrap();
    assert_eq!(config.common.otlp.endpoint.unwrap().as_str(), "http://a:4317");
    let own = ("TROUPE_OTLP__ENDPOINT", "http://b:4317");
    let config = read(Layers { environment: vec![standard, own], ..Layers::default() }).unwrap();
    assert_eq!(config.common.otlp.endpoint.unwrap().as_str(), "http://b:4317");
}

/// Asserts that `layers` are refused as a bad value, and that the message names all of it.
fn assert_bad(layers: Layers, key: &str, value: &str, source: &str, expected: &str) {
    let error = read(layers).unwrap_err();
    assert!(matches!(error, ConfigError::BadValue { .. }), "{error:?}");
    let text = error.to_string();
    for part in [&format!("`{key}`"), value, source, expected] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn a_bad_value_is_refused_with_its_key_source_and_expectation() {
    let environment = vec![("TROUPE_LEASE_MS", "soon")];
    let source = "environment variable TROUPE_LEASE_MS";
    let layers = Layers { environment, ..Layers::default() };
    assert_bad(layers, "lease_ms", "soon", source, "whole number");

    let layers = Layers { flags: vec![("admin.listen", "nowhere")], ..Layers::default() };
    assert_bad(layers, "admin.listen", "nowhere", "flag for admin.listen", "socket address");

    let layers = Layers { flags: vec![("log.format", "xml")], ..Layers::default() };
    assert_bad(layers, "log.format", "xml", "flag", "json or pretty");

    let layers = Layers { flags: vec![("log.level", "loud")], ..Layers::default() };
    assert_bad(layers, "log.level", "loud", "flag", "debug");

    let file = Some(("t.toml", "lease_ms = 1.5"));
    assert_bad(Layers { file, ..Layers::default() }, "lease_ms", "1.5", "t.toml", "whole number");

    let file = Some(("t.toml", "nats = 'here'"));
    assert_bad(Layers { file, ..Layers::default() }, "nats", "here", "t.toml", "a section");

    let layers = Layers { flags: vec![("lease_ms", "-1")], ..Layers::default() };
    assert_bad(layers, "lease_ms", "-1", "flag", "expected");

    let layers = Layers { flags: vec![("limit", "many")], ..Layers::default() };
    assert_bad(layers, "limit", "many", "flag", "integer");
}

#[test]
fn an_unknown_key_is_refused_in_every_layer() {
    let in_file = |text| Layers { file: Some(("t.toml", text)), ..Layers::default() };
    let in_variable = |name| Layers { environment: vec![(name, "1")], ..Layers::default() };
    let in_flag = |key| Layers { flags: vec![(key, "1")], ..Layers::default() };
    for (layers, key) in [
        (in_file("leese_ms = 1"), "leese_ms"),
        (in_file("[nats]\nurll = 'x'"), "nats.urll"),
        (in_file("[common.nats]\nurl = 'x'"), "common"),
        (in_variable("TROUPE_NATS__URLL"), "nats.urll"),
        (in_variable("TROUPE_LEESE_MS"), "leese_ms"),
        (in_flag("nats.url.more"), "nats.url.more"),
        (in_flag("common.nats.url"), "common.nats.url"),
        (in_flag(""), ""),
    ] {
        let error = read(layers).unwrap_err();
        let named = matches!(&error, ConfigError::UnknownKey { key: named, .. } if named == key);
        assert!(named, "{key}: {error:?}");
    }
    let text = read(in_variable("TROUPE_NATS__URLL")).unwrap_err().to_string();
    assert!(text.contains("TROUPE_NATS__URLL") && text.contains("credentials_file"), "{text}");
}

#[test]
fn names_reserved_for_other_things_are_not_keys() {
    let reserved = troupe_runtime::config::RESERVED_ENVIRONMENT;
    let environment = reserved.iter().filter(|name| **name != "TROUPE_CONFIG");
    let environment = environment.map(|name| (*name, "x")).collect();
    read(Layers { environment, ..Layers::default() }).unwrap();
}

#[test]
fn the_file_that_the_environment_names_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.yml");
    std::fs::write(&path, "lease_ms: 9").unwrap();
    let named = [("TROUPE_CONFIG".to_owned(), path.display().to_string())];
    let config: Config = load(LoadOptions {
        environment: Environment::Given(named.into()),
        ..LoadOptions::new("troupe-test")
    })
    .unwrap();
    assert_eq!(config.lease_ms, 9);
}

#[test]
fn secrets_are_in_no_output() {
    let flags = vec![
        ("nats.password", "0123hunter2"),
        ("nats.url", "nats://me:hunter2@host:4222"),
        ("nats.user", "me"),
    ];
    let config = read(Layers { flags, ..Layers::default() }).unwrap();
    assert_eq!(config.common.nats.password.as_ref().unwrap().expose(), "0123hunter2");
    let printed = printable(&config).unwrap();
    for text in [&printed, &format!("{config:?}")] {
        assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
    }
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["nats"]["user"], "me", "keys stand where a file has them");
    assert_eq!(printed["nats"]["url"], "nats://[redacted]@host:4222");

    let flags = vec![("nats.password", r#"["hunter2"]"#)];
    let error = read(Layers { flags, ..Layers::default() }).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}
