//! Reading resources, and listing what there is, page by page.

use serde_json::Value;
use troupe_contract::memory::{GetMemory, ListMemories, ListMemoriesRequest, MemoryRef};
use troupe_contract::plan::{GetPlan, GetPlanRequest, ListPlans, ListPlansRequest};
use troupe_contract::registry::{AgentRef, GetAgent, ListAgents, ListAgentsRequest};
use troupe_contract::work::{GetTask, ListTasks, TaskFilter, TaskRef};
use troupe_domain::{Code, Fault, Name};

use super::uri::{Kind, ResourceId};
use crate::tools::{Effect, Visit};

/// Resources in one page of a list.
const PAGE_ROWS: usize = 50;
/// Items of a plan that a resource shows; plan_get pages through the rest.
const PLAN_ITEMS: usize = 200;
/// Characters of a title in a list.
const TITLE_CHARS: usize = 80;

/// The JSON of a resource.
pub(crate) async fn read(visit: &Visit, resource: &ResourceId) -> Result<Value, Fault> {
    let id = resource.id.clone();
    match resource.kind {
        Kind::Task => {
            let reply = visit.ask::<GetTask>(&TaskRef { task_id: id }, Effect::Reads).await?;
            written(&*reply.task)
        }
        Kind::Plan => {
            let request = GetPlanRequest {
                plan_id: id,
                at_sequence: None,
                at_version: None,
                at_time: None,
                limit: Some(PLAN_ITEMS),
                offset: None,
            };
            written(&visit.ask::<GetPlan>(&request, Effect::Reads).await?)
        }
        Kind::Agent => {
            let reply = visit.ask::<GetAgent>(&AgentRef { agent_id: id }, Effect::Reads).await?;
            written(&reply.agent)
        }
        Kind::Memory => {
            let request = MemoryRef { id, namespace: None };
            written(&visit.ask::<GetMemory>(&request, Effect::Reads).await?.memory)
        }
    }
}

fn written(value: &impl serde::Serialize) -> Result<Value, Fault> {
    serde_json::to_value(value).map_err(|why| Fault::new(Code::Internal, why.to_string()))
}

/// One line of a list.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) resource: ResourceId,
    pub(crate) title: String,
}

/// A page of what there is.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    pub(crate) next_cursor: Option<String>,
}

/// Where a list goes on: a kind, and after which id of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: Kind,
    after: Option<Name>,
}

impl Place {
    fn parse(cursor: &str) -> Result<Self, Fault> {
        let bad = || Fault::invalid("cursor", "must be a cursor that a page gave");
        let (collection, after) = cursor.split_once(':').ok_or_else(bad)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.collection() == collection);
        let after = match after {
            "" => None,
            after => Some(Name::parse(after).map_err(|_| bad())?),
        };
        Ok(Self { kind: kind.ok_or_else(bad)?, after })
    }

    fn text(&self) -> String {
        let after = self.after.as_ref().map_or("", Name::as_str);
        format!("{}:{after}", self.kind.collection())
    }

    /// The place behind a page: later in the same kind, or the beginning of the next.
    fn behind(&self, next_after: Option<Name>) -> Option<Self> {
        if next_after.is_some() {
            return Some(Self { kind: self.kind, after: next_after });
        }
        let mut kinds = Kind::ALL.into_iter().skip_while(|kind| *kind != self.kind).skip(1);
        kinds.next().map(|kind| Self { kind, after: None })
    }
}

/// A page of everything that can be read, one kind after the other.
pub(crate) async fn list(visit: &Visit, cursor: Option<&str>) -> Result<Page, Fault> {
    let place = match cursor {
        Some(cursor) => Place::parse(cursor)?,
        None => Place { kind: Kind::ALL[0], after: None },
    };
    let (lines, next_after) = match lines(visit, &place).await {
        Ok(found) => found,
        // A service that is away takes its kind with it, and not the others.
        Err(fault) if fault.code.is_transient() => (Vec::new(), None),
        Err(fault) => return Err(fault),
    };
    let row = |(id, title): (Name, String)| Row {
        resource: ResourceId { kind: place.kind, id },
        title: title.chars().take(TITLE_CHARS).collect(),
    };
    Ok(Page {
        rows: lines.into_iter().map(row).collect(),
        next_cursor: place.behind(next_after).map(|place| place.text()),
    })
}

/// Ids of one kind, as many as one page has.
pub(crate) async fn ids(visit: &Visit, kind: Kind) -> Result<Vec<String>, Fault> {
    let (lines, _) = lines(visit, &Place { kind, after: None }).await?;
    Ok(lines.into_iter().map(|(id, _)| id.to_string()).collect())
}

/// Ids with titles, and where the kind goes on.
type Lines = (Vec<(Name, String)>, Option<Name>);

async fn lines(visit: &Visit, place: &Place) -> Result<Lines, Fault> {
    let (after, limit) = (place.after.clone(), Some(PAGE_ROWS));
    match place.kind {
        Kind::Task => {
            let filter = TaskFilter { limit, after, ..TaskFilter::default() };
            let page = visit.ask::<ListTasks>(&filter, Effect::Reads).await?;
            let lines = page.tasks.iter().map(|task| (task.id.clone(), task.title.clone()));
            Ok((lines.collect(), page.next_after))
        }
        Kind::Plan => {
            let request = ListPlansRequest { limit, after, ..ListPlansRequest::default() };
            let page = visit.ask::<ListPlans>(&request, Effect::Reads).await?;
            let lines = page.plans.into_iter().map(|plan| (plan.id, plan.name));
            Ok((lines.collect(), page.next_after))
        }
        Kind::Agent => {
            let request = ListAgentsRequest { limit, after };
            let page = visit.ask::<ListAgents>(&request, Effect::Reads).await?;
            let line = |agent: troupe_domain::Agent| {
                let title = format!("{} ({})", agent.id, agent.role);
                (agent.id, title)
            };
            Ok((page.agents.into_iter().map(line).collect(), page.next_after))
        }
        Kind::Memory => {
            let request = ListMemoriesRequest { limit, after, ..ListMemoriesRequest::default() };
            let page = visit.ask::<ListMemories>(&request, Effect::Reads).await?;
            let line = |memory: troupe_domain::memory::Memory| {
                let title = memory.content.unwrap_or_else(|| memory.id.to_string());
                (memory.id, title.lines().next().unwrap_or_default().to_owned())
            };
            Ok((page.memories.into_iter().map(line).collect(), page.next_after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_through_every_kind_and_ends() {
        let mut place = Some(Place { kind: Kind::ALL[0], after: None });
        let mut seen = Vec::new();
        while let Some(here) = place {
            assert_eq!(Place::parse(&here.text()).unwrap(), here);
            seen.push(here.kind);
            let later = here.behind(Some(Name::parse("x").unwrap())).unwrap();
            assert_eq!((later.kind, Place::parse(&later.text()).unwrap()), (here.kind, later));
            place = here.behind(None);
        }
        assert_eq!(seen, Kind::ALL);
        for bad in ["", "tasks", "things:", "tasks:a.b"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
