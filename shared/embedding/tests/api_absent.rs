//! Without ONNX Runtime, and with it once it was installed. The library is loaded once in a
//! process, so each of these runs in a process of its own: this test again, told by its
//! environment which part to play.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use troupe_domain::Code;
use troupe_embedding::{Embedder, EmbedderSettings, EmbeddingError, Model, ModelSettings, Status};

const PART: &str = "EMBEDDING_TEST_PART";

/// Runs the test `name` again as `part`, in an environment that differs in `variables`.
fn play(name: &str, part: &str, variables: &[(&str, &Path)]) {
    let output = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture"])
        .env(PART, part)
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{part}: {told}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(&played(part)), "{part}: {told}");
}

fn played(part: &str) -> String {
    format!("played {part}")
}

#[tokio::test]
async fn a_service_starts_without_onnx_runtime_and_says_so() {
    const NAME: &str = "a_service_starts_without_onnx_runtime_and_says_so";
    let Ok(part) = env::var(PART) else {
        let folder = tempfile::tempdir().expect("a folder");
        let (empty, absent) = (folder.path(), folder.path().join("libonnxruntime.so"));
        play(NAME, "nothing", &[("TROUPE_CACHE_DIR", empty), ("PATH", empty)]);
        play(NAME, "absent", &[("TROUPE_ONNX_RUNTIME", &absent)]);
        let broken = folder.path().join("broken.so");
        fs::write(&broken, "no library").expect("written");
        play(NAME, "broken", &[("TROUPE_ONNX_RUNTIME", &broken)]);
        return;
    };
    let embedder = Embedder::open(ModelSettings::default(), EmbedderSettings::default())
        .expect("it starts all the same");
    let fault = embedder.embed("who can do this").await.expect_err("no model");
    assert_eq!(fault.code, Code::Unavailable, "{fault}");
    let status = embedder.status();
    let Status::Unavailable(EmbeddingError::Unavailable { what_to_install }) = &status else {
        panic!("{status:?}");
    };
    for words in match part.as_str() {
        "nothing" => ["python3 does not run", "what helps: "],
        "absent" => ["TROUPE_ONNX_RUNTIME names", "is not a file"],
        _ => ["broken.so cannot be loaded", "set TROUPE_ONNX_RUNTIME"],
    } {
        let told = what_to_install.to_lowercase();
        assert!(told.contains(&words.to_lowercase()), "{words:?} is missing in {what_to_install}");
    }
    let again = embedder.embed("again").await.expect_err("still no model");
    assert_eq!(again.code, Code::Unavailable);
    embedder.stop().await;
    println!("{}", played(&part));
}

#[test]
fn a_library_that_is_installed_later_is_loaded() {
    let Ok(part) = env::var(PART) else {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("libonnxruntime.so");
        let variables = [("TROUPE_ONNX_RUNTIME", library.as_path())];
        return play("a_library_that_is_installed_later_is_loaded", "later", &variables);
    };
    let settings = ModelSettings::default();
    Model::find(&settings).expect_err("not there yet");
    let lookup = troupe_parts::Lookup::new(
        troupe_parts::cache_folder().expect("a cache folder"),
        env::var_os("PATH").unwrap_or_default(),
        "python3",
    );
    let found = lookup
        .resolve(&troupe_parts::ONNX_RUNTIME, troupe_parts::Progress::Auto)
        .expect("ONNX Runtime");
    symlink(found, env::var("TROUPE_ONNX_RUNTIME").expect("set")).expect("installed");
    assert_eq!(Model::find(&settings).expect("now it is").dimensions(), 384);
    println!("{}", played(&part));
}

#[cfg(not(feature = "hub"))]
#[test]
fn a_hub_that_cannot_be_had_is_told() {
    let choice = troupe_embedding::ModelChoice::Hub("BGESmallENV15".to_owned());
    let settings = ModelSettings { choice, ..ModelSettings::default() };
    let error = Model::find(&settings).expect_err("no hub");
    assert!(error.to_string().contains("feature `hub`"), "{error}");
}
