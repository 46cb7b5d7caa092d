//! Moving between tiers, as the process beside the rules reports it.
//!
//! Invariant: content leaves memory only when the log says where it is; what changed meanwhile stays.

use troupe_domain::memory::{MemoryId, MemoryTier, Namespace};
use troupe_domain::{AgentId, Timestamp};
use troupe_segments::SegmentId;

use super::decay;
use super::entry::{ColdPlace, sha256_of};
use super::record::{Archived, Embedded, What};
use super::state::MemoryState;

impl MemoryState {
    /// Vectors were made: those of contents that changed meanwhile are passed over.
    pub(super) fn embedded(
        &mut self,
        model: String,
        namespace: &Namespace,
        vectors: Vec<Embedded>,
        now: Timestamp,
    ) {
        if self.model.as_ref() != Some(&model) {
            self.draft(None, now, What::Model { model });
        }
        let Some(space) = self.space(namespace) else { return };
        let fits = |one: &Embedded| {
            space
                .get(&one.id)
                .is_some_and(|entry| entry.sha256 == one.sha256 && entry.vector.is_none())
        };
        let vectors: Vec<Embedded> = vectors.into_iter().filter(fits).collect();
        if vectors.is_empty() {
            return;
        }
        let ids: Vec<MemoryId> = vectors.iter().map(|one| one.id.clone()).collect();
        self.draft(Some(namespace), now, What::Embedded { vectors });
        for id in ids {
            self.compare(namespace, &id, now);
        }
    }

    /// Contents are in a segment. What changed or was deleted meanwhile does not count there, but there it
    /// is: whatever deletes the entry must find it.
    pub(super) fn archive(
        &mut self,
        namespace: &Namespace,
        entries: Vec<Archived>,
        now: Timestamp,
    ) {
        let Some(space) = self.space(namespace) else { return };
        let fits = |one: &Archived| {
            space.get(&one.id).is_some_and(|entry| {
                entry.sha256 == one.sha256 && entry.memory.tier == MemoryTier::Warm
            })
        };
        let (entries, others): (Vec<Archived>, Vec<Archived>) = entries.into_iter().partition(fits);
        // A segment in which nothing counts has nobody who stands on it, and goes as such.
        let Some(former) = entries.first().map(|one| one.place.segment) else { return };
        self.draft(Some(namespace), now, What::Archived { entries });
        if !others.is_empty() {
            let places = others.into_iter().map(|one| (one.id, one.place)).collect();
            self.draft(Some(namespace), now, What::Rewritten { former, also: Vec::new(), places });
        }
    }

    /// The content of an entry of the cold tier is in memory again.
    pub(super) fn warm(
        &mut self,
        namespace: &Namespace,
        id: &MemoryId,
        content: String,
        now: Timestamp,
    ) {
        let Some(entry) = self.space(namespace).and_then(|space| space.get(id)) else { return };
        if entry.memory.tier == MemoryTier::Cold
            && entry.sha256 == sha256_of(&content)
            && self.bytes().1 + content.len() <= self.settings.max_resident_bytes
        {
            self.draft(Some(namespace), now, What::Warmed { id: id.clone(), content });
        }
    }

    /// A segment was written anew, or several were made one.
    pub(super) fn rewritten(
        &mut self,
        namespace: &Namespace,
        former: SegmentId,
        also: Vec<SegmentId>,
        places: Vec<(MemoryId, ColdPlace)>,
        now: Timestamp,
    ) {
        if self.space(namespace).is_some() {
            self.draft(Some(namespace), now, What::Rewritten { former, also, places });
        }
    }

    /// A segment is gone.
    pub(super) fn erased_segment(
        &mut self,
        namespace: &Namespace,
        segment: SegmentId,
        now: Timestamp,
    ) {
        if self.space(namespace).is_some() {
            self.draft(Some(namespace), now, What::Erased { segment });
        }
    }

    /// Copies in the cold tier are damaged. Who met that may have looked where an entry was before its
    /// segment was written anew: then it says nothing.
    pub(super) fn damaged(
        &mut self,
        namespace: &Namespace,
        entries: Vec<(MemoryId, SegmentId)>,
        reason: String,
        now: Timestamp,
    ) {
        let Some(space) = self.space(namespace) else { return };
        let is_news = |(id, segment): &(MemoryId, SegmentId)| {
            space.get(id).is_some_and(|entry| entry.is_in(*segment) && !entry.damaged)
        };
        let ids: Vec<MemoryId> = entries.into_iter().filter(is_news).map(|(id, _)| id).collect();
        if !ids.is_empty() {
            self.draft(Some(namespace), now, What::Damaged { ids, reason });
        }
    }

    /// Moves entries between the hot and the warm tier, where the rules say so.
    pub(super) fn retier(&mut self, namespace: &Namespace, ids: Vec<MemoryId>, now: Timestamp) {
        let Some(space) = self.space(namespace) else { return };
        let (mut hot, mut warm) = (Vec::new(), Vec::new());
        for id in ids {
            let Some(entry) = space.get(&id) else { continue };
            match (entry.memory.tier, decay::wanted_tier(entry, now, &self.settings)) {
                (MemoryTier::Warm, Some(MemoryTier::Hot)) => hot.push(id),
                (MemoryTier::Hot, Some(MemoryTier::Warm)) => warm.push(id),
                _ => {}
            }
        }
        for (ids, tier) in [(hot, MemoryTier::Hot), (warm, MemoryTier::Warm)] {
            if !ids.is_empty() {
                self.draft(Some(namespace), now, What::Moved { ids, tier });
            }
        }
    }

    /// Entries of the cold tier were kept for as long as they are to be: they are deleted like any other,
    /// with a proof.
    pub(super) fn outlived(
        &mut self,
        namespace: &Namespace,
        ids: &[MemoryId],
        by: &AgentId,
        salt: &str,
        now: Timestamp,
    ) {
        for id in ids {
            let Some(entry) = self.space(namespace).and_then(|space| space.get(id)) else {
                continue;
            };
            if decay::has_outlived(&entry.memory, now, &self.settings) {
                let reason = Some("kept for as long as the configuration says".to_owned());
                let what = entry.deleted(by, reason, format!("{salt}-{id}"));
                self.draft(Some(namespace), now, what);
            }
        }
    }

    /// Deleted entries are gone from a tier.
    pub(super) fn gone(
        &mut self,
        namespace: &Namespace,
        ids: Vec<MemoryId>,
        tier: &str,
        now: Timestamp,
    ) {
        for id in ids {
            let known = self.space(namespace).and_then(|space| space.tombstone(&id));
            let is_news = known.is_some_and(|tombstone| match tier {
                "hot" => tombstone.hot.is_none(),
                "cold" => tombstone.cold.is_none() && tombstone.copies.is_empty(),
                _ => tombstone.waits_for_log(),
            });
            if is_news {
                self.draft(Some(namespace), now, What::Gone { id, tier: tier.to_owned() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use troupe_contract::memory::UpdateMemoryRequest;
    use troupe_domain::Name;
    use troupe_domain::memory::{MemoryType, Provenance};
    use troupe_segments::{Digest, Place};
    use troupe_shard::Machine;

    use super::*;
    use crate::handlers::writing::blank;
    use crate::rules::request::{MemoryRequest, NewMemory};
    use crate::rules::state::Settings;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn remembering(ids: &[&str]) -> MemoryState {
        let settings = Settings { has_cold: true, ..Settings::default() };
        let mut state = MemoryState::new(settings);
        for id in ids {
            let from: Provenance = serde_json::from_str(r#"{"author": "ada"}"#).unwrap();
            let mut memory = blank(format!("what {id} says"), MemoryType::Episodic, from, NOW);
            memory.id = name(id);
            ask(
                &mut state,
                MemoryRequest::Create(Box::new(NewMemory {
                    memory,
                    supersedes: None,
                    keyed: false,
                })),
            );
        }
        state
    }

    fn ask(state: &mut MemoryState, request: MemoryRequest) {
        state.execute(request, NOW, 0.0).unwrap();
        let drafts = state.drafts();
        drafts.records.clear();
        drafts.notices.clear();
    }

    fn place(segment: u128) -> ColdPlace {
        ColdPlace {
            segment: SegmentId::new(NOW, segment),
            place: Place { offset: 0, bytes: 1, line: 0 },
            digest: Digest::of(b""),
        }
    }

    fn archive(state: &mut MemoryState, ids: &[&str], segment: u128) {
        let archived = |id: &&str| Archived {
            id: name(id),
            sha256: sha256_of(&format!("what {id} says")),
            place: place(segment),
        };
        let entries = ids.iter().map(archived).collect();
        ask(state, MemoryRequest::Archived { namespace: Namespace::default(), entries });
    }

    fn delete(state: &mut MemoryState, id: &str) {
        ask(
            state,
            MemoryRequest::Delete {
                namespace: Namespace::default(),
                id: name(id),
                reason: None,
                by: name("ada"),
                salt: "salt".to_owned(),
            },
        );
    }

    #[test]
    fn what_was_deleted_or_changed_while_its_segment_was_written_is_known_to_be_in_it() {
        let mut state = remembering(&["stays", "deleted", "changed"]);
        delete(&mut state, "deleted");
        let changed = state.entry(&Namespace::default(), &name("changed")).unwrap();
        let revision = changed.memory.revision;
        let update = UpdateMemoryRequest {
            content: Some("something else".to_owned()),
            ..UpdateMemoryRequest::new(name("changed"), revision)
        };
        ask(
            &mut state,
            MemoryRequest::Update {
                namespace: Namespace::default(),
                update: Box::new(update),
                quarantine: Vec::new(),
                by: name("ada"),
            },
        );
        archive(&mut state, &["stays", "deleted", "changed"], 1);
        let (namespace, segment) = (Namespace::default(), place(1).segment);
        assert_eq!(state.urgent_segments()[&namespace], [segment].into());
        assert_eq!(state.live_segments()[&namespace], [(segment, 1)].into());
        let wanted = state.wanted_from(&namespace, &[segment]);
        assert_eq!(wanted, [(name("stays"), segment)].into());
        delete(&mut state, "changed");
        let space = state.space(&Namespace::default()).unwrap();
        assert_eq!(space.tombstone(&name("changed")).unwrap().copies, [place(1).segment]);
    }

    #[test]
    fn whoever_read_where_an_entry_was_does_not_damage_it_where_it_is() {
        let mut state = remembering(&["one"]);
        archive(&mut state, &["one"], 1);
        let places = vec![(name("one"), place(2))];
        let (namespace, former) = (Namespace::default(), place(1).segment);
        ask(
            &mut state,
            MemoryRequest::Rewritten {
                namespace: namespace.clone(),
                former,
                also: Vec::new(),
                places,
            },
        );
        let damaged = |segment: u128| MemoryRequest::Damaged {
            namespace: namespace.clone(),
            entries: vec![(name("one"), place(segment).segment)],
            reason: "it is not there".to_owned(),
        };
        let is_damaged = |state: &MemoryState| {
            state.space(&namespace).unwrap().get(&name("one")).unwrap().damaged
        };
        ask(&mut state, damaged(1));
        assert!(!is_damaged(&state));
        ask(&mut state, damaged(2));
        assert!(is_damaged(&state));
    }
}
