//! Carrying out what a shard is asked. What is written is drafted in the state.

use troupe_domain::{Fault, Timestamp};

use super::record::What;
use super::request::{MemoryAnswer, MemoryRequest};
use super::state::MemoryState;

/// Whether a request can only read. Reads of entries are counted, which is written down later.
pub fn only_reads(request: &MemoryRequest) -> bool {
    use MemoryRequest as Q;
    matches!(
        request,
        Q::Get { .. }
            | Q::Find { .. }
            | Q::Search(_)
            | Q::Tracks(_)
            | Q::List { .. }
            | Q::Conflicts { .. }
            | Q::Deletion { .. }
            | Q::Namespaces
            | Q::Stats
    )
}

/// Carries a request out.
pub fn execute(
    state: &mut MemoryState,
    request: MemoryRequest,
    now: Timestamp,
) -> Result<MemoryAnswer, Fault> {
    use MemoryRequest as Q;
    Ok(match request {
        Q::Create(new) => MemoryAnswer::Receipt(Box::new(state.create(*new, now)?)),
        Q::Update { namespace, update, quarantine, by } => {
            let receipt = state.update(&namespace, *update, quarantine, &by, now)?;
            MemoryAnswer::Receipt(Box::new(receipt))
        }
        Q::Retract { namespace, id, reason, by } => {
            let reply = state.retract(&namespace, &id, reason, &by, now)?;
            MemoryAnswer::Retracted(Box::new(reply))
        }
        Q::Verify { namespace, id, trust_level, reason, by } => {
            let receipt = state.verify(&namespace, &id, trust_level, reason, &by, now)?;
            MemoryAnswer::Receipt(Box::new(receipt))
        }
        Q::Delete { namespace, id, reason, by, salt } => {
            let receipt = state.delete(&namespace, &id, reason, &by, salt, now)?;
            MemoryAnswer::Deletion(Box::new(receipt))
        }
        Q::Import { namespace, memories, by } => {
            MemoryAnswer::Imported(state.import(&namespace, memories, &by, now))
        }
        Q::Quota { namespace, max_entries, max_bytes, by } => {
            let info = state.put_quota(&namespace, max_entries, max_bytes, &by, now)?;
            MemoryAnswer::Namespaces(vec![info])
        }
        Q::Get { namespace, id, reader } => {
            let found = state.get(namespace.as_ref(), &id, reader.as_ref(), now)?;
            MemoryAnswer::Entry(Box::new(found))
        }
        Q::Search(searching) => {
            let answer = state.search(&searching, now);
            if let (Some(reader), MemoryAnswer::Results { hits, .. }) = (&searching.reader, &answer)
            {
                let shown: Vec<_> = hits.iter().map(|hit| hit.found.memory.id.clone()).collect();
                state.show(&searching.namespace, &shown, reader, now);
            }
            answer
        }
        beside @ (Q::Learn { .. }
        | Q::Embedded { .. }
        | Q::Archived { .. }
        | Q::Warmed { .. }
        | Q::Rewritten { .. }
        | Q::Erased { .. }
        | Q::Damaged { .. }
        | Q::Retier { .. }
        | Q::Outlived { .. }
        | Q::Gone { .. }
        | Q::Told(_)
        | Q::Flush
        | Q::Mark) => {
            carry_on(state, beside, now);
            MemoryAnswer::Done
        }
        read => return read_only(state, read, now),
    })
}

/// What the process beside the rules reports.
fn carry_on(state: &mut MemoryState, request: MemoryRequest, now: Timestamp) {
    use MemoryRequest as Q;
    match request {
        Q::Learn { memories, outcomes, heard } => state.learn(memories, outcomes, heard, now),
        Q::Embedded { model, namespace, vectors } => {
            state.embedded(model, &namespace, vectors, now);
        }
        Q::Archived { namespace, entries } => state.archive(&namespace, entries, now),
        Q::Warmed { namespace, id, content } => state.warm(&namespace, &id, content, now),
        Q::Rewritten { namespace, former, also, places } => {
            state.rewritten(&namespace, former, also, places, now);
        }
        Q::Outlived { namespace, ids, by, salt } => {
            state.outlived(&namespace, &ids, &by, &salt, now);
        }
        Q::Erased { namespace, segment } => state.erased_segment(&namespace, segment, now),
        Q::Damaged { namespace, entries, reason } => {
            state.damaged(&namespace, entries, reason, now);
        }
        Q::Retier { namespace, ids } => state.retier(&namespace, ids, now),
        Q::Gone { namespace, ids, tier } => state.gone(&namespace, ids, &tier, now),
        Q::Told(numbers) => {
            for number in numbers {
                state.draft(None, now, What::Told { number });
            }
        }
        Q::Flush => state.flush_reads(now),
        _ => state.draft(None, now, What::Marked),
    }
}

fn read_only(
    state: &MemoryState,
    request: MemoryRequest,
    now: Timestamp,
) -> Result<MemoryAnswer, Fault> {
    use MemoryRequest as Q;
    Ok(match request {
        Q::Find { id } => MemoryAnswer::Where(state.find(&id)),
        Q::List { request, limit, max_bytes } => state.list(&request, limit, max_bytes, now),
        Q::Conflicts { request, limit } => {
            MemoryAnswer::Conflicts(state.conflicts(&request, limit, now))
        }
        Q::Deletion { namespace, id } => {
            MemoryAnswer::Deletion(Box::new(state.deletion(&namespace, &id)?))
        }
        Q::Tracks(asked) => MemoryAnswer::Tracks(state.track_records(&asked, now)),
        Q::Namespaces => MemoryAnswer::Namespaces(state.namespaces()),
        _ => MemoryAnswer::Stats(Box::new(state.statistics(now))),
    })
}
