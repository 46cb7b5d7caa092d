//! What holds work up: the tasks that most work waits for, and the chain that takes longest.

use troupe_contract::progress::{Bottleneck, BottlenecksReply, PathStep};

use super::estimate::expected_ms;
use super::facts::minutes_of;
use super::network::{Network, Node};

const WORD_BITS: usize = 64;

/// Finds what holds a network up; at most `limit` of each kind.
pub fn bottlenecks(network: &Network, limit: usize) -> BottlenecksReply {
    let dependents = network.dependents();
    let order = network.in_order(&dependents);
    let stuck = network.stuck(&order);
    let blocks = blocked_counts(&dependents, &order);
    let row = |place: usize| {
        let node = &network.nodes[place];
        Bottleneck {
            task_id: node.id.clone(),
            title: node.title.clone(),
            status: node.status,
            agent_id: node.holder.clone(),
            blocks: blocks[place],
            percentage: node.percentage,
            in_status_minutes: network.at.minutes_since(node.since),
            stalled: node.stalled,
            blocked: node.blocked,
        }
    };
    let worst = |is: &dyn Fn(usize, &Node) -> bool| {
        let mut places: Vec<usize> =
            (0..network.nodes.len()).filter(|place| is(*place, &network.nodes[*place])).collect();
        // The most blocked first; of those the ones that are longest where they are.
        places.sort_by_key(|place| {
            (std::cmp::Reverse(blocks[*place]), network.nodes[*place].since, *place)
        });
        places.truncate(limit);
        places.into_iter().map(row).collect::<Vec<_>>()
    };
    let frontier = worst(&|place, node| {
        node.waits_for.is_empty() && !node.stuck && !node.waits_for_unknown && blocks[place] > 0
    });
    let roots_of_stuck = worst(&|_, node| node.stuck);
    let (critical_path, total_ms) = critical_path(network, &order, &stuck);
    BottlenecksReply {
        bottlenecks: frontier,
        stuck: roots_of_stuck,
        critical_path,
        critical_path_minutes: total_ms.map(minutes_of),
        estimated_finish: total_ms.map(|ms| network.at.plus_millis(ms)),
        open_tasks: network.nodes.len() as u64,
    }
}

/// By place: how many wait for it, directly or not.
fn blocked_counts(dependents: &[Vec<u32>], order: &[u32]) -> Vec<u64> {
    let words = dependents.len().div_ceil(WORD_BITS);
    let mut counts = vec![0; dependents.len()];
    let mut behind: Vec<Box<[u64]>> = vec![Box::default(); dependents.len()];
    for place in order.iter().rev().map(|place| *place as usize) {
        if dependents[place].is_empty() {
            continue;
        }
        let mut all = vec![0_u64; words].into_boxed_slice();
        for dependent in dependents[place].iter().map(|place| *place as usize) {
            all[dependent / WORD_BITS] |= 1 << (dependent % WORD_BITS);
            for (word, more) in all.iter_mut().zip(&behind[dependent]) {
                *word |= more;
            }
        }
        counts[place] = all.iter().map(|word| u64::from(word.count_ones())).sum();
        behind[place] = all;
    }
    counts
}

/// The chain that takes longest by what is expected of each task; where durations are unknown, tasks
/// of unknown duration count as a moment, so that the longest chain of them is found.
fn critical_path(network: &Network, order: &[u32], stuck: &[bool]) -> (Vec<PathStep>, Option<u64>) {
    let expected: Vec<Option<u64>> =
        network.nodes.iter().map(|node| expected_ms(node, &network.durations)).collect();
    let mut ends: Vec<u64> = vec![0; network.nodes.len()];
    let mut before: Vec<Option<u32>> = vec![None; network.nodes.len()];
    let mut last: Option<u32> = None;
    for place in order.iter().copied().filter(|place| !stuck[*place as usize]) {
        let node = &network.nodes[place as usize];
        let longest = node.waits_for.iter().copied().max_by_key(|on| (ends[*on as usize], *on));
        before[place as usize] = longest;
        let starts = longest.map_or(0, |on| ends[on as usize]);
        ends[place as usize] = starts + expected[place as usize].unwrap_or(0).max(1);
        if last.is_none_or(|last| ends[place as usize] > ends[last as usize]) {
            last = Some(place);
        }
    }
    let mut chain = Vec::new();
    let mut next = last;
    while let Some(place) = next {
        chain.push(place as usize);
        next = before[place as usize];
    }
    chain.reverse();
    // A task of unknown duration beside the chain may take longer than all of it.
    let known = expected.iter().zip(stuck).all(|(expected, stuck)| *stuck || expected.is_some());
    let total: u64 = chain.iter().filter_map(|place| expected[*place]).sum();
    let step = |place: &usize| {
        let node = &network.nodes[*place];
        PathStep {
            task_id: node.id.clone(),
            title: node.title.clone(),
            status: node.status,
            expected_minutes: expected[*place].map(minutes_of),
        }
    };
    let steps: Vec<PathStep> = chain.iter().map(step).collect();
    (steps, (known && !chain.is_empty()).then_some(total))
}

#[cfg(test)]
mod tests;
