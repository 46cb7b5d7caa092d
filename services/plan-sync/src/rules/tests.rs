//! Laws over any history: a shard that is read again from its log, or from a snapshot and the rest of the
//! log, is the same shard; each record has the notices that it says; what is refused changes nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use troupe_contract::plan::{Bytes64, DigestRequest};
use troupe_crdt::edit::PlanChange;
use troupe_crdt::{AgentKey, Edit, ItemChange, Kind, NewItem, Replica};
use troupe_domain::{Name, Timestamp, VectorClock};
use troupe_shard::Machine;

use super::notice::count_of;
use super::record::{NewLink, Place, Record};
use super::request::{News, Operation, PlanRequest, TaskMoved};
use super::snapshot::SnapshotLine;
use super::state::{PlanState, Settings};

fn settings() -> Settings {
    Settings {
        shard: 0,
        shards: 1,
        seed: [3; 32],
        max_objects: 3,
        max_bytes: 4 * 1024 * 1024,
        purge_after_ms: 4_000,
        archives: true,
        archive_after_batches: 4,
        archive_after_ms: 10_000,
        max_kept_bytes: 2_500,
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Make(u8),
    Add(u8, u8),
    Title(u8, u8, u8),
    Status(u8, u8, bool),
    Delete(u8, u8),
    /// A replica learns everything, edits, and brings it.
    Bring(u8, u8, u8),
    /// A replica edits what it had last seen, and brings it.
    BringBlind(u8, u8, u8),
    /// A replica of the same name and key tells another story.
    Fork(u8, u8),
    Diverge(u8),
    Link(u8, u8),
    Task(u8, bool),
    Archive,
    Time(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let small = || 0_u8..3;
    let step = prop_oneof![
        2 => small().prop_map(Step::Make),
        4 => (small(), small()).prop_map(|(p, i)| Step::Add(p, i)),
        4 => (small(), small(), any::<u8>()).prop_map(|(p, i, t)| Step::Title(p, i, t)),
        2 => (small(), small(), any::<bool>()).prop_map(|(p, i, d)| Step::Status(p, i, d)),
        1 => (small(), small()).prop_map(|(p, i)| Step::Delete(p, i)),
        4 => (small(), small(), small()).prop_map(|(a, p, i)| Step::Bring(a, p, i)),
        4 => (small(), small(), small()).prop_map(|(a, p, i)| Step::BringBlind(a, p, i)),
        1 => (small(), small()).prop_map(|(a, p)| Step::Fork(a, p)),
        1 => small().prop_map(Step::Diverge),
        2 => (small(), small()).prop_map(|(p, i)| Step::Link(p, i)),
        2 => (small(), any::<bool>()).prop_map(|(i, d)| Step::Task(i, d)),
        2 => Just(Step::Archive),
        3 => (0_u16..3_000).prop_map(Step::Time),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A shard with the replicas that speak to it, and what its log says.
struct Run {
    state: PlanState,
    log: Vec<String>,
    now: Timestamp,
    copies: BTreeMap<(u8, u8), Replica>,
    tasks: u64,
    events: u64,
}

fn key(agent: u8) -> AgentKey {
    AgentKey::from_seed([agent + 1; 32])
}

fn agent(number: u8) -> Name {
    name(&format!("agent-{number}"))
}

fn plan(number: u8) -> Name {
    name(&format!("plan-{number}"))
}

impl Run {
    fn new() -> Self {
        Self {
            state: PlanState::new(settings()),
            log: Vec::new(),
            now: Timestamp::from_millis(1_000_000),
            copies: BTreeMap::new(),
            tasks: 0,
            events: 0,
        }
    }

    /// Carries a request out as the owner of a shard does, and writes what it drafts to the log.
    fn ask(&mut self, request: PlanRequest) {
        let before = self.digest();
        let refused = self.state.execute(request, self.now, 0.5).is_err();
        let wrote = !self.state.drafts.records.is_empty();
        if refused && !wrote {
            assert_eq!(self.digest(), before, "what was refused changed something");
        }
        self.store();
    }

    fn store(&mut self) {
        let said: usize = self.state.drafts.records.iter().map(count_of).sum();
        assert_eq!(said, self.state.drafts.notices.len());
        self.state.drafts.notices.clear();
        let records = self.state.drafts.records.drain(..);
        self.log.extend(records.map(|record| serde_json::to_string(&record).unwrap()));
    }

    fn edit(&mut self, operation: &Value) {
        let operation: Operation = serde_json::from_value(operation.clone()).unwrap();
        let (caller, operation) = (name("ann"), Box::new(operation));
        self.ask(PlanRequest::Edit { caller, operation, key: None, trace: None });
    }

    /// Everything that counts, as text.
    fn digest(&self) -> String {
        digest(&self.state)
    }

    fn copy(&mut self, who: u8, of: u8) -> &mut Replica {
        self.copies.entry((who, of)).or_insert_with(|| Replica::new(plan(of), Kind::Plan))
    }

    fn learn(&mut self, who: u8, of: u8) {
        let Some(object) = self.state.objects.get(&plan(of)) else { return };
        let bytes = object.document.encode();
        // What it wrote itself and the service does not know stays with it.
        let _ = self.copy(who, of).adopt(&bytes);
    }

    fn bring(&mut self, who: u8, of: u8, edits: &[Edit]) {
        let (me, key, now) = (agent(who), key(who), self.now);
        let copy = self.copy(who, of);
        let Ok(operations) = copy.document().operations(&me, edits) else { return };
        let Ok(signed) = copy.write(&me, &key, None, now, operations) else { return };
        let batches = vec![Bytes64(signed.shared_bytes())];
        self.ask(PlanRequest::Apply { caller: me, object: plan(of), batches, trace: None });
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Make(p) => {
                self.edit(&json!({"create_plan": {"plan_id": plan(*p), "name": "A plan"}}));
            }
            Step::Add(p, i) => self.edit(&json!({"add_item": {
                "plan_id": plan(*p),
                "item": {"item_id": format!("i{i}"), "title": "An item"},
            }})),
            Step::Title(p, i, t) => self.edit(&json!({"update_item": {
                "plan_id": plan(*p),
                "item_id": format!("i{i}"),
                "change": {"title": format!("Title {t}")},
            }})),
            Step::Status(p, i, done) => self.edit(&json!({"update_status": {
                "plan_id": plan(*p),
                "item_id": format!("i{i}"),
                "status": if *done { "completed" } else { "pending" },
            }})),
            Step::Delete(p, i) => self.edit(&json!({"delete_item": {
                "plan_id": plan(*p),
                "item_id": format!("i{i}"),
            }})),
            Step::Bring(a, p, i) => {
                self.learn(*a, *p);
                self.bring(*a, *p, &edits(*i));
            }
            Step::BringBlind(a, p, i) => self.bring(*a, *p, &edits(*i)),
            Step::Fork(a, p) => self.fork(*a, *p),
            Step::Diverge(p) => {
                let Some(object) = self.state.objects.get(&plan(*p)) else { return };
                let vector = object.document.vector();
                let digest =
                    DigestRequest { object_id: plan(*p), vector, state_hash: "0".to_owned() };
                self.ask(PlanRequest::Digest { caller: agent(0), digest });
            }
            Step::Link(p, i) => self.link(*p, *i),
            Step::Task(i, done) => self.task(*i, *done),
            Step::Archive => self.archive(),
            Step::Time(ms) => {
                self.now = self.now.plus_millis((*ms).into());
                self.state.fire(self.now, 16);
                self.store();
            }
        }
    }

    /// A second story under a number that was used.
    fn fork(&mut self, who: u8, of: u8) {
        let (me, key, now) = (agent(who), key(who), self.now);
        let Some(object) = self.state.objects.get(&plan(of)) else { return };
        let Some(head) = object.document.heads().get(&me).cloned() else { return };
        let Some(known) = object.kept_batch(&me, head.seq) else { return };
        let mut batch = known.batch().clone();
        batch.at = now.plus_millis(77);
        let Ok(signed) = batch.sign(&key) else { return };
        let batches = vec![Bytes64(signed.shared_bytes())];
        self.ask(PlanRequest::Apply { caller: me, object: plan(of), batches, trace: None });
    }

    fn link(&mut self, of: u8, item: u8) {
        self.tasks += 1;
        let link = NewLink {
            item: name(&format!("i{item}")),
            task: name(&format!("task-{}", self.tasks)),
            role: None,
        };
        let place = Place { stream_made_at: Timestamp::from_millis(1), sequence: self.events };
        self.ask(PlanRequest::Link {
            caller: name("ann"),
            plan: plan(of),
            links: vec![link],
            place,
            trace: None,
        });
    }

    fn task(&mut self, number: u8, done: bool) {
        use troupe_contract::event::TaskEventKind;
        self.events += 1;
        let moved = TaskMoved {
            task: name(&format!("task-{}", self.tasks.saturating_sub(number.into()))),
            news: News::Event(if done {
                TaskEventKind::TaskCompleted
            } else {
                TaskEventKind::TaskRetrying
            }),
            by: Some(name("bob")),
            reason: (!done).then(|| "it failed".to_owned()),
            minutes: done.then_some(7),
            trace: None,
        };
        let place = Place { stream_made_at: Timestamp::from_millis(1), sequence: self.events };
        // Told twice, it moves nothing twice.
        for _ in 0..2 {
            self.ask(PlanRequest::TasksMoved { moves: vec![moved.clone()], place });
        }
    }

    fn archive(&mut self) {
        for due in self.state.due(self.now, 8) {
            let document =
                super::object::replayed(&due.object, due.kind, &due.base, &due.kept).unwrap();
            let known = &self.state.objects[&due.object];
            assert_eq!(document.hash(), known.document.hash());
            let snapshot = document.encode().into();
            let (object, first, through) = (due.object, due.first, due.through);
            self.ask(PlanRequest::Archived { object, first, through, snapshot });
        }
    }

    fn records(&self) -> Vec<Record> {
        self.log.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn edits(item: u8) -> Vec<Edit> {
    let id = name(&format!("i{item}"));
    let title = format!("By a replica {item}");
    let change = ItemChange { title: Some(title.clone()), ..ItemChange::default() };
    let named = PlanChange { name: Some("A plan".to_owned()), ..PlanChange::default() };
    match item {
        0 => vec![Edit::CreatePlan(named)],
        1 => vec![Edit::AddItem { item: id, new: NewItem { title, ..NewItem::default() } }],
        _ => vec![Edit::UpdateItem { item: name("i0"), change, rests_on: None }],
    }
}

fn digest(state: &PlanState) -> String {
    use std::fmt::Write;
    let mut said = String::new();
    for (id, object) in &state.objects {
        let conflicts: Vec<_> = object.conflicts.keys().collect();
        let kept: Vec<_> = object.kept.iter().map(|kept| kept.sequence).collect();
        let _ = writeln!(
            said,
            "{id} {:?} {} {} {} {kept:?} {conflicts:?} {} {:?} {}",
            object.kind,
            object.document.hash(),
            object.sequence,
            object.base.sequence,
            object.forks.len(),
            object.base_vector,
            object.kept_bytes,
        );
    }
    let links: BTreeMap<_, _> = state.links.iter().collect();
    said + &format!("{links:?} {:?} {:?}", state.followed, state.totals)
}

fn again(lines: Vec<SnapshotLine>, records: &[Record]) -> PlanState {
    let mut state = PlanState::new(Settings { seed: [9; 32], ..settings() });
    for line in lines {
        // As it is stored.
        let text = serde_json::to_string(&line).unwrap();
        state.restore_line(serde_json::from_str(&text).unwrap());
    }
    for record in records {
        state.apply_record(record);
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_shard_that_is_read_again_is_the_same(steps in steps(), cut in 0_usize..60) {
        let mut run = Run::new();
        let mut snapshot = None;
        for (number, step) in steps.iter().enumerate() {
            run.step(step);
            if number == cut.min(steps.len() - 1) {
                let lines = run.state.snapshot_lines();
                let text: Vec<String> =
                    lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
                snapshot = Some((text, run.log.len()));
            }
        }
        let records = run.records();
        prop_assert_eq!(digest(&again(Vec::new(), &records)), run.digest());
        let (lines, through) = snapshot.unwrap();
        let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(digest(&again(lines, &records[through..])), run.digest());
        for object in run.state.objects.values() {
            // Base and kept batches are the state.
            let state = super::object::replayed(object.id(), object.kind, &object.base, &object.kept);
            prop_assert_eq!(state.unwrap().hash(), object.document.hash());
            prop_assert!(object.kept_bytes <= settings().max_kept_bytes + 4_096);
        }
    }

    #[test]
    fn a_replica_that_lacks_anything_gets_it(steps in steps()) {
        let mut run = Run::new();
        steps.iter().for_each(|step| run.step(step));
        let ids: Vec<Name> = run.state.objects.keys().cloned().collect();
        for id in ids {
            let request = troupe_contract::plan::SyncRequest {
                object_id: id.clone(),
                vector: VectorClock::default(),
                max_bytes: None,
            };
            let reply = run.state.delta(&request).unwrap();
            let object = &run.state.objects[&id];
            prop_assert_eq!(reply.snapshot_needed, object.base.sequence > 0);
            let mut copy = Replica::new(id.clone(), object.kind);
            if reply.snapshot_needed {
                copy.adopt(object.base.snapshot.as_ref()).unwrap();
            }
            for kept in &object.kept {
                let signed = troupe_crdt::SignedBatch::decode(kept.batch.as_ref()).unwrap();
                copy.receive(std::sync::Arc::new(signed)).unwrap();
            }
            prop_assert_eq!(copy.document().hash(), object.document.hash());
        }
    }
}

fn cases() -> u32 {
    if std::env::var_os("TROUPE_FULL").is_some_and(|value| value == "1") { 2_000 } else { 64 }
}

/// What the laws are checked with has everything in it.
#[test]
fn histories_have_every_kind_of_record() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let mut run = Run::new();
        let steps = steps().new_tree(&mut runner).unwrap().current();
        steps.iter().for_each(|step| run.step(step));
        seen.extend(run.log.iter().map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            record.as_object().unwrap().keys().next().unwrap().clone()
        }));
    }
    let kinds = [
        "archived",
        "conflicts",
        "diverged",
        "folded",
        "followed",
        "forked",
        "key",
        "merged",
        "unlinked",
    ];
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), kinds);
}
