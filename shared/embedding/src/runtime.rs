//! ONNX Runtime, loaded into this process.
//!
//! Invariant: it is loaded at most once, however many models are found, and stays until the
//! process ends. A failure to load it is not remembered: the library may be installed meanwhile.

use ort::environment::Environment;
use parking_lot::Mutex;

use crate::EmbeddingError;

static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

/// The environment that sessions live in; finds, or fetches, and loads the library first. Blocks.
pub(crate) fn environment() -> Result<Environment, EmbeddingError> {
    let mut loaded = LOADED.lock();
    if let Some(environment) = loaded.as_ref() {
        return Ok(environment.clone());
    }
    let library = troupe_parts::onnx_runtime()?;
    crate::telemetry::warn_unless_refused();
    let library = std::path::absolute(&library).unwrap_or(library);
    let refused = |why: String| EmbeddingError::Unavailable {
        what_to_install: format!(
            "{} cannot be loaded: {why}. Set {} to the path of another ONNX Runtime library",
            library.display(),
            troupe_parts::ONNX_RUNTIME.variable
        ),
    };
    let builder = ort::init_from(&library).map_err(|error| refused(error.to_string()))?;
    let environment =
        builder.with_telemetry(false).build().map_err(|error| refused(error.to_string()))?;
    // A batch is tokenised on the worker's own thread, not on a pool for the whole process.
    tokenizers::utils::parallelism::set_parallelism(false);
    Ok(loaded.insert(environment).clone())
}
