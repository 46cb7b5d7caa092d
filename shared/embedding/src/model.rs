//! A model that was found, opened once, and tried.

use sha2::{Digest, Sha256};

use crate::files::Files;
#[cfg(feature = "hub")]
use crate::hub::Hub;
use crate::session::Session;
use crate::text::TEXT_RULES;
use crate::{EmbeddingError, ModelChoice, ModelSettings};

/// Of the digest, what is enough to tell models apart.
const ID_DIGEST_BYTES: usize = 8;
const ID_NAME_CHARS: usize = 40;
/// Any text: how long a model's vectors are is seen by making one.
const TRIAL: &str = "a trial";

/// What is known of a model that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its name, a digest of all that decides its vectors, and the tokens that it reads, in
    /// `[A-Za-z0-9_-]`: vectors of two models with the same id can be compared.
    pub id: String,
    /// How many numbers a vector has.
    pub dimensions: usize,
    /// Bytes of a normalised text that it looks at.
    pub max_text_bytes: usize,
}

/// A model, ready for an [`Embedder`](crate::Embedder).
pub struct Model {
    pub(crate) info: ModelInfo,
    source: Source,
    max_tokens: usize,
    /// The session that it was tried with, which one worker can have.
    tried: Option<Session>,
}

enum Source {
    Files(Box<Files>),
    #[cfg(feature = "hub")]
    Hub(Hub),
}

/// The threads of the session that a model is tried with.
const TRIAL_THREADS: usize = 1;

impl Model {
    /// Finds the model, or fetches it, and opens it. Blocks: on files, on the network where it
    /// has to be fetched, and on ONNX Runtime.
    pub fn find(settings: &ModelSettings) -> Result<Self, EmbeddingError> {
        settings.check()?;
        let source = Source::find(&settings.choice)?;
        let mut session = source.open(settings.max_tokens, TRIAL_THREADS)?;
        let tried = session.embed(&[TRIAL]);
        let vectors = tried.map_err(|why| EmbeddingError::unusable(&settings.choice, why))?;
        let id = source.id(&settings.choice, settings.max_tokens)?;
        let dimensions = vectors[0].dimensions();
        let info = ModelInfo { id, dimensions, max_text_bytes: settings.max_text_bytes() };
        Ok(Self { info, source, max_tokens: settings.max_tokens, tried: Some(session) })
    }

    /// Its name, a digest of all that decides its vectors, and the tokens that it reads.
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// How many numbers a vector has.
    pub fn dimensions(&self) -> usize {
        self.info.dimensions
    }

    /// What is known of it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// One more copy of it, which runs on `threads` threads.
    pub(crate) fn session(&mut self, threads: usize) -> Result<Session, EmbeddingError> {
        if threads == TRIAL_THREADS
            && let Some(session) = self.tried.take()
        {
            return Ok(session);
        }
        self.source.open(self.max_tokens, threads)
    }
}

impl Source {
    fn find(choice: &ModelChoice) -> Result<Self, EmbeddingError> {
        match choice {
            ModelChoice::Pinned => Ok(Self::Files(Box::new(Files::pinned()?))),
            ModelChoice::Folder(path) => Ok(Self::Files(Box::new(Files::in_folder(path)?))),
            #[cfg(feature = "hub")]
            ModelChoice::Hub(name) => Ok(Self::Hub(Hub::named(name)?)),
            #[cfg(not(feature = "hub"))]
            ModelChoice::Hub(name) => Err(EmbeddingError::Unavailable {
                what_to_install: format!(
                    "the model {name} comes from a hub, and this program was built without it: \
                     build with the feature `hub`, or choose `folder:PATH` or `pinned`"
                ),
            }),
        }
    }

    fn open(&self, max_tokens: usize, threads: usize) -> Result<Session, EmbeddingError> {
        match self {
            Self::Files(files) => Session::of_files(files, max_tokens, threads),
            #[cfg(feature = "hub")]
            Self::Hub(hub) => hub.open(max_tokens, threads),
        }
    }

    #[cfg_attr(
        not(feature = "hub"),
        expect(clippy::unnecessary_wraps, reason = "files of a hub are read for it")
    )]
    fn id(&self, choice: &ModelChoice, max_tokens: usize) -> Result<String, EmbeddingError> {
        let mut hash = Sha256::new();
        hash.update([TEXT_RULES]);
        let name = match self {
            Self::Files(files) => {
                files.feed(&mut hash);
                match choice {
                    ModelChoice::Folder(path) => {
                        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
                    }
                    _ => troupe_parts::EMBEDDING_MODEL.name.to_owned(),
                }
            }
            #[cfg(feature = "hub")]
            Self::Hub(hub) => {
                hub.feed(&mut hash)?;
                hub.name().to_owned()
            }
        };
        let digest = hash.finalize();
        let digest = digest[..ID_DIGEST_BYTES]
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let name: String = name.chars().map(plain).take(ID_NAME_CHARS).collect();
        Ok(format!("{name}-{digest}-{max_tokens}"))
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("info", &self.info).finish_non_exhaustive()
    }
}
