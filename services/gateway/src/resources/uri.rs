//! The URIs of resources: `troupe://tasks/{id}` and its kin.

use troupe_domain::{Fault, Name};

const SCHEME: &str = "troupe://";

/// A kind of thing that can be read and followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Task,
    Plan,
    Agent,
    Memory,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Task, Self::Plan, Self::Agent, Self::Memory];

    /// The first part of the path.
    pub(crate) const fn collection(self) -> &'static str {
        match self {
            Self::Task => "tasks",
            Self::Plan => "plans",
            Self::Agent => "agents",
            Self::Memory => "memories",
        }
    }

    /// The token of its events.
    pub(crate) const fn entity(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Plan => "plan",
            Self::Agent => "agent",
            Self::Memory => "memory",
        }
    }

    /// The template of its URIs.
    pub(crate) fn template(self) -> String {
        format!("{SCHEME}{}/{{id}}", self.collection())
    }

    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Task => "A task: what it asks, where it is, who holds it, what came out.",
            Self::Plan => "A plan with its items in order, and which can begin.",
            Self::Agent => "A member of the fleet: role, capabilities, what it works on.",
            Self::Memory => "Something that the fleet remembers, with where it came from.",
        }
    }
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ResourceId {
    pub(crate) kind: Kind,
    pub(crate) id: Name,
}

impl ResourceId {
    /// Reads a URI.
    pub(crate) fn parse(uri: &str) -> Result<Self, Fault> {
        let bad = || Fault::invalid("uri", "must be like troupe://tasks/{id}");
        let path = uri.strip_prefix(SCHEME).ok_or_else(bad)?;
        let (collection, id) = path.split_once('/').ok_or_else(bad)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.collection() == collection);
        Ok(Self { kind: kind.ok_or_else(bad)?, id: Name::parse(id).map_err(|_| bad())? })
    }

    /// The URI.
    pub(crate) fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.kind.collection(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_survives_and_nonsense_does_not() {
        for kind in Kind::ALL {
            let id = ResourceId { kind, id: Name::parse("a-1").unwrap() };
            assert_eq!(ResourceId::parse(&id.uri()).unwrap(), id);
            assert!(kind.template().ends_with("/{id}"));
        }
        for bad in [
            "",
            "tasks/a",
            "troupe://",
            "troupe://tasks",
            "troupe://tasks/",
            "troupe://tasks/a/b",
            "troupe://tasks/a.b",
            "troupe://tasks/*",
            "troupe://things/a",
            "file:///etc/passwd",
        ] {
            assert!(ResourceId::parse(bad).is_err(), "{bad}");
        }
    }
}
