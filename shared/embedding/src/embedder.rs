//! The handle that callers have: texts in, vectors out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, thread};

use tokio::sync::{oneshot, watch};
use troupe_domain::{Code, Fault};

use crate::lanes::Lane;
use crate::queue::{Queue, stopped};
use crate::session::Session;
use crate::{
    EmbedderSettings, Embedding, EmbeddingError, Model, ModelSettings, Statistics, Status,
    normalise, worker,
};

/// Texts in one call of [`Embedder::embed_many`], at most.
pub const MANY_MAX_TEXTS: usize = 1 << 16;
/// Batches of one such call that wait or run at the same time, for each worker.
const MANY_BATCHES_AHEAD: usize = 2;
/// When a missing model is looked for again; each time twice as late, up to the second number.
const RETRY_FIRST_SECONDS: u64 = 15;
const RETRY_MAX_SECONDS: u64 = 600;

/// Runs a model for many callers. Cloning it shares it; when the last clone is dropped its
/// threads end.
#[derive(Debug, Clone)]
pub struct Embedder(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Queue,
    status: watch::Sender<Status>,
    settings: EmbedderSettings,
    max_text_bytes: usize,
    /// Threads that have not ended: workers, or the one that looks for the model.
    threads: AtomicUsize,
}

impl Embedder {
    /// Runs `model`. Blocks while a copy of it is opened for each worker.
    pub fn start(mut model: Model, settings: EmbedderSettings) -> Result<Self, EmbeddingError> {
        settings.check()?;
        let shared = Shared::new(settings, model.info.max_text_bytes);
        shared.run(&mut model)?;
        Ok(Self(Arc::new(Handle { shared })))
    }

    /// Looks for the model in the background, again and again until it is there, so that a service
    /// starts without it. Until it is known to be missing texts wait; then they are refused with
    /// `unavailable` and what to install. Only settings that cannot work are an error.
    pub fn open(model: ModelSettings, settings: EmbedderSettings) -> Result<Self, EmbeddingError> {
        settings.check()?;
        model.check()?;
        let shared = Shared::new(settings, model.max_text_bytes());
        let looking = Arc::clone(&shared);
        shared.spawn("embedding-model", move || looking.look_for(&model))?;
        Ok(Self(Arc::new(Handle { shared })))
    }

    /// The vector of `text`. Dropping the future gives the place in the queue back.
    ///
    /// Refused: a text that says nothing (`invalid_argument`), when too many wait
    /// (`resource_exhausted`, the limit `embedding.max_queue`), without a model (`unavailable`).
    pub async fn embed(&self, text: &str) -> Result<Embedding, Fault> {
        let answer = self.push(Lane::Request, text)?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The vectors of `texts`, in their order, or the first refusal, with its place in the list in
    /// the details as `index`. Few of them wait in the queue at a time, behind single texts, so
    /// that a long list neither fills it nor holds up anybody.
    pub async fn embed_many(&self, texts: &[String]) -> Result<Vec<Embedding>, Fault> {
        if texts.len() > MANY_MAX_TEXTS {
            return Err(Fault::exhausted("embedding.many_max_texts", MANY_MAX_TEXTS));
        }
        let settings = &self.0.shared.settings;
        let ahead = settings.workers * settings.max_batch * MANY_BATCHES_AHEAD;
        let mut embeddings = Vec::with_capacity(texts.len());
        let mut waiting = VecDeque::with_capacity(ahead);
        let mut next = 0;
        while embeddings.len() < texts.len() {
            let pushed = match texts.get(next) {
                Some(text) if waiting.len() < ahead => Some(self.push(Lane::Bulk, text)),
                _ => None,
            };
            match pushed {
                Some(Ok(answer)) => {
                    waiting.push_back(answer);
                    next += 1;
                    continue;
                }
                // Others fill the queue: there is room for the next when one of ours is done.
                Some(Err(fault)) if fault.code != Code::ResourceExhausted || waiting.is_empty() => {
                    return Err(fault.with("index", next));
                }
                _ => {}
            }
            if let Some(answer) = waiting.pop_front() {
                let answer: Result<_, oneshot::error::RecvError> = answer.await;
                let embedding = answer.unwrap_or_else(|_| Err(stopped()));
                embeddings.push(embedding.map_err(|fault| fault.with("index", embeddings.len()))?);
            }
        }
        Ok(embeddings)
    }

    /// Whether it can answer, and with which model.
    pub fn status(&self) -> Status {
        self.0.shared.status.borrow().clone()
    }

    /// Follows [`status`](Self::status).
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.0.shared.status.subscribe()
    }

    /// What it has done so far.
    pub fn statistics(&self) -> Statistics {
        let queue = &self.0.shared.queue;
        queue.counters.read(queue.len())
    }

    /// The text as the model sees it: the exact key for a cache of vectors.
    pub fn normalise(&self, text: &str) -> Result<String, Fault> {
        normalise(text, self.0.shared.max_text_bytes)
    }

    /// Takes no more texts, and waits until what was taken is answered and the threads have ended.
    pub async fn stop(&self) {
        self.0.shared.queue.close();
        let mut status = self.watch();
        // The sender lives as long as this handle, so this ends only by the last thread.
        let _ = status.wait_for(|status| *status == Status::Stopped).await;
    }

    fn push(
        &self,
        lane: Lane,
        text: &str,
    ) -> Result<oneshot::Receiver<Result<Embedding, Fault>>, Fault> {
        let shared = &self.0.shared;
        let text = self.normalise(text)?;
        // Held until the text is in the queue: else it could come in just after the queue was
        // told that there is no model.
        let status = shared.status.borrow();
        if let Status::Unavailable(why) = &*status {
            return Err(why.clone().into());
        }
        shared.queue.push(lane, text)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Shared {
    fn new(settings: EmbedderSettings, max_text_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(settings.max_queue),
            status: watch::Sender::new(Status::Loading),
            settings,
            max_text_bytes,
            threads: AtomicUsize::new(0),
        })
    }

    /// Opens a session for each worker, and starts them.
    fn run(self: &Arc<Self>, model: &mut Model) -> Result<(), EmbeddingError> {
        let EmbedderSettings { workers, threads_per_worker, max_batch, .. } = self.settings;
        let sessions: Result<Vec<Session>, _> =
            (0..workers).map(|_| model.session(threads_per_worker)).collect();
        for (number, mut session) in sessions?.into_iter().enumerate() {
            let shared = Arc::clone(self);
            let spawned = self.spawn(&format!("embedding-{number}"), move || {
                worker::run(&shared.queue, &mut session, max_batch);
            });
            match spawned {
                Err(error) if number == 0 => return Err(error),
                Err(error) => tracing::warn!(%error, "fewer workers than asked for"),
                Ok(()) => {}
            }
        }
        self.status.send_replace(Status::Ready(model.info.clone()));
        Ok(())
    }

    fn look_for(self: &Arc<Self>, settings: &ModelSettings) {
        let mut pause = Duration::from_secs(RETRY_FIRST_SECONDS);
        loop {
            match Model::find(settings).and_then(|mut model| self.run(&mut model)) {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "no embeddings for now");
                    self.status.send_replace(Status::Unavailable(error.clone()));
                    self.queue.fail_all(&error.into());
                }
            }
            if !self.queue.sleep_unless_closed(pause) {
                return;
            }
            pause = (pause * 2).min(Duration::from_secs(RETRY_MAX_SECONDS));
        }
    }

    /// Starts a thread that counts: the last one to end says so.
    fn spawn(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), EmbeddingError> {
        let ending = Ending::begin(Arc::clone(self));
        let started: io::Result<_> =
            thread::Builder::new().name(name.to_owned()).spawn(move || {
                let _ending = ending;
                work();
            });
        started.map(drop).map_err(|error| EmbeddingError::unusable("a thread", error))
    }
}

/// Counts one thread until it ends, however it ends.
struct Ending(Arc<Shared>);

impl Ending {
    fn begin(shared: Arc<Shared>) -> Self {
        shared.threads.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.0.threads.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.queue.close();
            self.0.queue.fail_all(&stopped());
            self.0.status.send_replace(Status::Stopped);
        }
    }
}
