//! The tree of items: where each of them is shown.
//!
//! Each item shows under the parent that its newest move names. Moves that make a cycle only together
//! are taken in their one order, and one that would close a cycle does not count: its item stays where it
//! was before that move, or goes to the top. An item whose parent is deleted shows under the nearest
//! ancestor that is there.
//!
//! Invariant: every item that is there shows exactly once, and no item shows below itself.

use std::collections::HashMap;

use crate::cells::{Atom, Cells, Entity, Key};
use crate::field::Field;
use crate::order::OrderKey;
use crate::value::Value;

/// An item in its place.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) key: &'a Key,
    pub(crate) entity: &'a Entity,
    pub(crate) parent: Option<&'a str>,
}

/// All items that are there, each followed by its parts.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) rows: Vec<Row<'a>>,
    /// Items whose newest move does not count.
    pub(crate) held: Vec<&'a Key>,
}

/// Every entity, whether it is there or deleted, by number.
struct Nodes<'a> {
    all: Vec<(&'a Key, &'a Entity)>,
    numbers: HashMap<&'a str, usize>,
    parents: Vec<Option<usize>>,
}

impl<'a> Tree<'a> {
    pub(crate) fn of(cells: &'a Cells) -> Self {
        let mut nodes = Nodes::of(cells);
        let held = nodes.break_cycles();
        let held = held.into_iter().map(|node| nodes.all[node].0).collect();
        Self { rows: nodes.rows(), held }
    }
}

impl<'a> Nodes<'a> {
    fn of(cells: &'a Cells) -> Self {
        let all: Vec<_> = cells.entities.iter().collect();
        let numbers: HashMap<_, _> =
            all.iter().enumerate().map(|(number, (key, _))| (key.as_str(), number)).collect();
        let mut nodes = Self { parents: vec![None; all.len()], all, numbers };
        for node in 0..nodes.all.len() {
            nodes.parents[node] = nodes.newest(node).and_then(|atom| nodes.places(atom).0);
        }
        nodes
    }

    fn newest(&self, node: usize) -> Option<&'a Atom> {
        self.all[node].1.shown(Field::Parent)
    }

    /// The parent that a move names, and the one before it.
    fn places(&self, atom: &Atom) -> (Option<usize>, Option<usize>) {
        let Value::Place { parent, from } = &atom.value else { return (None, None) };
        let number = |name: &troupe_domain::Name| self.numbers.get(name.as_str()).copied();
        (parent.as_ref().and_then(number), from.as_ref().and_then(number))
    }

    /// Takes the moves of all items that are on a cycle back, and lets them happen again in their order,
    /// except those that would close a cycle. Gives the items of the latter.
    fn break_cycles(&mut self) -> Vec<usize> {
        let mut on_cycles = self.on_cycles();
        for node in &on_cycles {
            self.parents[*node] = None;
        }
        on_cycles.sort_by(|a, b| match (self.newest(*a), self.newest(*b)) {
            (Some(a_move), Some(b_move)) => a_move.order(b_move).then(a.cmp(b)),
            (a_move, b_move) => a_move.is_some().cmp(&b_move.is_some()).then(a.cmp(b)),
        });
        let mut roots = Roots::of(&self.parents);
        let mut held = Vec::new();
        for node in on_cycles {
            let Some(newest) = self.newest(node) else { continue };
            let (mut parent, from) = self.places(newest);
            // The node has nothing above it now: it is above what has it as root.
            if parent.is_some_and(|parent| roots.root(parent) == node) {
                held.push(node);
                parent = from.filter(|from| roots.root(*from) != node);
            }
            self.parents[node] = parent;
            roots.hang(node, parent);
        }
        held
    }

    fn on_cycles(&self) -> Vec<usize> {
        // 0: not looked at; otherwise the walk that came by first.
        let mut walked = vec![0_usize; self.all.len()];
        let mut found = Vec::new();
        for start in 0..self.all.len() {
            let walk = start + 1;
            let mut here = Some(start);
            while let Some(at) = here.filter(|at| walked[*at] == 0) {
                walked[at] = walk;
                here = self.parents[at];
            }
            let Some(first) = here.filter(|at| walked[*at] == walk) else { continue };
            let mut at = first;
            loop {
                found.push(at);
                match self.parents[at] {
                    Some(next) if next != first => at = next,
                    _ => break,
                }
            }
        }
        found
    }

    /// For each node the nearest one above that is there.
    fn living_parents(&self) -> Vec<Option<usize>> {
        let alive: Vec<bool> = self.all.iter().map(|(_, entity)| entity.is_alive()).collect();
        let mut living: Vec<Option<Option<usize>>> = vec![None; self.all.len()];
        for start in 0..self.all.len() {
            let mut path = Vec::new();
            let mut here = start;
            let above = loop {
                if let Some(known) = living[here] {
                    break known;
                }
                path.push(here);
                match self.parents[here] {
                    None => break None,
                    Some(parent) if alive[parent] => break Some(parent),
                    Some(parent) => here = parent,
                }
            };
            for node in path {
                living[node] = Some(above);
            }
        }
        living.into_iter().map(Option::flatten).collect()
    }

    fn rows(&self) -> Vec<Row<'a>> {
        let living = self.living_parents();
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); self.all.len()];
        let mut top = Vec::new();
        for (node, (_, entity)) in self.all.iter().enumerate() {
            if entity.is_alive() {
                living[node].map_or(&mut top, |parent| &mut parts[parent]).push(node);
            }
        }
        let none = OrderKey::default();
        let order = |node: &usize| match self.all[*node].1.shown(Field::Order).map(|a| &a.value) {
            Some(Value::Order(key)) => key,
            _ => &none,
        };
        let sort = |row: &mut Vec<usize>| {
            // Nodes are numbered in the order of their ids.
            row.sort_by(|a, b| order(a).cmp(order(b)).then(a.cmp(b)));
            row.reverse();
        };
        sort(&mut top);
        parts.iter_mut().for_each(sort);
        let mut rows = Vec::with_capacity(self.all.len());
        let mut pending = top;
        while let Some(node) = pending.pop() {
            let (key, entity) = self.all[node];
            let parent = living[node].map(|parent| self.all[parent].0.as_str());
            rows.push(Row { key, entity, parent });
            pending.append(&mut parts[node]);
        }
        rows
    }
}

/// The topmost node above each, found without walking the same way again and again (union-find): what
/// hostile moves make as deep as a plan is large costs no more than the rest.
struct Roots(Vec<usize>);

impl Roots {
    /// There must be no cycle.
    fn of(parents: &[Option<usize>]) -> Self {
        Self(parents.iter().enumerate().map(|(node, parent)| parent.unwrap_or(node)).collect())
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    /// A node that had nothing above it has now.
    fn hang(&mut self, node: usize, parent: Option<usize>) {
        self.0[node] = parent.unwrap_or(node);
    }
}
