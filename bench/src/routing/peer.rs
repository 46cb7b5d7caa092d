//! semantic-router, measured on the vectors that Troupe routes with.
//!
//! Its packages come into a virtual environment of its own, made when a run asks for it. What is
//! compared is the routing: the draw of examples and the embedding model are the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::scores::Scores;

/// Its name in a report.
pub const NAME: &str = "semantic-router";
const PYTHON: &str = "python3";
const REQUIREMENTS: &str = "requirements.txt";
const VECTORS: &str = "vectors.f32";
const CASES: &str = "cases.json";

/// One question to both: which rows are examples, and which are asked.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// The set.
    pub name: String,
    /// Examples a route; none for all.
    pub shots: Option<usize>,
    /// What the examples were drawn with.
    pub seed: u64,
    /// Rows of each route's examples.
    pub routes: BTreeMap<String, Vec<usize>>,
    /// Rows that are asked, with the route that is right.
    pub test: Vec<(usize, String)>,
    /// Rows that are asked although no route is meant.
    pub out_of_scope: Vec<usize>,
}

/// What the harness says at the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// Versions of what took part.
    pub versions: String,
    /// One a case and way to aggregate.
    pub results: Vec<PeerResult>,
}

/// How the peer did on a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerResult {
    /// The set.
    pub name: String,
    /// Examples a route; none for all.
    pub shots: Option<usize>,
    /// What the examples were drawn with.
    pub seed: u64,
    /// How scores of examples become the score of a route.
    pub aggregation: String,
    /// How it did.
    #[serde(flatten)]
    pub scores: Scores,
}

#[derive(Debug, Serialize)]
struct Input<'a> {
    vectors: &'static str,
    dims: usize,
    cases: &'a [Case],
}

/// semantic-router, ready to be measured.
#[derive(Debug)]
pub struct SemanticRouter {
    harness: PathBuf,
    python: PathBuf,
}

impl SemanticRouter {
    /// Makes the virtual environment in `folder`, unless it is there, and fetches the packages that
    /// the harness in `peers` pins.
    pub async fn ready(peers: &Path, folder: &Path) -> Result<Self> {
        let home = peers.join(NAME);
        let (harness, requirements) = (home.join("harness.py"), home.join(REQUIREMENTS));
        if !harness.is_file() {
            bail!("{}: no harness there; name its folder with --peers", home.display());
        }
        let python = folder.join("bin").join("python");
        if !python.is_file() {
            let mut venv = Command::new(PYTHON);
            venv.args(["-m", "venv"]).arg(folder);
            run(venv).await.context("python3 -m venv: is Python installed?")?;
        }
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
        pip.arg(&requirements);
        run(pip).await.with_context(|| requirements.display().to_string())?;
        Ok(Self { harness, python })
    }

    /// Measures all cases on rows of `dims` numbers each, which are written to `folder` for it.
    pub async fn measure(
        &self,
        folder: &Path,
        rows: &[Vec<f32>],
        dims: usize,
        cases: &[Case],
    ) -> Result<Told> {
        let mut bytes = Vec::with_capacity(rows.len() * dims * size_of::<f32>());
        for row in rows {
            if row.len() != dims {
                bail!("a row of {} numbers, not {dims}", row.len());
            }
            bytes.extend(row.iter().flat_map(|part| part.to_le_bytes()));
        }
        tokio::fs::write(folder.join(VECTORS), bytes).await?;
        let input = folder.join(CASES);
        let json = serde_json::to_vec(&Input { vectors: VECTORS, dims, cases })?;
        tokio::fs::write(&input, json).await?;
        let mut python = Command::new(&self.python);
        python.arg(&self.harness).arg("--input").arg(&input);
        let told = run(python).await.context("the harness")?;
        serde_json::from_slice(&told).context("the harness's answer")
    }
}

async fn run(mut command: Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    if !output.status.success() {
        bail!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
