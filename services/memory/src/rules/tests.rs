//! Laws of the rules, with seeds: a replay and a snapshot give the same state, retraction reaches what
//! derives and nothing else, what is deleted is nowhere, tiers follow the rules.

use std::collections::BTreeSet;

use proptest::prelude::*;
use troupe_contract::memory::{Alike, MemorySearchRequest, UpdateMemoryRequest};
use troupe_domain::memory::{
    AgentOutcome, Memory, MemoryDetails, MemoryId, MemorySource, MemoryStatus, MemoryTier,
    MemoryType, Namespace, Provenance, TrustLevel,
};
use troupe_domain::{Fault, Name, Timestamp};
use troupe_recall::Vector;
use troupe_shard::Machine;

use super::decay::{prior, wanted_tier};
use super::entry::sha256_of;
use super::history::AskTracks;
use super::record::{Embedded, Heard, Record};
use super::request::{MemoryAnswer, MemoryRequest, NewMemory, Searching};
use super::snapshot::SnapshotLine;
use super::state::{MemoryState, Settings};
use crate::handlers::writing::blank;

const SECRET: &str = "xyzzyplugh";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000).plus_millis(seconds * 1000)
}

fn space() -> Namespace {
    Namespace::default()
}

fn settings() -> Settings {
    Settings { has_cold: true, admins: vec![name("admin")], ..Settings::default() }
}

fn from(author: &str) -> Provenance {
    Provenance {
        author: name(author),
        task_id: None,
        epoch: None,
        session_id: None,
        trace: None,
        derived_from: Vec::new(),
        source: MemorySource::Agent,
    }
}

fn entry(id: &str, author: &str, text: &str, parents: &[&str], now: Timestamp) -> Memory {
    let derived_from = parents.iter().map(|parent| name(parent)).collect();
    Memory {
        id: name(id),
        ..blank(
            text.to_owned(),
            MemoryType::Semantic,
            Provenance { derived_from, ..from(author) },
            now,
        )
    }
}

fn creation(memory: Memory) -> MemoryRequest {
    MemoryRequest::Create(Box::new(NewMemory { memory, supersedes: None, keyed: false }))
}

/// A machine with its log, as a shard keeps it.
struct Shard {
    machine: MemoryState,
    log: Vec<Record>,
    now: Timestamp,
}

impl Shard {
    fn new() -> Self {
        Self { machine: MemoryState::new(settings()), log: Vec::new(), now: at(0) }
    }

    fn ask(&mut self, request: MemoryRequest) -> Result<MemoryAnswer, Fault> {
        let answer = self.machine.execute(request, self.now, 0.0);
        self.keep();
        answer
    }

    fn keep(&mut self) {
        let records = std::mem::take(&mut self.machine.drafts().records);
        let told: usize = records.iter().map(MemoryState::notices_of).sum();
        assert_eq!(self.machine.drafts().notices.len(), told, "a record says how many follow");
        self.machine.drafts().notices.clear();
        self.log.extend(records);
    }

    fn create(&mut self, id: &str, text: &str, parents: &[&str]) {
        let memory = entry(id, "ada", text, parents, self.now);
        self.ask(creation(memory)).unwrap();
    }

    fn status(&self, id: &str) -> MemoryStatus {
        self.machine.entry(&space(), &name(id)).unwrap().memory.status
    }

    fn replayed(&self) -> MemoryState {
        let mut machine = MemoryState::new(settings());
        for record in &self.log {
            let text = serde_json::to_string(record).unwrap();
            let record: Record = serde_json::from_str(&text).unwrap();
            machine.apply(&record);
        }
        machine
    }

    fn restored(&self) -> MemoryState {
        let mut machine = MemoryState::new(settings());
        for line in self.machine.snapshot() {
            let text = serde_json::to_string(&line).unwrap();
            machine.restore(serde_json::from_str::<SnapshotLine>(&text).unwrap());
        }
        machine
    }

    fn found(&self, query: &str) -> BTreeSet<MemoryId> {
        found(&self.machine, query, self.now)
    }
}

fn searching(request: MemorySearchRequest, reader: Option<Name>, limit: usize) -> Searching {
    Searching {
        namespace: space(),
        request,
        vector: None,
        model: None,
        consensus: None,
        reader,
        not_task: None,
        outcomes: false,
        offset: 0,
        limit,
    }
}

fn found(machine: &MemoryState, query: &str, now: Timestamp) -> BTreeSet<MemoryId> {
    let request = MemorySearchRequest {
        query: (!query.is_empty()).then(|| query.to_owned()),
        ..MemorySearchRequest::default()
    };
    let searching = searching(request, None, 100);
    match machine.search(&searching, now) {
        MemoryAnswer::Results { hits, .. } => {
            hits.into_iter().map(|hit| hit.found.memory.id).collect()
        }
        _ => unreachable!("a search gives results"),
    }
}

/// What somebody does, chosen by numbers.
fn act(shard: &mut Shard, step: usize, (what, one, other): (u8, u8, u8)) {
    let id = |number: u8| format!("m{}", number % 24);
    let (target, parent) = (id(one), id(other));
    let author = ["ada", "bob"][usize::from(one % 2)];
    shard.now = shard.now.plus_millis(u64::from(other) * 60_000);
    let request = match what % 10 {
        0..=3 => {
            let text = format!("note {step} says that {SECRET}{one} is {other} of the plan");
            let parents: &[&str] = if what % 3 == 0 { &[&parent] } else { &[] };
            let mut memory = entry(&target, author, &text, parents, shard.now);
            memory.memory_type = MemoryType::ALL[usize::from(other) % 4];
            memory.importance = f64::from(other) / 255.0;
            if memory.memory_type == MemoryType::Working {
                memory.expires_at = Some(shard.now.plus_millis(1_000_000));
            }
            creation(memory)
        }
        4 => MemoryRequest::Get {
            namespace: Some(space()),
            id: name(&target),
            reader: Some(name(["carol", "dave"][usize::from(other % 2)])),
        },
        5 => MemoryRequest::Retract {
            namespace: space(),
            id: name(&target),
            reason: "wrong".to_owned(),
            by: name("bob"),
        },
        6 => MemoryRequest::Delete {
            namespace: space(),
            id: name(&target),
            reason: None,
            by: name("admin"),
            salt: format!("salt{step}"),
        },
        7 => MemoryRequest::Update {
            namespace: space(),
            update: Box::new(UpdateMemoryRequest {
                content: Some(format!("note {step} corrects {SECRET}")),
                ..UpdateMemoryRequest::new(name(&target), u64::from(other % 3) + 1)
            }),
            quarantine: Vec::new(),
            by: name(author),
        },
        8 => MemoryRequest::Verify {
            namespace: space(),
            id: name(&target),
            trust_level: TrustLevel::ALL[usize::from(other) % 4],
            reason: None,
            by: name("carol"),
        },
        _ => {
            let vector = Vector::quantise(&[f32::from(one), f32::from(other), 1.0]).unwrap();
            let known = shard.machine.space(&space()).and_then(|s| s.get(&name(&target)));
            let sha256 = known.map_or_else(|| sha256_of("nothing"), |known| known.sha256.clone());
            MemoryRequest::Embedded {
                model: "model".to_owned(),
                namespace: space(),
                vectors: vec![Embedded { id: name(&target), sha256, vector }],
            }
        }
    };
    // A refusal is an answer: it must leave nothing behind.
    let before = shard.log.len();
    if shard.ask(request).is_err() {
        assert_eq!(shard.log.len(), before, "what is refused writes nothing");
    }
    shard.machine.fire(shard.now, 1_000);
    shard.keep();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_replay_and_a_snapshot_give_the_same_state(
        steps in prop::collection::vec((0_u8..10, any::<u8>(), any::<u8>()), 1..80)
    ) {
        let mut shard = Shard::new();
        for (number, step) in steps.into_iter().enumerate() {
            act(&mut shard, number, step);
        }
        shard.ask(MemoryRequest::Flush).unwrap();
        let (replayed, restored) = (shard.replayed(), shard.restored());
        prop_assert_eq!(shard.machine.snapshot(), replayed.snapshot());
        prop_assert_eq!(shard.machine.snapshot(), restored.snapshot());
        for machine in [&replayed, &restored] {
            prop_assert_eq!(shard.found("note plan"), found(machine, "note plan", shard.now));
            prop_assert_eq!(shard.found(""), found(machine, "", shard.now));
            prop_assert_eq!(shard.machine.bytes(), machine.bytes());
        }
        // Two that contradict say so of each other.
        let entries = shard.machine.spaces.values().flat_map(super::space::Space::entries);
        for entry in entries {
            for other in &entry.memory.conflicts_with {
                let other = shard.machine.entry(&space(), other).unwrap();
                prop_assert!(other.memory.conflicts_with.contains(&entry.memory.id));
            }
        }
    }

    #[test]
    fn a_retraction_reaches_everything_that_derives_and_nothing_else(
        parents in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 2..30),
        root in any::<prop::sample::Index>(),
    ) {
        let mut shard = Shard::new();
        let id = |number: usize| format!("n{number:03}");
        let mut edges: Vec<Vec<usize>> = Vec::new();
        for (number, wanted) in parents.iter().enumerate() {
            let mut on: Vec<usize> = wanted.iter().filter(|_| number > 0).map(|i| i.index(number)).collect();
            on.sort_unstable();
            on.dedup();
            let names: Vec<String> = on.iter().map(|n| id(*n)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            shard.now = shard.now.plus_millis(1);
            shard.create(&id(number), &format!("claim {number} about nothing alike {number}{number}"), &names);
            edges.push(on);
        }
        let root = root.index(edges.len());
        let mut reached = BTreeSet::from([root]);
        for (number, on) in edges.iter().enumerate() {
            if on.iter().any(|parent| reached.contains(parent)) {
                reached.insert(number);
            }
        }
        let request = MemoryRequest::Retract {
            namespace: space(), id: name(&id(root)), reason: "wrong".to_owned(), by: name("ada"),
        };
        let MemoryAnswer::Retracted(reply) = shard.ask(request).unwrap() else { unreachable!() };
        prop_assert_eq!(reply.affected as usize, reached.len() - 1);
        for number in 0..edges.len() {
            let is_retracted = shard.status(&id(number)) == MemoryStatus::Retracted;
            prop_assert_eq!(is_retracted, reached.contains(&number));
        }
        prop_assert_eq!(shard.found("claim nothing").len(), (edges.len() - reached.len()).min(100));
    }
}

#[test]
fn what_is_deleted_is_nowhere_in_the_state() {
    let mut shard = Shard::new();
    shard.create("secret", &format!("the word is {SECRET}"), &[]);
    shard.create("other", "nothing of note", &[]);
    let delete = |by: &str| MemoryRequest::Delete {
        namespace: space(),
        id: name("secret"),
        reason: None,
        by: name(by),
        salt: "salt".to_owned(),
    };
    assert!(shard.ask(delete("bob")).is_err(), "neither the author nor an admin");
    let MemoryAnswer::Deletion(receipt) = shard.ask(delete("ada")).unwrap() else { unreachable!() };
    assert!(!receipt.complete);
    let lines = serde_json::to_string(&shard.machine.snapshot()).unwrap();
    assert!(!lines.contains(SECRET) && !format!("{:?}", shard.machine).contains(SECRET));
    assert!(shard.found(SECRET).is_empty());
    // The proof needs the content, which only who has it can bring.
    let content = format!("the word is {SECRET}");
    assert_eq!(receipt.content_digest, super::entry::salted("salt", &sha256_of(&content)));
    for tier in ["hot", "cold", "log"] {
        let ids = vec![name("secret")];
        let request = MemoryRequest::Gone { namespace: space(), ids, tier: tier.to_owned() };
        shard.ask(request).unwrap();
    }
    let read = MemoryRequest::Deletion { namespace: space(), id: name("secret") };
    let MemoryAnswer::Deletion(receipt) = shard.ask(read).unwrap() else { unreachable!() };
    assert!(receipt.complete);
}

#[test]
fn tiers_follow_the_rules() {
    let rules = settings();
    let mut shard = Shard::new();
    shard.create("old", "an old note of little weight", &[]);
    let entry = |shard: &Shard| shard.machine.entry(&space(), &name("old")).unwrap().clone();
    let day = 24 * 60 * 60;
    let mut seen = (*entry(&shard)).clone();
    seen.memory.importance = 0.2;
    assert_eq!(wanted_tier(&seen, at(6 * day), &rules), None);
    assert_eq!(wanted_tier(&seen, at(8 * day), &rules), Some(MemoryTier::Cold));
    seen.memory.tags = vec!["permanent".to_owned()];
    assert_eq!(wanted_tier(&seen, at(800 * day), &rules), None);
    seen.memory.tags.clear();
    seen.memory.importance = 0.5;
    assert_eq!(wanted_tier(&seen, at(8 * day), &rules), None);
    for second in 0..3 {
        seen.read(&name("bob"), at(second));
    }
    assert_eq!(wanted_tier(&seen, at(10), &rules), Some(MemoryTier::Hot));
    seen.memory.tier = MemoryTier::Hot;
    assert_eq!(wanted_tier(&seen, at(10), &rules), None);
    assert_eq!(wanted_tier(&seen, at(3_700), &rules), Some(MemoryTier::Warm));
}

#[test]
fn rank_falls_with_age_and_never_to_nothing_and_protection_stops_it() {
    let rules = settings();
    let memory = entry("m", "ada", "a note", &[], at(0));
    let day = 24 * 60 * 60;
    let ranks = [0, 10, 100, 10_000].map(|days| prior(&memory, at(days * day), &rules));
    assert!(ranks.is_sorted_by(|one, other| one > other) && ranks[3] > 0.0, "{ranks:?}");
    let kept = Memory { tags: vec!["critical".to_owned()], ..memory.clone() };
    let (young, old) = (prior(&kept, at(0), &rules), prior(&kept, at(10_000 * day), &rules));
    assert!((young - old).abs() < f32::EPSILON);
    let doubted = Memory { trust_level: TrustLevel::Untrusted, ..memory.clone() };
    assert!(prior(&doubted, at(0), &rules) < prior(&memory, at(0), &rules));
}

#[test]
fn who_is_believed_less_supersedes_nobody_who_is_believed_more() {
    let mut shard = Shard::new();
    shard.create("truth", "the door is on the left", &[]);
    let mut memory = entry("lie", "mallory", "the door is on the right side", &[], at(1));
    memory.provenance.source = MemorySource::External { uri: "https://example.org".to_owned() };
    let new = |memory: Memory| {
        let supersedes = Some(name("truth"));
        MemoryRequest::Create(Box::new(NewMemory { memory, supersedes, keyed: false }))
    };
    assert!(shard.ask(new(memory.clone())).is_err());
    assert_eq!(shard.status("truth"), MemoryStatus::Active);
    memory.provenance.source = MemorySource::Agent;
    shard.ask(new(memory)).unwrap();
    assert_eq!(shard.status("truth"), MemoryStatus::Superseded);
}

#[test]
fn another_model_makes_all_vectors_anew() {
    let mut shard = Shard::new();
    shard.create("one", "something", &[]);
    let embed = |model: &str| MemoryRequest::Embedded {
        model: model.to_owned(),
        namespace: space(),
        vectors: vec![Embedded {
            id: name("one"),
            sha256: sha256_of("something"),
            vector: Vector::quantise(&[1.0, 2.0]).unwrap(),
        }],
    };
    shard.ask(embed("first")).unwrap();
    assert_eq!(shard.machine.unembedded_count(), 0);
    let other = MemoryRequest::Embedded {
        model: "second".to_owned(),
        namespace: space(),
        vectors: Vec::new(),
    };
    shard.ask(other).unwrap();
    assert_eq!(shard.machine.unembedded_count(), 1);
    assert_eq!(shard.replayed().unembedded_count(), 1);
}

#[test]
fn whom_a_search_showed_something_is_told_when_it_is_taken_back() {
    let mut shard = Shard::new();
    shard.create("claim", "the valve opens to the left", &[]);
    let request =
        MemorySearchRequest { query: Some("valve".to_owned()), ..MemorySearchRequest::default() };
    let searching = searching(request, Some(name("carol")), 10);
    shard.ask(MemoryRequest::Search(Box::new(searching))).unwrap();
    let memory = &shard.machine.entry(&space(), &name("claim")).unwrap().memory;
    assert_eq!((memory.access_count, memory.last_accessed), (0, None), "it moves no rank");
    shard.ask(MemoryRequest::Flush).unwrap();
    assert_eq!(shard.machine.snapshot(), shard.replayed().snapshot());
    let request = MemoryRequest::Retract {
        namespace: space(),
        id: name("claim"),
        reason: "it opens to the right".to_owned(),
        by: name("ada"),
    };
    shard.ask(request).unwrap();
    let told: Vec<_> = shard.machine.tellings(9).into_iter().map(|one| one.reader).collect();
    assert_eq!(told, [name("carol")]);
}

fn learning(outcomes: &[(&str, bool)], sequence: u64) -> MemoryRequest {
    let outcome =
        |(agent, success): &(&str, bool)| AgentOutcome { agent_id: name(agent), success: *success };
    let told = |(number, (agent, success)): (usize, &(&str, bool))| {
        let text = format!("the {sequence}th valve was turned by {agent} as number {number}");
        let memory = entry(&format!("told-{sequence}-{number}"), crate::NAME, &text, &[], at(0));
        let details = Some(MemoryDetails::Outcome(outcome(&(agent, *success))));
        NewMemory { memory: Memory { details, ..memory }, supersedes: None, keyed: true }
    };
    MemoryRequest::Learn {
        memories: outcomes.iter().enumerate().map(told).collect(),
        outcomes: outcomes.iter().map(outcome).collect(),
        heard: Heard { stream_made_at: at(0), sequence },
    }
}

fn records(shard: &mut Shard, query: Option<&str>) -> Vec<(u64, u64, Option<Alike>)> {
    let alike = query.map(|query| {
        let query = Some(query.to_owned());
        let request = MemorySearchRequest { query, ..MemorySearchRequest::default() };
        Box::new(Searching { outcomes: true, ..searching(request, None, 64) })
    });
    let agents = vec![name("ann"), name("bob"), name("new")];
    let asked = MemoryRequest::Tracks(Box::new(AskTracks { agents, alike }));
    let MemoryAnswer::Tracks(records) = shard.ask(asked).unwrap() else { unreachable!() };
    records.into_iter().map(|one| (one.succeeded, one.failed, one.alike)).collect()
}

#[test]
fn what_agents_achieved_is_counted_once_and_survives() {
    let mut shard = Shard::new();
    shard.ask(learning(&[("ann", true), ("bob", false), ("ann", false)], 7)).unwrap();
    // The same events again, as after a change of the owner: they were heard.
    shard.ask(learning(&[("ann", true), ("bob", false), ("ann", false)], 7)).unwrap();
    shard.ask(learning(&[("ann", true)], 9)).unwrap();
    let counted = [(2, 1, None), (0, 1, None), (0, 0, None)];
    assert_eq!(records(&mut shard, None), counted);
    for machine in [shard.replayed(), shard.restored()] {
        shard.machine = machine;
        shard.machine.drafts().notices.clear();
        assert_eq!(records(&mut shard, None), counted);
    }
}

#[test]
fn what_is_alike_is_what_the_service_heard_and_nobody_took_back() {
    let mut shard = Shard::new();
    shard.ask(learning(&[("ann", true), ("bob", false)], 1)).unwrap();
    let details =
        Some(MemoryDetails::Outcome(AgentOutcome { agent_id: name("bob"), success: true }));
    let forged = entry("forged", "bob", "the valve was turned by bob, and well", &[], at(0));
    shard.ask(creation(Memory { details, ..forged })).unwrap();
    let found = records(&mut shard, Some("turn the valve"));
    assert!(found[0].2.unwrap().succeeded > 0.0 && found[0].2.unwrap().failed == 0.0);
    let bob = found[1].2.unwrap();
    assert!(bob.failed > 0.0 && bob.succeeded == 0.0, "what he says of himself does not count");
    assert_eq!(found[2].2, None);
    let request = MemoryRequest::Retract {
        namespace: space(),
        id: name("told-1-1"),
        reason: "it was another".to_owned(),
        by: name("admin"),
    };
    shard.ask(request).unwrap();
    assert_eq!(records(&mut shard, Some("turn the valve"))[1].2, None);
    assert_eq!(records(&mut shard, Some("something else entirely"))[0].2, None);
}
