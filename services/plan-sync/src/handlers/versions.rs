//! Plans as they are and as they were, and who changed what: from memory, and from the archive before it.

use std::sync::Arc;

use tokio::time::Instant;
use troupe_bus::Call;
use troupe_contract::plan::{GetPlanRequest, PlanHistoryPage, PlanHistoryRequest, PlanReply};
use troupe_crdt::{Document, SignedBatch};
use troupe_domain::plan::{Conflict, ConflictKind, ObjectId, ObjectKind};
use troupe_domain::{Code, Fault, VectorClock};

use super::{Plans, answer_of, deadline, page_rows};
use crate::rules::history;
use crate::rules::object::{Base, Kept, Piece, Version, gone, replayed};
use crate::rules::reading::plan_page;
use crate::rules::request::{At, PlanRequest};
use crate::store::archive::{Archive, ArchiveError};

/// Pieces of the archive that one page of history reads.
const MAX_PIECES_READ: usize = 4;
/// The field whose texts are joined.
const TEXT_FIELD: &str = "description";

/// `plan.get`
pub async fn get(plans: &Plans, call: Call<GetPlanRequest>) -> Result<PlanReply, Fault> {
    let request = call.request.clone();
    let plan = request.plan_id.clone();
    let until = deadline(&call);
    let Some(at) = which(&request)? else {
        let answer = plans.ask(&plan, PlanRequest::Get(request), until).await?;
        return Ok(*answer_of!(answer, Plan)?);
    };
    let version = former(plans, &plan, at.clone(), until).await?;
    let (offset, limit) = (request.offset.unwrap_or(0), request.limit);
    // Replaying takes a while for a large plan: not where requests are answered.
    let made = tokio::task::spawn_blocking(move || {
        let (document, sequence) = state_at(&plan, &version, &at)?;
        plan_page(&document, sequence, 0, offset, limit)
    });
    made.await.map_err(|why| Fault::new(Code::Internal, why.to_string()))?
}

/// The former version that a request names, if it names one.
fn which(request: &GetPlanRequest) -> Result<Option<At>, Fault> {
    let GetPlanRequest { at_sequence, at_version, at_time, .. } = request;
    let named = usize::from(at_sequence.is_some())
        + usize::from(at_version.is_some())
        + usize::from(at_time.is_some());
    if named > 1 {
        let why = "at most one of at_sequence, at_version and at_time";
        return Err(Fault::invalid("at_sequence", why));
    }
    Ok(at_sequence
        .map(At::Sequence)
        .or_else(|| at_version.clone().map(At::Vector))
        .or_else(|| at_time.map(At::Time)))
}

/// What a former version is made of, with what the archive has of it.
async fn former(plans: &Plans, plan: &ObjectId, at: At, until: Instant) -> Result<Version, Fault> {
    let request = PlanRequest::Version { object: plan.clone(), at: at.clone() };
    let mut version = *answer_of!(plans.ask(plan, request, until).await?, Version)?;
    if version.kind != ObjectKind::Plan {
        return Err(Fault::not_found("plan", plan));
    }
    if version.pieces.is_empty() {
        return Ok(version);
    }
    let archive = plans.archive.as_ref().ok_or_else(|| gone(version.horizon))?;
    (version.base, version.kept) = match &at {
        At::Sequence(sequence) => {
            piece_with(archive, plan, &version.pieces, |piece| *sequence <= piece.through).await?
        }
        At::Time(time) => {
            piece_with(archive, plan, &version.pieces, |piece| *time < piece.at).await?
        }
        At::Vector(vector) => piece_behind(archive, plan, &version.pieces, vector).await?,
        At::Now => return Ok(version),
    };
    Ok(version)
}

/// The first piece that `is_it`, with the state before it.
async fn piece_with(
    archive: &Archive,
    plan: &ObjectId,
    pieces: &[Piece],
    is_it: impl Fn(&Piece) -> bool,
) -> Result<(Base, Vec<Arc<Kept>>), Fault> {
    let index = pieces.iter().position(is_it).unwrap_or(pieces.len().saturating_sub(1));
    let piece = pieces[index];
    let base = match index.checked_sub(1).map(|before| pieces[before]) {
        Some(before) => snapshot(archive, plan, before.through).await?,
        None if piece.first == 1 => Base::default(),
        // What came before it is forgotten: only its end is known.
        None => return Ok((snapshot(archive, plan, piece.through).await?, Vec::new())),
    };
    let kept = archive.history(plan, piece.first, piece.through).await.map_err(unreachable)?;
    Ok((base, kept))
}

/// The newest state in the archive that a vector covers, with the batches of the pieces after it up to
/// the one that is beyond the vector.
async fn piece_behind(
    archive: &Archive,
    plan: &ObjectId,
    pieces: &[Piece],
    vector: &VectorClock,
) -> Result<(Base, Vec<Arc<Kept>>), Fault> {
    let mut after = 0;
    let mut base = Base::default();
    for (index, piece) in pieces.iter().enumerate().rev() {
        let state = snapshot(archive, plan, piece.through).await?;
        if vector.covers(&Document::decode(state.snapshot.as_ref())?.vector()) {
            (after, base) = (index + 1, state);
            break;
        }
    }
    let mut kept = Vec::new();
    if let Some(piece) = pieces.get(after) {
        kept = archive.history(plan, piece.first, piece.through).await.map_err(unreachable)?;
    }
    Ok((base, kept))
}

async fn snapshot(archive: &Archive, plan: &ObjectId, through: u64) -> Result<Base, Fault> {
    let bytes = archive.snapshot(plan, through).await.map_err(unreachable)?;
    Ok(Base { sequence: through, snapshot: bytes.into() })
}

fn unreachable(why: ArchiveError) -> Fault {
    tracing::warn!(%why, "a former version cannot be read");
    match why {
        ArchiveError::Damaged(..) => Fault::new(Code::Internal, why.to_string()),
        _ => Fault::new(Code::Unavailable, why.to_string()),
    }
}

/// The state at a version, and its sequence.
fn state_at(plan: &ObjectId, version: &Version, at: &At) -> Result<(Document, u64), Fault> {
    let wanted = |kept: &&Arc<Kept>| match at {
        At::Sequence(sequence) => kept.sequence <= *sequence,
        At::Time(time) => kept.at <= *time,
        At::Vector(vector) => kept.seq <= vector.get(&kept.agent),
        At::Now => true,
    };
    let kept: Vec<&Arc<Kept>> = version.kept.iter().filter(wanted).collect();
    let sequence = kept.last().map_or(version.base.sequence, |kept| kept.sequence);
    if sequence == 0 {
        return Err(Fault::not_found("version of the plan", plan));
    }
    let document = replayed(plan, version.kind, &version.base, kept)?;
    if let At::Vector(vector) = at
        && document.vector() != *vector
    {
        let why = "the plan was never in this version";
        return Err(Fault::invalid("at_version", why));
    }
    Ok((document, sequence))
}

/// `plan.history`
pub async fn history(
    plans: &Plans,
    call: Call<PlanHistoryRequest>,
) -> Result<PlanHistoryPage, Fault> {
    let rows = page_rows(call.request.limit)?;
    let until = deadline(&call);
    let request = PlanHistoryRequest { limit: Some(rows), ..call.request.clone() };
    let plan = request.plan_id.clone();
    let answer = plans.ask(&plan, PlanRequest::History(request.clone()), until).await?;
    let mut page = answer_of!(answer, History)?;
    if page.entries.len() >= rows || page.next_before.is_none() {
        return Ok(page);
    }
    let Some(archive) = &plans.archive else { return Ok(page) };
    archived(plans, archive, &request, &mut page, rows, until).await?;
    Ok(page)
}

/// Goes on in the archive where memory ended.
async fn archived(
    plans: &Plans,
    archive: &Archive,
    request: &PlanHistoryRequest,
    page: &mut PlanHistoryPage,
    rows: usize,
    until: Instant,
) -> Result<(), Fault> {
    let plan = &request.plan_id;
    let at = At::Sequence(page.horizon);
    let request_pieces = PlanRequest::Version { object: plan.clone(), at };
    let version = *answer_of!(plans.ask(plan, request_pieces, until).await?, Version)?;
    let mut before = page.next_before.unwrap_or(0);
    let mut read = 0;
    page.next_before = None;
    for piece in version.pieces.iter().rev() {
        if piece.first >= before {
            continue;
        }
        if page.entries.len() >= rows || read == MAX_PIECES_READ {
            page.next_before = Some(before);
            return Ok(());
        }
        read += 1;
        let kept = archive.history(plan, piece.first, piece.through).await.map_err(unreachable)?;
        for kept in kept.iter().rev().filter(|kept| kept.sequence < before) {
            if page.entries.len() >= rows {
                page.next_before = Some(kept.sequence + 1);
                return Ok(());
            }
            page.entries.extend(history::entry(kept, request));
        }
        before = piece.first;
    }
    Ok(())
}

/// Adds to conflicts over descriptions the text that joins both sides, where that is clean. The history
/// that this takes is in memory or it is none.
pub(super) async fn offer_merges(
    plans: &Plans,
    object: &ObjectId,
    conflicts: &mut Vec<Conflict>,
    until: Instant,
) -> Result<(), Fault> {
    let is_text =
        |c: &Conflict| c.kind == ConflictKind::WriteWrite && c.field.as_deref() == Some(TEXT_FIELD);
    if !conflicts.iter().any(is_text) {
        return Ok(());
    }
    let request = PlanRequest::Version { object: object.clone(), at: At::Now };
    let version = *answer_of!(plans.ask(object, request, until).await?, Version)?;
    let (id, mut offered) = (object.clone(), std::mem::take(conflicts));
    let made = tokio::task::spawn_blocking(move || {
        let base = replayed(&id, version.kind, &version.base, [])?;
        let mut replica = troupe_crdt::Replica::of(base);
        for kept in &version.kept {
            let signed = SignedBatch::decode(kept.batch.as_ref())?;
            replica.receive(Arc::new(signed)).map_err(|refusal| refusal.fault())?;
        }
        replica.history().offer_merges(replica.document(), &mut offered);
        Ok::<_, Fault>(offered)
    });
    *conflicts = made.await.map_err(|why| Fault::new(Code::Internal, why.to_string()))??;
    Ok(())
}
