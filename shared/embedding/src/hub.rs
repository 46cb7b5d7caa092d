//! Models of a hub by their name: fastembed knows which, where, and how each is pooled.
//!
//! `HF_ENDPOINT`, `HF_HOME` and `HF_TOKEN` say where the hub is, where its files are kept and who
//! asks, as everywhere else.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use fastembed::{EmbeddingModel, ModelInfo, TextEmbedding, TextInitOptions};
use hf_hub::Cache;
use sha2::{Digest, Sha256};

use crate::session::{NO_SPINNING, Session};
use crate::{EmbeddingError, runtime};

/// Where files of the hub are kept, inside the cache folder.
const FOLDER: &str = "hub";
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// A model of the hub.
pub(crate) struct Hub {
    known: ModelInfo<EmbeddingModel>,
    cache: PathBuf,
}

impl Hub {
    /// The model with this name; nothing is fetched yet.
    pub(crate) fn named(name: &str) -> Result<Self, EmbeddingError> {
        let cache = std::env::var_os("HF_HOME")
            .map(PathBuf::from)
            .or_else(|| troupe_parts::cache_folder().map(|cache| cache.join(FOLDER)))
            .ok_or_else(|| EmbeddingError::Unavailable {
                what_to_install: "set TROUPE_CACHE_DIR to a folder for models".to_owned(),
            })?;
        Ok(Self { known: known(name)?, cache })
    }

    /// The name on the hub, for people.
    pub(crate) fn name(&self) -> &str {
        &self.known.model_code
    }

    /// Opens the model; fetches it the first time.
    pub(crate) fn open(
        &self,
        max_tokens: usize,
        threads: usize,
    ) -> Result<Session, EmbeddingError> {
        let options = TextInitOptions::new(self.known.model.clone())
            .with_environment(runtime::environment()?)
            .with_cache_dir(self.cache.clone())
            .with_show_download_progress(false)
            .with_max_length(max_tokens)
            .with_intra_threads(threads)
            .with_session_config(NO_SPINNING.0, NO_SPINNING.1);
        TextEmbedding::try_new(options).map(Session::new).map_err(|error| {
            let why = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source())
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": ");
            EmbeddingError::Unavailable {
                what_to_install: format!(
                    "the model {} cannot be fetched or opened ({why}); let this machine reach the \
                     hub, set HF_ENDPOINT to one that it reaches, or choose another model",
                    self.name()
                ),
            }
        })
    }

    /// Feeds the files that decide a vector to `hash`. Only after the model was opened.
    pub(crate) fn feed(&self, hash: &mut Sha256) -> Result<(), EmbeddingError> {
        let repository = Cache::new(self.cache.clone()).model(self.known.model_code.clone());
        let files = [self.known.model_file.as_str(), "tokenizer.json", "tokenizer_config.json"];
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        let more = self.known.additional_files.iter().map(String::as_str);
        for name in files.into_iter().chain(more) {
            let unusable = |why: String| EmbeddingError::unusable(name, why);
            let path =
                repository.get(name).ok_or_else(|| unusable("is not in the cache".to_owned()))?;
            let mut file = File::open(path).map_err(|error| unusable(error.to_string()))?;
            loop {
                let read = file.read(&mut buffer).map_err(|error| unusable(error.to_string()))?;
                if read == 0 {
                    break;
                }
                hash.update(&buffer[..read]);
            }
        }
        Ok(())
    }
}

/// fastembed's entry for a name of its own or of the hub.
fn known(name: &str) -> Result<ModelInfo<EmbeddingModel>, EmbeddingError> {
    let all = TextEmbedding::list_supported_models();
    let own = |known: &ModelInfo<EmbeddingModel>| format!("{:?}", known.model);
    let names = |known: &[ModelInfo<EmbeddingModel>]| {
        // fastembed lists them in another order every time.
        let mut names: Vec<_> = known.iter().map(own).collect();
        names.sort();
        names.join(", ")
    };
    if let Some(found) = all.iter().find(|known| own(known).eq_ignore_ascii_case(name)) {
        return Ok(found.clone());
    }
    let found: Vec<_> =
        all.iter().filter(|known| known.model_code.eq_ignore_ascii_case(name)).cloned().collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(EmbeddingError::Invalid {
            field: "model",
            why: format!("{name:?} is no model that is known; known are {}", names(&all)),
        }),
        several => Err(EmbeddingError::Invalid {
            field: "model",
            why: format!("{name} has several models; say which: {}", names(several)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_two_names() {
        assert_eq!(known("bgesmallenv15").unwrap().model, EmbeddingModel::BGESmallENV15);
        assert_eq!(known("Xenova/all-MiniLM-L6-v2").unwrap().model, EmbeddingModel::AllMiniLML6V2Q);
    }

    #[test]
    fn an_unknown_or_ambiguous_name_is_told_what_there_is() {
        let unknown = known("nonsense").unwrap_err().to_string();
        assert!(unknown.contains("AllMiniLML6V2Q"), "{unknown}");
        let ambiguous = known("Xenova/all-MiniLM-L12-v2").unwrap_err().to_string();
        assert!(ambiguous.contains("AllMiniLML12V2, AllMiniLML12V2Q"), "{ambiguous}");
    }
}
