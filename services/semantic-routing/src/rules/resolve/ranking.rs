//! From those who pass to an order in which to try them.

use troupe_contract::routing::RouteTarget;
use troupe_domain::{AgentId, Name, Timestamp};

use super::{Candidate, Known, MAX_RANKED, Sought};
use crate::rules::balance::{Balancer, Choice};
use crate::rules::breaker::Breaker;
use crate::rules::filter::bits::Bits;
use crate::rules::filter::roster::{Roster, Row};
use crate::rules::filter::{self, Gate, Passed};
use crate::rules::performance::Reading;
use crate::rules::routes::key_of;
use crate::rules::score::Parts;

/// What led to an agent.
struct Fit<'a> {
    route: Option<&'a Name>,
    target: &'a RouteTarget,
    probability: f64,
}

/// Who fits what is sought, and by which target.
pub(super) struct Fits<'a> {
    /// None: everybody fits, and the constraints were the target.
    fits: Vec<(Bits, Fit<'a>)>,
    all: Bits,
}

/// Matches those who are left with what is sought; the likeliest target of an agent counts.
pub(super) fn fit<'a>(roster: &Roster, sought: &'a Sought<'_>, left: &Bits) -> Fits<'a> {
    let mut targets: Vec<&(Option<&Name>, RouteTarget, f64)> = sought.targets.iter().collect();
    targets.sort_by(|a, b| b.2.total_cmp(&a.2));
    let mut all = if targets.is_empty() { left.clone() } else { Bits::default() };
    let fits = targets.into_iter().map(|(route, target, probability)| {
        let among = among(target, roster, left);
        all.add(&among);
        (among, Fit { route: *route, target, probability: *probability })
    });
    let fits = fits.collect();
    Fits { fits, all }
}

/// Those among `left` whom `target` means.
fn among(target: &RouteTarget, roster: &Roster, left: &Bits) -> Bits {
    match target {
        RouteTarget::Agent(id) => {
            let mut one = Bits::default();
            if let Some(slot) = roster.slot(id).filter(|slot| left.contains(*slot)) {
                one.set(slot);
            }
            one
        }
        RouteTarget::Role(role) => {
            roster.in_role(role).map(|playing| left.and(playing)).unwrap_or_default()
        }
        RouteTarget::Capability(need) => filter::able(roster, left, std::slice::from_ref(need)),
    }
}

impl<'a> Fits<'a> {
    /// Everybody who fits.
    pub(super) fn all(&self) -> Bits {
        self.all.clone()
    }

    fn of(&self, slot: u32) -> Option<&Fit<'a>> {
        self.fits.iter().find(|(among, _)| among.contains(slot)).map(|(_, fit)| fit)
    }

    /// What the breaker and the success of the agent at `slot` are kept under. Where nothing but
    /// a role or a surface is asked for, that is its role.
    pub(super) fn key<'b>(&'b self, slot: u32, row: &'b Row) -> &'b Name {
        self.of(slot).map_or(&row.role, |fit| key_of(fit.target))
    }
}

/// One who passed, with its score.
struct Scored<'a> {
    row: &'a Row,
    slot: u32,
    gate: Gate,
    parts: Parts,
    total: f64,
    reading: Reading,
}

/// The order in which to try them.
pub(super) struct Order {
    pub(super) ranked: Vec<Candidate>,
    pub(super) equals: usize,
}

/// Scores everybody who passed, and orders them: a trial that is due, the balancer's choice among
/// equals, then by score.
pub(super) fn order(
    known: &Known<'_>,
    balancer: &mut Balancer,
    fits: &Fits<'_>,
    passed: &[Passed],
    now: Timestamp,
    chance: u64,
) -> Order {
    let mut scored: Vec<Scored<'_>> =
        passed.iter().filter_map(|one| scored(known, fits, *one, now)).collect();
    let is_trial = |one: &Scored<'_>| one.gate == Gate::Trial;
    let best = scored.iter().filter(|one| !is_trial(one)).map(|one| one.total);
    let best = best.fold(f64::NEG_INFINITY, f64::max);
    let floor = best - known.policy.equals_margin;
    let equal: Vec<usize> = (0..scored.len())
        .filter(|index| !is_trial(&scored[*index]) && scored[*index].total >= floor)
        .collect();
    let choices: Vec<Choice<'_>> = equal
        .iter()
        .map(|index| Choice { agent: &scored[*index].row.id, reading: scored[*index].reading })
        .collect();
    let chosen = balancer.pick(&choices, chance).map(|place| scored[equal[place]].slot);
    let trial = due_trial(known, &scored, floor).map(|one| one.slot);
    let equals = equal.len();
    let rank = |one: &Scored<'_>| match Some(one.slot) {
        slot if slot == trial => 0,
        slot if slot == chosen => 1,
        // A trial that is not wanted now is the last resort: it is likely to fail.
        _ if is_trial(one) => 3,
        _ => 2,
    };
    let by_rank = |a: &Scored<'_>, b: &Scored<'_>| {
        let rank = rank(a).cmp(&rank(b));
        rank.then(b.total.total_cmp(&a.total)).then_with(|| a.row.id.cmp(&b.row.id))
    };
    if scored.len() > MAX_RANKED {
        scored.select_nth_unstable_by(MAX_RANKED, by_rank);
        scored.truncate(MAX_RANKED);
    }
    scored.sort_unstable_by(by_rank);
    let ranked = scored.iter().map(|one| candidate(known, fits, one)).collect();
    Order { ranked, equals }
}

/// The trial to make with this message: of those who would be equals were they well, the best. An
/// agent that has recovered would otherwise never be asked, because of what was measured while it
/// was ill.
fn due_trial<'a, 'b>(
    known: &Known<'_>,
    scored: &'b [Scored<'a>],
    floor: f64,
) -> Option<&'b Scored<'a>> {
    let if_well = |one: &Scored<'_>| one.parts.if_well().total(&known.policy.weights);
    scored
        .iter()
        .filter(|one| one.gate == Gate::Trial && if_well(one) >= floor)
        .max_by(|a, b| if_well(a).total_cmp(&if_well(b)).then_with(|| b.row.id.cmp(&a.row.id)))
}

fn scored<'a>(
    known: &Known<'a>,
    fits: &Fits<'_>,
    passed: Passed,
    now: Timestamp,
) -> Option<Scored<'a>> {
    let row = known.roster.row(passed.slot)?;
    let fit = fits.of(passed.slot);
    let proficiency = match fit.map(|fit| fit.target) {
        Some(RouteTarget::Capability(need)) => row.proficiency(&need.name).unwrap_or(0.0),
        _ => 1.0,
    };
    let (reading, success) = known.performance.reading_at(&row.id, fits.key(passed.slot, row), now);
    let parts = Parts::new(
        fit.map_or(0.0, |fit| fit.probability),
        proficiency,
        success,
        row.load(reading.outstanding),
        &reading,
        known.performance.median_latency_us(),
    );
    let total = parts.total(&known.policy.weights);
    Some(Scored { row, slot: passed.slot, gate: passed.gate, parts, total, reading })
}

fn candidate(known: &Known<'_>, fits: &Fits<'_>, one: &Scored<'_>) -> Candidate {
    let agent: &AgentId = &one.row.id;
    let key = fits.key(one.slot, one.row);
    Candidate {
        agent: agent.clone(),
        route: fits.of(one.slot).and_then(|fit| fit.route.cloned()),
        key: key.clone(),
        score: one.total,
        parts: one.parts,
        gate: one.gate,
        breaker: known.breakers.get(agent, key).map(Breaker::state).unwrap_or_default(),
        outstanding: one.reading.outstanding,
    }
}
