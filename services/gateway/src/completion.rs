//! What may be meant while a person types an argument of a prompt or the id of a resource.

use troupe_domain::Fault;
use troupe_domain::name::roles;

use crate::resources::{self, Kind};
use crate::tools::Visit;

/// Suggestions at once.
const MAX_SUGGESTIONS: usize = 20;

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The id of something.
    Id(Kind),
    /// A role.
    Role,
    /// Anything.
    Text,
}

impl Meaning {
    /// Of an argument of a prompt.
    pub(crate) fn of_argument(name: &str) -> Self {
        match name {
            "task_id" | "task_ids" => Self::Id(Kind::Task),
            "to" | "like" => Self::Id(Kind::Agent),
            "role" => Self::Role,
            _ => Self::Text,
        }
    }

    /// Of the id in a template of URIs.
    pub(crate) fn of_template(template: &str) -> Self {
        let kind = Kind::ALL.into_iter().find(|kind| kind.template() == template);
        kind.map_or(Self::Text, Self::Id)
    }
}

/// What begins like `typed`. In a list with commas it is the last that is typed.
pub(crate) async fn suggestions(
    visit: &Visit,
    meaning: Meaning,
    typed: &str,
) -> Result<Vec<String>, Fault> {
    let (before, begun) = match typed.rsplit_once(',') {
        Some((before, begun)) => (format!("{before}, "), begun.trim_start()),
        None => (String::new(), typed),
    };
    let known = match meaning {
        Meaning::Text => Vec::new(),
        Meaning::Role => roles::WELL_KNOWN.map(str::to_owned).to_vec(),
        Meaning::Id(kind) => resources::ids(visit, kind).await?,
    };
    let fitting = known.into_iter().filter(|it| it.starts_with(begun));
    Ok(fitting.take(MAX_SUGGESTIONS).map(|it| format!("{before}{it}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_templates_mean_something() {
        assert_eq!(Meaning::of_argument("task_ids"), Meaning::Id(Kind::Task));
        assert_eq!(Meaning::of_argument("question"), Meaning::Text);
        for kind in Kind::ALL {
            assert_eq!(Meaning::of_template(&kind.template()), Meaning::Id(kind));
        }
        assert_eq!(Meaning::of_template("file:///{path}"), Meaning::Text);
    }
}
