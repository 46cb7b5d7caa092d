//! Learning: from routes and offers to a router, beside the requests.
//!
//! Whenever routes or offers change, what is new is embedded and a router is made of it, on threads
//! of its own; requests go on with the router before until the new one takes its place whole. A large
//! table is first trained and only then calibrated anew, so that a change is visible soon. Invariant:
//! a text is embedded once for as long as it is in the table and the model stays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use troupe_domain::{Code, Fault, Name};
use troupe_embedding::{Embedder, Embedding, ModelInfo, Status};
use troupe_intent::cache::{Purpose, difference};
use troupe_intent::{Examples, Route, Router, Settings};

use super::knowledge::Knowledge;
use crate::rules::catalogue::{Catalogue, Way};
use crate::rules::utterance;

/// How long a change waits for others that come with it.
const GATHER_FOR: Duration = Duration::from_millis(20);
/// How long a large table must rest before it is calibrated anew.
const REST_FOR: Duration = Duration::from_secs(2);
/// Changes in a row after which a large table is calibrated although it does not rest.
const MAX_QUICK_ROUNDS: u32 = 16;
/// Examples times routes above which a change is trained first and calibrated later.
const LARGE_CELLS: usize = 20_000;
/// Texts that are embedded in one go.
const EMBED_TEXTS: usize = 512;
/// How long to wait before texts are embedded again that could not be.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What was learned, whole; it does not change.
#[derive(Debug, Default)]
pub(super) struct Taught {
    /// The router; absent where there is nothing to choose from.
    pub(super) router: Option<Router>,
    /// What the agents offered and what the routes were; absent where texts of them have no vector
    /// yet, or where it is still to be calibrated: what it says then is not to be remembered.
    pub(super) rests_on: Option<(u64, u64)>,
    /// The model.
    pub(super) model: String,
    /// What the router was made of.
    pub(super) examples: Option<Arc<Examples>>,
    /// By the key of a text: the route of which it is an example.
    letters: HashMap<String, Name>,
    /// By route: what it was said not to be meant by.
    against: HashMap<String, Against>,
}

#[derive(Debug, Default)]
struct Against {
    keys: HashSet<String>,
    near: Vec<(String, Embedding)>,
}

impl Taught {
    /// The route of which `text` is an example, to the letter.
    pub(super) fn example_of(&self, text: &str) -> Option<&Name> {
        self.letters.get(&utterance::key(text))
    }

    /// Whether somebody said that `route` is not meant by this text, or by one that says the same.
    pub(super) fn vetoes(
        &self,
        route: &str,
        text: &str,
        vector: &Embedding,
        similarity_min: f32,
    ) -> bool {
        self.against.get(route).is_some_and(|against| {
            against.keys.contains(&utterance::key(text))
                || against.near.iter().any(|(other, at)| {
                    at.dot(vector) >= similarity_min
                        && difference(other, text, Purpose::Route).is_none()
                })
        })
    }
}

/// How far learning is.
#[derive(Debug, Clone)]
pub(super) enum Progress {
    /// There is a router, or nothing to choose from.
    Ready(Arc<Taught>),
    /// Not yet, or not for now: why, in words.
    Not(String),
}

/// What makes routers.
pub(super) struct School {
    /// What turns texts into vectors.
    pub(super) embedder: Embedder,
    /// Told when routes or offers change.
    pub(super) changed: Arc<Notify>,
    progress: watch::Sender<Progress>,
    /// The model that ran last.
    model: RwLock<Option<ModelInfo>>,
}

impl School {
    pub(super) fn new(embedder: Embedder, changed: Arc<Notify>) -> Self {
        let progress = watch::Sender::new(Progress::Not("the model is being loaded".to_owned()));
        Self { embedder, changed, progress, model: RwLock::new(None) }
    }

    /// The model that runs, or ran last.
    pub(super) fn model(&self) -> Option<ModelInfo> {
        self.model.read().clone()
    }

    /// How far learning is now.
    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits until the first router is there or it is known that there is no model, for at most
    /// `patience`; then gives how far it is.
    pub(super) async fn settled(&self, patience: Duration) -> Progress {
        let settled = |progress: &Progress| {
            matches!(progress, Progress::Ready(_))
                || matches!(self.embedder.status(), Status::Unavailable(_) | Status::Stopped)
        };
        let mut following = self.progress.subscribe();
        let _ = timeout(patience, following.wait_for(settled)).await;
        match (self.progress(), self.embedder.status()) {
            // What the loop says of it may be on its way still.
            (Progress::Not(_), status @ (Status::Unavailable(_) | Status::Stopped)) => {
                Progress::Not(status.to_string())
            }
            (progress, _) => progress,
        }
    }

    fn ready(&self) -> Option<Arc<Taught>> {
        match &*self.progress.borrow() {
            Progress::Ready(taught) => Some(taught.clone()),
            Progress::Not(_) => None,
        }
    }
}

/// Learns for as long as it is let.
pub(super) async fn run(knowledge: Arc<Knowledge>) {
    let school = &knowledge.school;
    let mut status = school.embedder.watch();
    let mut vectors = Vectors::default();
    loop {
        let now = status.borrow_and_update().clone();
        match now {
            Status::Ready(model) => {
                let known = school.model.write().replace(model.clone());
                if known.is_some_and(|known| known.id != model.id) {
                    vectors = Vectors::default();
                }
                match learn(&knowledge, &model, &mut vectors).await {
                    Ok(()) => {}
                    Err(fault) => {
                        tracing::warn!(%fault, "routes are not learned for now");
                        tokio::select! {
                            () = sleep(AGAIN_AFTER) => continue,
                            _ = status.changed() => continue,
                        }
                    }
                }
            }
            // A router that is there stays: what is cached is of use without a model, too.
            other => {
                school.progress.send_if_modified(|progress| {
                    let waiting = matches!(progress, Progress::Not(_));
                    if waiting {
                        *progress = Progress::Not(other.to_string());
                    }
                    waiting
                });
            }
        }
        tokio::select! {
            () = school.changed.notified() => sleep(GATHER_FOR).await,
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}

/// Learns until what is learned is what there is. While many texts are to be embedded, a router of
/// those that are takes its place now and then, so that nobody's change waits for all of them; but the
/// first router of a process is whole, because one that knows half of the routes takes their messages
/// for each other's.
async fn learn(
    knowledge: &Arc<Knowledge>,
    model: &ModelInfo,
    vectors: &mut Vectors,
) -> Result<(), Fault> {
    let school = &knowledge.school;
    let began = Instant::now();
    let mut rounds = 0;
    loop {
        let catalogue = catalogue(knowledge).await?;
        let left = vectors.embed(knowledge, model, &catalogue).await?;
        let former = school.ready().filter(|former| former.model == model.id);
        if left > 0 && former.is_none() {
            let why = format!("routes are being learned: {left} texts are left");
            school.progress.send_replace(Progress::Not(why));
            continue;
        }
        let texts: usize = catalogue.ways.iter().map(|way| way.texts.len()).sum();
        let large = catalogue.ways.len().saturating_mul(texts) > LARGE_CELLS;
        let known = former.as_ref().is_some_and(|former| former.router.is_some());
        // The first rounds of a change are for whoever waits for it, the last one for calibration.
        let quickly = known && (left > 0 || (large && rounds < MAX_QUICK_ROUNDS));
        let task = Task { catalogue, left, model: model.clone(), former, quickly };
        let taught = vectors.make(task, knowledge.config.router).await?;
        school.progress.send_replace(Progress::Ready(Arc::new(taught)));
        if left > 0 {
            continue;
        }
        if !quickly {
            break;
        }
        // Calibrated when the table rests, or when it never does.
        let rests = timeout(REST_FOR, school.changed.notified()).await.is_err();
        rounds = if rests { MAX_QUICK_ROUNDS } else { rounds + 1 };
    }
    let milliseconds = began.elapsed().as_millis() as u64;
    tracing::debug!(model = model.id, milliseconds, "routes are learned");
    Ok(())
}

async fn catalogue(knowledge: &Arc<Knowledge>) -> Result<Catalogue, Fault> {
    let knowledge = knowledge.clone();
    on_a_thread(move || {
        knowledge.routes.look(|table| {
            let roster = knowledge.roster.read();
            Catalogue::of(table, roster.offers())
        })
    })
    .await
}

/// Vectors of the texts of routes, by text.
#[derive(Debug, Default)]
struct Vectors {
    known: HashMap<String, Embedding>,
    /// Texts that waited in the round before: whoever came since goes first.
    waiting: HashSet<String>,
}

/// What a router is made of, and how.
struct Task {
    catalogue: Catalogue,
    /// Texts that have no vector yet.
    left: usize,
    model: ModelInfo,
    former: Option<Arc<Taught>>,
    /// Keeps what the former router knew about being sure.
    quickly: bool,
}

impl Vectors {
    /// Embeds texts of `catalogue` that have no vector, at most [`EMBED_TEXTS`], and forgets vectors
    /// of others. What another replica embedded is taken over from there. Gives how many are left.
    async fn embed(
        &mut self,
        knowledge: &Knowledge,
        model: &ModelInfo,
        catalogue: &Catalogue,
    ) -> Result<usize, Fault> {
        let school = &knowledge.school;
        let texts: HashSet<&str> = catalogue.texts().collect();
        self.known.retain(|text, _| texts.contains(text.as_str()));
        let says = |text: &&str| school.embedder.normalise(text).is_ok();
        let missing = texts.into_iter().filter(|text| !self.known.contains_key(*text)).filter(says);
        let mut missing: Vec<String> = missing.map(str::to_owned).collect();
        missing.sort_unstable_by_key(|text| (self.waiting.contains(text), text.clone()));
        let later = missing.split_off(missing.len().min(EMBED_TEXTS));
        self.waiting = later.into_iter().collect();
        if let Some(shared) = &knowledge.shared {
            let found = shared.vectors(&model.id, &missing).await;
            let fits = |(_, one): &(String, Embedding)| one.dimensions() == model.dimensions;
            self.known.extend(found.into_iter().filter(fits));
            missing.retain(|text| !self.known.contains_key(text));
        }
        let embedded = school.embedder.embed_many(&missing).await?;
        if let Some(shared) = &knowledge.shared {
            shared.store_vectors(&model.id, &missing, &embedded).await;
        }
        self.known.extend(missing.into_iter().zip(embedded));
        Ok(self.waiting.len())
    }

    /// Makes a router, on a thread of its own.
    async fn make(&mut self, task: Task, settings: Settings) -> Result<Taught, Fault> {
        let known = std::mem::take(&mut self.known);
        let (taught, known) = on_a_thread(move || (taught(&task, &known, settings), known)).await?;
        self.known = known;
        taught
    }
}

fn taught(
    task: &Task,
    known: &HashMap<String, Embedding>,
    settings: Settings,
) -> Result<Taught, Fault> {
    let Task { catalogue, left, model, former, quickly } = task;
    let examples = examples(catalogue, known, model.dimensions)?;
    let former = former.as_ref().and_then(|former| former.router.as_ref());
    let router = match &examples {
        Some(examples) => Some(router(catalogue, examples, settings, former, *quickly)?),
        None => None,
    };
    let against = catalogue.ways.iter().filter(|way| !way.against.is_empty());
    let against = against.map(|way| (way.route.to_string(), against_of(way, known)));
    Ok(Taught {
        router,
        examples,
        rests_on: (*left == 0 && !quickly).then_some((catalogue.fleet, catalogue.routes)),
        model: model.id.clone(),
        letters: catalogue.letters(),
        against: against.collect(),
    })
}

/// What there is to learn from; `None` where there is nothing.
fn examples(
    catalogue: &Catalogue,
    known: &HashMap<String, Embedding>,
    dims: usize,
) -> Result<Option<Arc<Examples>>, Fault> {
    let routes = catalogue.ways.iter().map(|way| {
        let examples = way.texts.iter().filter_map(|text| known.get(text));
        let examples = examples.map(|vector| vector.as_slice().to_vec()).collect();
        Route { name: way.route.to_string(), examples }
    });
    // What has no vector cannot be chosen by one.
    let routes: Vec<Route> = routes.filter(|route| !route.examples.is_empty()).collect();
    if routes.is_empty() {
        return Ok(None);
    }
    Examples::new(dims, routes).map(|examples| Some(Arc::new(examples)))
}

fn router(
    catalogue: &Catalogue,
    examples: &Examples,
    settings: Settings,
    former: Option<&Router>,
    quickly: bool,
) -> Result<Router, Fault> {
    let router = match former {
        Some(former) if quickly => former.retrained(examples),
        _ => Router::fit(examples, &settings, former)?.0,
    };
    let wanted: HashMap<&str, f32> = catalogue
        .ways
        .iter()
        .filter_map(|way| Some((way.route.as_str(), way.threshold? as f32)))
        .collect();
    Ok(router.with_thresholds(|route| wanted.get(route).copied()))
}

fn against_of(way: &Way, known: &HashMap<String, Embedding>) -> Against {
    let near = way.against.iter().filter_map(|text| Some((text.clone(), known.get(text)?.clone())));
    Against {
        keys: way.against.iter().map(|text| utterance::key(text)).collect(),
        near: near.collect(),
    }
}

/// Runs what takes long where it holds up nobody.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let done = spawn_blocking(work).await;
    done.map_err(|why| Fault::new(Code::Internal, format!("learning ended early: {why}")))
}
