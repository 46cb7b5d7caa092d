//! Graphs of tasks: all of it or nothing, and no cycles.

use std::collections::BTreeMap;

use crate::fault::Fault;
use crate::limits::MAX_GRAPH_TASKS;
use crate::name::Name;
use crate::task::spec::TaskSpec;

/// A checked graph: the tasks in an order in which every dependency comes before its dependents.
#[derive(Debug)]
pub struct Graph {
    /// The tasks, each with a key.
    pub tasks: Vec<TaskSpec>,
}

/// Checks every task, every key and every edge. The fault names the task and the field, or the cycle.
pub fn check(mut tasks: Vec<TaskSpec>) -> Result<Graph, Fault> {
    if tasks.is_empty() {
        return Err(Fault::invalid("tasks", "must not be empty"));
    }
    if tasks.len() > MAX_GRAPH_TASKS {
        return Err(Fault::exhausted("MAX_GRAPH_TASKS", MAX_GRAPH_TASKS).with("field", "tasks"));
    }
    let mut index_of: BTreeMap<Name, usize> = BTreeMap::new();
    for (index, task) in tasks.iter().enumerate() {
        let key = check_member(index, task)?;
        if index_of.insert(key.clone(), index).is_some() {
            return Err(at(index, &Fault::invalid("key", format!("{key} is used twice"))));
        }
    }
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(tasks.len());
    for (index, task) in tasks.iter().enumerate() {
        let mut targets = Vec::with_capacity(task.depends_on.len());
        for (position, edge) in task.depends_on.iter().enumerate() {
            let target = index_of.get(edge.task()).ok_or_else(|| {
                let field = format!("depends_on[{position}]");
                at(index, &Fault::invalid(&field, format!("no task has the key {}", edge.task())))
            })?;
            targets.push(*target);
        }
        edges.push(targets);
    }
    let order = dependencies_first(&edges).map_err(|cycle| name_cycle(&cycle, &tasks))?;
    let mut slots: Vec<Option<TaskSpec>> = tasks.drain(..).map(Some).collect();
    let tasks = order.into_iter().filter_map(|index| slots[index].take()).collect();
    Ok(Graph { tasks })
}

fn check_member(index: usize, task: &TaskSpec) -> Result<&Name, Fault> {
    task.check().map_err(|fault| at(index, &fault))?;
    if task.id.is_some() {
        return Err(at(index, &Fault::invalid("id", "tasks of a graph have keys; ids are given")));
    }
    if task.idempotency_key.is_some() {
        let why = "belongs to the graph, not to one of its tasks";
        return Err(at(index, &Fault::invalid("idempotency_key", why)));
    }
    task.key.as_ref().ok_or_else(|| at(index, &Fault::invalid("key", "must be given in a graph")))
}

/// The same fault, with the field's place in the graph.
fn at(index: usize, fault: &Fault) -> Fault {
    let mut placed = fault.clone();
    placed.message = format!("tasks[{index}].{}", fault.message);
    if let Some(field) = fault.details.get("field").and_then(|f| f.as_str()) {
        placed = placed.with("field", format!("tasks[{index}].{field}"));
    }
    placed
}

fn name_cycle(cycle: &[usize], tasks: &[TaskSpec]) -> Fault {
    let mut names: Vec<&str> =
        cycle.iter().map(|i| tasks[*i].key.as_ref().map_or("?", Name::as_str)).collect();
    if let Some(first) = names.first().copied() {
        names.push(first);
    }
    let shown = if names.len() > 20 {
        format!("{} -> ... ({} tasks)", names[..20].join(" -> "), names.len() - 1)
    } else {
        names.join(" -> ")
    };
    Fault::invalid("tasks", format!("the dependencies form a cycle: {shown}"))
        .with("cycle", names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
}

/// Depth-first order without recursion (a chain of 10,000 tasks must not need a deep stack).
///
/// `edges[i]` are the dependencies of `i`. On failure: one cycle, each task depending on the next.
fn dependencies_first(edges: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        Unseen,
        Open,
        Done,
    }
    let mut marks = vec![Mark::Unseen; edges.len()];
    let mut order = Vec::with_capacity(edges.len());
    let mut path: Vec<(usize, usize)> = Vec::new();
    for root in 0..edges.len() {
        if marks[root] != Mark::Unseen {
            continue;
        }
        marks[root] = Mark::Open;
        path.push((root, 0));
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            let Some(&target) = edges[node].get(*next) else {
                marks[node] = Mark::Done;
                order.push(node);
                path.pop();
                continue;
            };
            *next += 1;
            match marks[target] {
                Mark::Unseen => {
                    marks[target] = Mark::Open;
                    path.push((target, 0));
                }
                Mark::Open => {
                    let from = path.iter().position(|(n, _)| *n == target).unwrap_or(0);
                    return Err(path[from..].iter().map(|(n, _)| *n).collect());
                }
                Mark::Done => {}
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::spec::DependencySpec;
    use proptest::prelude::*;

    fn task(key: &str, on: &[&str]) -> TaskSpec {
        TaskSpec {
            key: Some(Name::parse(key).unwrap()),
            title: key.to_owned(),
            depends_on: on.iter().map(|k| DependencySpec::Plain(Name::parse(k).unwrap())).collect(),
            ..TaskSpec::default()
        }
    }

    #[test]
    fn a_cycle_is_refused_and_named() {
        let fault =
            check(vec![task("a", &["c"]), task("b", &["a"]), task("c", &["b"]), task("d", &[])])
                .unwrap_err();
        assert!(fault.message.contains("a -> c -> b -> a"), "{}", fault.message);
        let own = check(vec![task("a", &["a"])]).unwrap_err();
        assert!(own.message.contains("a -> a"), "{}", own.message);
    }

    #[test]
    fn an_unknown_key_and_a_double_key_are_named() {
        let fault = check(vec![task("a", &["nope"])]).unwrap_err();
        assert_eq!(fault.details["field"], "tasks[0].depends_on[0]");
        let fault = check(vec![task("a", &[]), task("a", &[])]).unwrap_err();
        assert_eq!(fault.details["field"], "tasks[1].key");
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let tasks = (0..MAX_GRAPH_TASKS)
            .map(|i| {
                if i == 0 {
                    task("t0", &[])
                } else {
                    task(&format!("t{i}"), &[&format!("t{}", i - 1)])
                }
            })
            .rev()
            .collect();
        let graph = check(tasks).unwrap();
        assert_eq!(graph.tasks[0].title, "t0");
    }

    proptest! {
        /// Edges that only point to earlier tasks have no cycle, and come out dependencies first.
        #[test]
        fn dependencies_come_first(edges in prop::collection::vec((1_usize..40, 0_usize..40), 0..120)) {
            let mut on: Vec<Vec<String>> = vec![Vec::new(); 40];
            for (from, to) in edges {
                let to = to % from;
                if !on[from].contains(&format!("k{to}")) { on[from].push(format!("k{to}")); }
            }
            let tasks: Vec<TaskSpec> = on.iter().enumerate().rev()
                .map(|(i, on)| task(&format!("k{i}"), &on.iter().map(String::as_str).collect::<Vec<_>>()))
                .collect();
            let graph = check(tasks).unwrap();
            let mut seen = std::collections::BTreeSet::new();
            for task in &graph.tasks {
                for edge in &task.depends_on { prop_assert!(seen.contains(edge.task())); }
                seen.insert(task.key.clone().unwrap());
            }
        }
    }
}
