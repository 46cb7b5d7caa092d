//! The steps of CI, in order: cheap ones that say most come first.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{cargo, contract, edges, manifests, sources, spelling};

/// One check.
pub(crate) struct Step {
    /// What `--only` takes.
    pub(crate) name: &'static str,
    /// One line.
    about: &'static str,
    /// Whether it looks and does not run the product.
    pub(crate) lint: bool,
    run: fn(&Path) -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "format", about: "rustfmt finds nothing", lint: true, run: cargo::format },
    Step { name: "clippy", about: "clippy warns of nothing", lint: true, run: cargo::clippy },
    Step {
        name: "contract",
        about: "docs/contract is what the declarations say",
        lint: true,
        run: contract::check,
    },
    Step { name: "edges", about: "crates depend only inwards", lint: true, run: edges::check },
    Step { name: "sources", about: "rules on every tracked file", lint: true, run: sources::check },
    Step { name: "spelling", about: "typos finds nothing", lint: true, run: spelling::check },
    Step {
        name: "manifests",
        about: "Kubernetes and compose files are valid and locked down",
        lint: true,
        run: manifests::check,
    },
    Step { name: "build", about: "every binary builds", lint: false, run: cargo::build },
    Step { name: "tests", about: "cargo test of the workspace", lint: false, run: cargo::test },
];

/// Runs the steps that `wanted` picks and `only` names (all, where it names none).
pub(crate) fn run(
    root: &Path,
    only: &[String],
    list: bool,
    wanted: impl Fn(&Step) -> bool,
) -> Result<()> {
    let candidates: Vec<&Step> = STEPS.iter().filter(|step| wanted(step)).collect();
    if list {
        for step in candidates {
            println!("{:10} {}", step.name, step.about);
        }
        return Ok(());
    }
    let chosen = choose(&candidates, only)?;
    let began = Instant::now();
    for (index, step) in chosen.iter().enumerate() {
        println!("\n[{}/{}] {}: {}", index + 1, chosen.len(), step.name, step.about);
        let step_began = Instant::now();
        let outcome = (step.run)(root);
        std::io::stdout().flush()?;
        let took = step_began.elapsed().as_secs_f64();
        outcome.with_context(|| format!("step `{}` ({took:.1} s)", step.name))?;
        println!("[{}/{}] {}: ok, {took:.1} s", index + 1, chosen.len(), step.name);
    }
    println!("\n{} steps passed in {:.1} s", chosen.len(), began.elapsed().as_secs_f64());
    Ok(())
}

fn choose<'a>(candidates: &[&'a Step], only: &[String]) -> Result<Vec<&'a Step>> {
    if let Some(unknown) = only.iter().find(|name| candidates.iter().all(|s| s.name != **name)) {
        let names: Vec<_> = candidates.iter().map(|step| step.name).collect();
        bail!("no step is called {unknown}; there are {}", names.join(", "));
    }
    let named = |step: &&&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    Ok(candidates.iter().filter(named).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keeps_the_order_and_refuses_strangers() {
        let all: Vec<&Step> = STEPS.iter().collect();
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            choose(&all, &only).map(|steps| steps.iter().map(|s| s.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["tests", "format"]).unwrap(), ["format", "tests"]);
        assert_eq!(names(&[]).unwrap().len(), STEPS.len());
        assert!(names(&["testz"]).unwrap_err().to_string().contains("no step is called testz"));
    }
}
