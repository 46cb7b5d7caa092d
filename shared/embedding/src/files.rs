//! The files of a model that lies on this machine.

use std::fs;
use std::io;
use std::path::Path;

use fastembed::{Pooling, TokenizerFiles};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::EmbeddingError;

/// A bound on any one file of a model.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Where the network is looked for in a folder, the best first.
const NETWORKS: [&str; 5] = [
    "model.onnx",
    "model_quantized.onnx",
    "onnx/model_quantized.onnx",
    "onnx/model_int8.onnx",
    "onnx/model.onnx",
];
/// What a network that is too large for one file keeps beside it.
const WEIGHTS_SUFFIX: &str = "_data";
/// What a tokenizer of BERT's kind is told of lengths: fewer tokens can be asked for, not more.
const BERT_MAX_TOKENS: usize = 512;

/// Everything that a session is opened with.
pub(crate) struct Files {
    pub(crate) network: Vec<u8>,
    /// Weights that are not in the network's own file, by the name that it knows them by.
    pub(crate) weights: Option<(String, Vec<u8>)>,
    pub(crate) tokenizer: TokenizerFiles,
    pub(crate) pooling: Pooling,
}

impl Files {
    /// The pinned model, from the cache or fetched.
    pub(crate) fn pinned() -> Result<Self, EmbeddingError> {
        let part = |part| troupe_parts::ensure(part, troupe_parts::Progress::Auto);
        let network = read(&part(&troupe_parts::EMBEDDING_MODEL)?)?;
        let tokenizer = read(&part(&troupe_parts::EMBEDDING_TOKENIZER)?)?;
        let tokenizer = bert_tokenizer(tokenizer);
        Ok(Self { network, weights: None, tokenizer, pooling: Pooling::Mean })
    }

    /// A model in a folder. What is not said there is as BERT has it, with the mean of the tokens.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, EmbeddingError> {
        let network = NETWORKS
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file())
            .ok_or_else(|| missing(folder, "model.onnx"))?;
        let tokenizer = folder.join("tokenizer.json");
        if !tokenizer.is_file() {
            return Err(missing(folder, "tokenizer.json"));
        }
        let mut tokenizer = bert_tokenizer(read(&tokenizer)?);
        for (name, content) in [
            ("config.json", &mut tokenizer.config_file),
            ("special_tokens_map.json", &mut tokenizer.special_tokens_map_file),
            ("tokenizer_config.json", &mut tokenizer.tokenizer_config_file),
        ] {
            if let Some(own) = read_if_there(&folder.join(name))? {
                *content = own;
            }
        }
        let pooling = pooling(folder)?;
        let weights = weights_beside(&network)?;
        Ok(Self { network: read(&network)?, weights, tokenizer, pooling })
    }

    /// Feeds everything that decides a vector to `hash`.
    pub(crate) fn feed(&self, hash: &mut Sha256) {
        let (name, weights) = match &self.weights {
            Some((name, weights)) => (name.as_str(), weights.as_slice()),
            None => ("", [].as_slice()),
        };
        for content in [
            &self.network,
            name.as_bytes(),
            weights,
            &self.tokenizer.tokenizer_file,
            &self.tokenizer.config_file,
            &self.tokenizer.special_tokens_map_file,
            &self.tokenizer.tokenizer_config_file,
            format!("{:?}", self.pooling).as_bytes(),
        ] {
            // Lengths first, so that no two sets of files read the same.
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(content);
        }
    }
}

/// A tokenizer with the special tokens that every BERT has.
fn bert_tokenizer(tokenizer_file: Vec<u8>) -> TokenizerFiles {
    let special = json!({
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    });
    let mut tokenizer = special.clone();
    tokenizer["model_max_length"] = BERT_MAX_TOKENS.into();
    let bytes = |value: Value| value.to_string().into_bytes();
    TokenizerFiles {
        tokenizer_file,
        config_file: bytes(json!({ "pad_token_id": 0 })),
        special_tokens_map_file: bytes(special),
        tokenizer_config_file: bytes(tokenizer),
    }
}

/// How the vectors of the tokens become one, as the usual library for such models writes it.
fn pooling(folder: &Path) -> Result<Pooling, EmbeddingError> {
    let path = folder.join("1_Pooling/config.json");
    let Some(content) = read_if_there(&path)? else { return Ok(Pooling::Mean) };
    let told: Value = serde_json::from_slice(&content)
        .map_err(|error| EmbeddingError::unusable(path.display(), error))?;
    let is = |name: &str| told[name].as_bool().unwrap_or(false);
    match (is("pooling_mode_mean_tokens"), is("pooling_mode_cls_token")) {
        (true, false) => Ok(Pooling::Mean),
        (false, true) => Ok(Pooling::Cls),
        _ => Err(EmbeddingError::unusable(
            path.display(),
            "neither the mean of the tokens nor the first token is asked for",
        )),
    }
}

fn weights_beside(network: &Path) -> Result<Option<(String, Vec<u8>)>, EmbeddingError> {
    let Some(name) = network.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    let name = format!("{name}{WEIGHTS_SUFFIX}");
    let content = read_if_there(&network.with_file_name(&name))?;
    Ok(content.map(|content| (name, content)))
}

fn missing(folder: &Path, name: &str) -> EmbeddingError {
    let what_to_install = format!("put {name} into {}", folder.display());
    EmbeddingError::Unavailable { what_to_install }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, EmbeddingError> {
    if path.is_file() { read(path).map(Some) } else { Ok(None) }
}

fn read(path: &Path) -> Result<Vec<u8>, EmbeddingError> {
    let content = fs::metadata(path).and_then(|meta| {
        if meta.len() > FILE_MAX_BYTES {
            return Err(io::Error::other(format!("it is larger than {FILE_MAX_BYTES} bytes")));
        }
        fs::read(path)
    });
    content.map_err(|error| EmbeddingError::unusable(path.display(), error))
}
