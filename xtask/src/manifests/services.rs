//! Every service is deployed everywhere, and the image is built from all of the workspace.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_norway::Value;
use troupe_contract::Service;

use super::document::{Document, list, pairs, pod_template};

const DOCKERFILE: &str = "deploy/Dockerfile";
const IGNORED: &str = "deploy/Dockerfile.dockerignore";
const WORKSPACE: &str = "Cargo.toml";

/// Everything that is missing somewhere.
pub(super) fn violations(
    root: &Path,
    documents: &[Document],
    compose: &Value,
) -> Result<Vec<String>> {
    let read = |file: &str| fs::read_to_string(root.join(file)).with_context(|| file.to_owned());
    let mut wrong = left_out(&read(IGNORED)?, &read(WORKSPACE)?);
    let image = read(DOCKERFILE)?;
    for service in Service::ALL {
        let binary = service.full_name();
        let mut miss = |there: bool, where_: &str| {
            if !there {
                wrong.push(format!("{where_}: {binary} is missing"));
            }
        };
        miss(is_built(&image, binary), DOCKERFILE);
        miss(runs_in_compose(compose, binary), "docker-compose.yml");
        miss(runs_in_kubernetes(documents, binary), "k8s/base");
    }
    Ok(wrong)
}

/// A binary is built by its package, and copied out of the target folder.
fn is_built(image: &str, binary: &str) -> bool {
    let words: Vec<&str> = image.split_whitespace().collect();
    let built = words.windows(2).any(|pair| pair == ["-p", binary]);
    let copied = format!("target/release/{binary}");
    built && words.contains(&copied.as_str())
}

fn runs_in_compose(compose: &Value, binary: &str) -> bool {
    pairs(compose, &["services"])
        .any(|(_, service)| list(service, &["command"]).any(|word| word == binary))
}

fn runs_in_kubernetes(documents: &[Document], binary: &str) -> bool {
    documents
        .iter()
        .filter_map(pod_template)
        .flat_map(|template| list(template, &["spec", "containers"]))
        .any(|container| list(container, &["command"]).any(|word| word == binary))
}

/// Members of the workspace that are not copied into the image's build: cargo would refuse all of it.
fn left_out(ignored: &str, workspace: &str) -> Vec<String> {
    let members = workspace.lines().find_map(|line| line.trim().strip_prefix("members = "));
    let members = members.unwrap_or_default();
    let folders = members.split('"').filter(|text| text.chars().any(char::is_alphanumeric));
    let folders = folders.map(|member| member.trim_end_matches("/*"));
    let lines: Vec<&str> = ignored.lines().map(|line| line.trim().trim_matches('/')).collect();
    folders
        .filter(|folder| lines.contains(folder))
        .map(|folder| format!("{IGNORED}: {folder} is a part of the workspace"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::parse;
    use super::*;

    #[test]
    fn a_service_that_is_not_built_or_not_run_is_found() {
        let image = "cargo build -p troupe-a && install target/release/troupe-a";
        assert!(is_built(image, "troupe-a") && !is_built(image, "troupe-b"));
        let compose = "services: { a: { command: [troupe-a] } }";
        let compose: Value = serde_norway::from_str(compose).unwrap();
        assert!(runs_in_compose(&compose, "troupe-a") && !runs_in_compose(&compose, "troupe-b"));
        let pods = "kind: Deployment\nmetadata: { name: a }\nspec: { template: { spec: { \
                    containers: [{ name: a, command: [troupe-a] }] } } }";
        let pods = parse(pods);
        assert!(runs_in_kubernetes(&pods, "troupe-a") && !runs_in_kubernetes(&pods, "troupe-b"));
    }

    #[test]
    fn a_member_that_the_image_leaves_out_is_found() {
        let workspace = "[workspace]\nmembers = [\"bench\", \"services/*\"]\n";
        assert_eq!(left_out("docs\nk8s\n**/target\n", workspace), Vec::<String>::new());
        assert_eq!(left_out("bench\ndocs\n", workspace).len(), 1);
        assert_eq!(left_out("services/\n", workspace).len(), 1);
    }
}
