//! What waits for what, and cycles that only a merge makes.
//!
//! Nobody can write a dependency that closes a cycle in the plan as they see it. Two can do it together.
//! Then the view ignores, in each set of items that wait for each other, the newest dependency (the
//! greatest by Lamport time and name), until none is left; it is told as a conflict, and stays written
//! until somebody takes one of them out.

use std::collections::{BTreeMap, HashMap, HashSet};

use troupe_domain::plan::ItemId;

use crate::cells::Atom;
use crate::document::Document;
use crate::field::Field;
use crate::value::Value;

/// How many items and dependencies are looked at to find the newest ones, one by one. Beyond that, all
/// that are left between items that wait for each other are ignored: a plan so tangled was made to be.
const MAX_LOOKS: usize = 1_000_000;

/// A dependency that does not count.
#[derive(Debug, Clone)]
pub(crate) struct Ignored<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) atom: &'a Atom,
    /// Items that wait for each other.
    pub(crate) among: Vec<&'a str>,
}

#[derive(Debug, Clone, Copy)]
struct Edge<'a> {
    to: usize,
    atom: &'a Atom,
}

impl Document {
    /// Whether `item` waits for `target`, directly or not, with `more` dependencies beside those that
    /// are there.
    pub(crate) fn depends(
        &self,
        item: &ItemId,
        target: &ItemId,
        more: &[(ItemId, ItemId)],
    ) -> bool {
        let mut pending = vec![item.clone()];
        let mut known: HashSet<ItemId> = pending.iter().cloned().collect();
        while let Some(here) = pending.pop() {
            if here == *target {
                return true;
            }
            let entity = self.cells.entities.get(here.as_str()).filter(|e| e.is_alive());
            let written = entity.map(|e| e.names(Field::Dependencies)).unwrap_or_default();
            let drafted = more.iter().filter(|(from, _)| *from == here).map(|(_, to)| to.clone());
            for next in written.into_iter().chain(drafted) {
                if known.insert(next.clone()) {
                    pending.push(next);
                }
            }
        }
        false
    }

    /// Dependencies that do not count, because they close a cycle.
    pub fn ignored_dependencies(&self) -> Vec<(ItemId, ItemId)> {
        let name = |text: &str| ItemId::parse(text).ok();
        let ignored = self.cycles();
        ignored.iter().filter_map(|i| Some((name(i.from)?, name(i.to)?))).collect()
    }

    pub(crate) fn cycles(&self) -> Vec<Ignored<'_>> {
        let alive = self.cells.entities.iter().filter(|(_, entity)| entity.is_alive());
        let nodes: Vec<_> = alive.collect();
        let numbers: HashMap<&str, usize> =
            nodes.iter().enumerate().map(|(number, (key, _))| (key.as_str(), number)).collect();
        let mut edges: Vec<Vec<Edge<'_>>> = Vec::with_capacity(nodes.len());
        for (_, entity) in &nodes {
            let mut own: BTreeMap<usize, Edge<'_>> = BTreeMap::new();
            for atom in entity.atoms(Field::Dependencies) {
                let Value::Name(to) = &atom.value else { continue };
                let Some(to) = numbers.get(to.as_str()).copied() else { continue };
                // Written twice: the newer one counts, and atoms come in order.
                own.insert(to, Edge { to, atom });
            }
            edges.push(own.into_values().collect());
        }
        let mut ignored = Vec::new();
        let mut tangled = components(&edges, &(0..nodes.len()).collect::<Vec<_>>());
        let mut looks = 0;
        while let Some(members) = tangled.pop() {
            let inside: HashSet<usize> = members.iter().copied().collect();
            let among = || members.iter().map(|node| nodes[*node].0.as_str()).collect();
            let mut candidates: Vec<(usize, Edge<'_>)> = members
                .iter()
                .flat_map(|from| edges[*from].iter().map(|edge| (*from, *edge)))
                .filter(|(_, edge)| inside.contains(&edge.to))
                .collect();
            looks += members.len() + candidates.len();
            if looks <= MAX_LOOKS {
                let newest = candidates
                    .into_iter()
                    .max_by(|(a, x), (b, y)| x.atom.order(y.atom).then(a.cmp(b)));
                candidates = newest.into_iter().collect();
            }
            for (from, edge) in candidates {
                edges[from].retain(|other| other.to != edge.to);
                let (from, to) = (nodes[from].0.as_str(), nodes[edge.to].0.as_str());
                ignored.push(Ignored { from, to, atom: edge.atom, among: among() });
            }
            tangled.extend(components(&edges, &members));
        }
        ignored.sort_by(|a, b| (a.from, a.to).cmp(&(b.from, b.to)));
        ignored
    }
}

/// Sets of nodes that reach each other (Tarjan's algorithm, without recursion); a node alone is none.
fn components(edges: &[Vec<Edge<'_>>], among: &[usize]) -> Vec<Vec<usize>> {
    let allowed: HashSet<usize> = among.iter().copied().collect();
    let mut index: HashMap<usize, usize> = HashMap::new();
    let mut low: HashMap<usize, usize> = HashMap::new();
    let mut on_stack: HashSet<usize> = HashSet::new();
    let (mut stack, mut found) = (Vec::new(), Vec::new());
    for start in among {
        let mut calls = vec![(*start, 0)];
        while let Some((node, next)) = calls.pop() {
            if next == 0 {
                if index.contains_key(&node) {
                    continue;
                }
                let number = index.len();
                index.insert(node, number);
                low.insert(node, number);
                stack.push(node);
                on_stack.insert(node);
            }
            let edge = edges[node].get(next).map(|edge| edge.to);
            if let Some(to) = edge {
                calls.push((node, next + 1));
                if !allowed.contains(&to) {
                    continue;
                }
                match index.get(&to) {
                    None => calls.push((to, 0)),
                    Some(number) if on_stack.contains(&to) => lower(&mut low, node, *number),
                    Some(_) => {}
                }
                continue;
            }
            let own_low = low.get(&node).copied().unwrap_or_default();
            if let Some((parent, _)) = calls.last() {
                lower(&mut low, *parent, own_low);
            }
            if index.get(&node) == Some(&own_low) {
                let mut members = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack.remove(&member);
                    members.push(member);
                    if member == node {
                        break;
                    }
                }
                members.sort_unstable();
                if members.len() > 1 || edges[node].iter().any(|edge| edge.to == node) {
                    found.push(members);
                }
            }
        }
    }
    found
}

fn lower(low: &mut HashMap<usize, usize>, node: usize, number: usize) {
    low.entry(node).and_modify(|low| *low = (*low).min(number));
}
