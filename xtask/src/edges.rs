//! The arrows between crates: domain ← contract ← bus ← shard ← services, cli.
//!
//! Only what ships counts: a test may stand on more than the crate that it tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Crates without I/O, and what they must not reach.
const PURE: [&str; 5] =
    ["troupe-domain", "troupe-contract", "troupe-intent", "troupe-crdt", "troupe-recall"];
const IMPURE: [&str; 2] = ["tokio", "async-nats"];
/// Who may name NATS: the bus, the real servers of tests, and raw baselines of benchmarks.
const MAY_USE_NATS: [&str; 4] = ["troupe-bus", "troupe-testkit", "troupe-cli", "troupe-bench"];
/// The machinery of shards, for services to stand on.
const SHARDS: &str = "troupe-shard";
/// Who may name Redis: services, in their store modules.
const MAY_USE_REDIS: [&str; 4] =
    ["troupe-memory", "troupe-registry", "troupe-semantic-routing", "troupe-work-distribution"];
/// Who may name object storage: what writes segments, and the store of plans.
const MAY_USE_OBJECTS: [&str; 2] = ["troupe-segments", "troupe-plan-sync"];
/// What runs models, and the only crate that may name it.
const MODELS: [&str; 4] = ["fastembed", "hf-hub", "ort", "tokenizers"];
const MAY_USE_MODELS: &str = "troupe-embedding";

/// Packages of the workspace with what each depends on.
#[derive(Debug, Default)]
struct Graph {
    /// By package name: the names of what it needs to run or to build.
    shipped: BTreeMap<String, BTreeSet<String>>,
    /// By package name: everything, with what only tests need.
    any: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
    services: BTreeSet<String>,
    shared: BTreeSet<String>,
}

/// Fails with every edge that should not be there.
pub(crate) fn check(root: &Path) -> Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .exec()?;
    let graph = Graph::of(&metadata);
    let wrong = graph.violations();
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    println!("{} crates, no edge that should not be there", graph.members.len());
    Ok(())
}

impl Graph {
    fn of(metadata: &Metadata) -> Self {
        let mut graph = Self::default();
        let names: BTreeMap<_, _> =
            metadata.packages.iter().map(|p| (&p.id, p.name.to_string())).collect();
        for package in metadata.workspace_packages() {
            let name = package.name.to_string();
            let folder = package.manifest_path.strip_prefix(&metadata.workspace_root).ok();
            let is_in = |top: &str| folder.is_some_and(|folder| folder.starts_with(top));
            if is_in("services") {
                graph.services.insert(name.clone());
            }
            if is_in("shared") {
                graph.shared.insert(name.clone());
            }
            graph.members.insert(name);
        }
        for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
            let from = &names[&node.id];
            for dependency in &node.deps {
                let to = &names[&dependency.pkg];
                let ships = dependency
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind != DependencyKind::Development);
                if ships {
                    graph.shipped.entry(from.clone()).or_default().insert(to.clone());
                }
                graph.any.entry(from.clone()).or_default().insert(to.clone());
            }
        }
        graph
    }

    fn violations(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for from in PURE {
            for to in IMPURE {
                if let Some(path) = self.path(from, to) {
                    wrong.push(format!("{from} must not reach {to}: {}", path.join(" -> ")));
                }
            }
        }
        for from in &self.members {
            let ships = |to: &str| self.shipped.get(from).is_some_and(|set| set.contains(to));
            if ships("async-nats") && !MAY_USE_NATS.contains(&from.as_str()) {
                wrong.push(format!("{from} must reach NATS through troupe-bus"));
            }
            if ships("redis") && !MAY_USE_REDIS.contains(&from.as_str()) {
                wrong.push(format!("{from} has no store that may use redis"));
            }
            if ships("object_store") && !MAY_USE_OBJECTS.contains(&from.as_str()) {
                wrong.push(format!("{from} must reach object storage through troupe-segments"));
            }
            if from != MAY_USE_MODELS && MODELS.iter().any(|model| ships(model)) {
                wrong.push(format!("{from} must embed through {MAY_USE_MODELS}"));
            }
            if self.any.get(from).is_some_and(|set| set.contains("xtask")) {
                wrong.push(format!("{from} must not depend on xtask"));
            }
            if self.services.contains(from) {
                let others = self.services.iter().filter(|to| ships(to));
                wrong.extend(others.map(|to| format!("{from} must ask {to} over the bus")));
            }
            if self.shared.contains(from) {
                let above = self.services.iter().filter(|to| ships(to));
                wrong.extend(above.map(|to| format!("{from} is shared and must not know {to}")));
            }
            if from != SHARDS && !self.services.contains(from) && ships(SHARDS) {
                wrong.push(format!("{from} is no service: {SHARDS} is for those"));
            }
        }
        wrong
    }

    /// The way from one crate to another, over what ships.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from = BTreeMap::from([(from.to_owned(), String::new())]);
        let mut pending = vec![from.to_owned()];
        while let Some(here) = pending.pop() {
            if here == to {
                let mut path = vec![here];
                while let Some(before) = came_from.get(&path[path.len() - 1]) {
                    if before.is_empty() {
                        break;
                    }
                    path.push(before.clone());
                }
                path.reverse();
                return Some(path);
            }
            for next in self.shipped.get(&here).into_iter().flatten() {
                if !came_from.contains_key(next) {
                    came_from.insert(next.clone(), here.clone());
                    pending.push(next.clone());
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for &(from, to) in edges {
            for set in [&mut graph.shipped, &mut graph.any] {
                set.entry(from.to_owned()).or_default().insert(to.to_owned());
            }
            graph.members.insert(from.to_owned());
        }
        graph
    }

    #[test]
    fn inward_edges_are_fine() {
        let graph = graph(&[
            ("troupe-contract", "troupe-domain"),
            ("troupe-bus", "troupe-contract"),
            ("troupe-bus", "async-nats"),
            ("async-nats", "tokio"),
        ]);
        assert_eq!(graph.violations(), Vec::<String>::new());
    }

    #[test]
    fn a_detour_to_tokio_is_found_and_told() {
        let graph = graph(&[("troupe-contract", "left-pad"), ("left-pad", "tokio")]);
        assert_eq!(
            graph.violations(),
            ["troupe-contract must not reach tokio: troupe-contract -> left-pad -> tokio"]
        );
    }

    #[test]
    fn each_other_rule_can_fail() {
        let mut graph = graph(&[
            ("troupe-registry", "troupe-work-distribution"),
            ("troupe-client", "async-nats"),
            ("troupe-client", "redis"),
            ("troupe-client", "object_store"),
            ("troupe-client", "ort"),
            ("troupe-embedding", "ort"),
            ("troupe-parts", "xtask"),
            ("troupe-shard", "troupe-registry"),
            ("troupe-client", "troupe-shard"),
        ]);
        graph.services = ["troupe-registry", "troupe-work-distribution"].map(str::to_owned).into();
        graph.shared = ["troupe-shard".to_owned()].into();
        assert_eq!(graph.violations().len(), 8, "{:?}", graph.violations());
    }
}
