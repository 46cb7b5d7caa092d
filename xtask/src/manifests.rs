//! The files that deploy Troupe: valid for Kubernetes, locked down, and in agreement with each other
//! and with what the services read.
//!
//! Everything but the last step works without a cluster, a registry and a container engine.

mod compose;
mod document;
mod pods;
mod references;
mod schema;
mod services;
mod settings;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::cargo;

const BASE: &str = "k8s/base";

/// Runs every check; the fault lists everything that is wrong.
pub(crate) fn check(root: &Path) -> Result<()> {
    let documents = document::load(&root.join("k8s"))?;
    let mut wrong = pods::violations(&documents);
    wrong.extend(references::violations(&documents));
    wrong.extend(settings::in_kubernetes(&documents));
    let compose = document::read(&root.join("docker-compose.yml"))?;
    wrong.extend(compose::violations(&compose));
    wrong.extend(settings::in_compose(&compose));
    wrong.extend(settings::servers(root)?);
    wrong.extend(services::violations(root, &documents, &compose)?);
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n  "));
    }
    println!("{} manifests and docker-compose.yml keep our own rules", documents.len());
    schema::check(root, &documents)?;
    kustomize(root)
}

fn kustomize(root: &Path) -> Result<()> {
    let installed = Command::new("kubectl")
        .args(["version", "--client"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !installed {
        println!("skipped: kubectl not found, so the kustomization was not built");
        return Ok(());
    }
    cargo::run(
        Command::new("kubectl").args(["kustomize", BASE]).current_dir(root).stdout(Stdio::null()),
    )
}
