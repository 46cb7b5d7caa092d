//! YAML files as values.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_norway::{Deserializer, Value};

/// What kustomize reads itself; not an object of the cluster.
const KUSTOMIZATION: &str = "kustomization.yaml";

/// One object of Kubernetes, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) file: PathBuf,
    pub(super) value: Value,
}

impl Document {
    pub(super) fn kind(&self) -> &str {
        text(&self.value, &["kind"]).unwrap_or("nothing")
    }

    /// `Kind/name`, for messages.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind(), text(&self.value, &["metadata", "name"]).unwrap_or("?"))
    }
}

/// Every object in every file under `folder`.
pub(super) fn load(folder: &Path) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for file in files(folder)? {
        let content = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        for part in Deserializer::from_str(&content) {
            let value = Value::deserialize(part).with_context(|| file.display().to_string())?;
            if !value.is_null() {
                documents.push(Document { file: file.clone(), value });
            }
        }
    }
    if documents.is_empty() {
        bail!("no manifest under {}", folder.display());
    }
    Ok(documents)
}

/// One file with one document, its `<<` merged.
pub(super) fn read(file: &Path) -> Result<Value> {
    let content = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut value: Value =
        serde_norway::from_str(&content).with_context(|| file.display().to_string())?;
    value.apply_merge().with_context(|| file.display().to_string())?;
    Ok(value)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if yaml && path.file_name().is_some_and(|name| name != KUSTOMIZATION) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What stands at the end of a path of keys.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// A text at the end of a path.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path)?.as_str()
}

/// A list at the end of a path; none is empty.
pub(super) fn list<'a>(
    value: &'a Value,
    path: &[&str],
) -> impl Iterator<Item = &'a Value> + use<'a> {
    at(value, path).and_then(Value::as_sequence).into_iter().flatten()
}

/// The pairs of a map at the end of a path; none is empty.
pub(super) fn pairs<'a>(
    value: &'a Value,
    path: &[&str],
) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    let map = at(value, path).and_then(Value::as_mapping);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str()?, value)))
}

/// The template of the pods that an object makes, or the object if it is a pod.
pub(super) fn pod_template(document: &Document) -> Option<&Value> {
    match document.kind() {
        "Pod" => Some(&document.value),
        "CronJob" => at(&document.value, &["spec", "jobTemplate", "spec", "template"]),
        _ => at(&document.value, &["spec", "template"]),
    }
}

/// Objects from a text, for tests.
#[cfg(test)]
pub(super) fn parse(content: &str) -> Vec<Document> {
    Deserializer::from_str(content)
        .map(|part| Document {
            file: PathBuf::from("test.yaml"),
            value: Value::deserialize(part).unwrap(),
        })
        .collect()
}
