//! To whom a message goes, and what is wanted of whom: the flags that several commands share.

use anyhow::Result;
use clap::Args;
use troupe_domain::message::{Fallback, Intent, IntentFilters, MessageSpec};
use troupe_domain::{AgentId, RequiredCapability, Role, Surface, Topic};

use crate::output::from_word;

/// Who may act on an intent, and what happens when nobody fits.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Filters {
    /// Only agents with this role.
    #[arg(long)]
    role: Option<Role>,
    /// Only agents with all of these, such as rust:0.8; can be repeated.
    #[arg(long = "capability", value_name = "NAME[:MIN]")]
    capabilities: Vec<RequiredCapability>,
    /// Only agents that meet their people there.
    #[arg(long, value_parser = from_word::<Surface>)]
    surface: Option<Surface>,
    /// Not this agent; can be repeated.
    #[arg(long = "exclude", value_name = "ID")]
    exclude: Vec<AgentId>,
    /// When nobody fits: refuse, capability, role:NAME or agent:ID [default: the service's setting].
    #[arg(long, value_parser = fallback)]
    fallback: Option<Fallback>,
}

impl Filters {
    pub(super) fn split(self) -> (IntentFilters, Option<Fallback>) {
        let filters = IntentFilters {
            role: self.role,
            capabilities: self.capabilities,
            surface: self.surface,
            exclude_agent_ids: self.exclude,
        };
        (filters, self.fallback)
    }

    fn is_empty(&self) -> bool {
        let Self { role, capabilities, surface, exclude, fallback } = self;
        let none = role.is_none() && surface.is_none() && fallback.is_none();
        none && capabilities.is_empty() && exclude.is_empty()
    }
}

fn fallback(text: &str) -> Result<Fallback, String> {
    let name = |text: &str| AgentId::parse(text).map_err(|why| why.to_string());
    match text.split_once(':') {
        None if text == "refuse" => Ok(Fallback::Refuse),
        None if text == "capability" => Ok(Fallback::Capability),
        Some(("role", role)) => name(role).map(Fallback::Role),
        Some(("agent", agent)) => name(agent).map(Fallback::Agent),
        _ => Err("one of refuse, capability, role:NAME, agent:ID".to_owned()),
    }
}

/// To whom a message goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Address {
    #[command(flatten)]
    way: Way,
    #[command(flatten)]
    filters: Filters,
}

/// One of the four ways to address.
#[derive(Debug, Clone, Args)]
#[group(id = "address", required = true, multiple = false)]
struct Way {
    /// To this agent.
    #[arg(long, value_name = "AGENT")]
    to: Option<AgentId>,
    /// To whoever follows this topic.
    #[arg(long, value_parser = topic)]
    topic: Option<Topic>,
    /// To everybody.
    #[arg(long)]
    broadcast: bool,
    /// To whoever can act on it: say in words what is wanted.
    #[arg(long, value_name = "TEXT")]
    intent: Option<String>,
}

fn topic(text: &str) -> Result<Topic, String> {
    Topic::parse(text).map_err(|why| why.to_string())
}

impl Address {
    /// Puts the address into a message.
    pub(super) fn onto(self, message: MessageSpec) -> Result<MessageSpec> {
        let Self { way: Way { to, topic, broadcast, intent }, filters } = self;
        if intent.is_none() && !filters.is_empty() {
            let why = "--role, --capability, --surface, --exclude and --fallback go with --intent";
            return Err(crate::exit::Usage::error(why));
        }
        let intent = intent.map(|text| {
            let (filters, fallback) = filters.split();
            Intent { text, filters, fallback }
        });
        Ok(MessageSpec { recipient_id: to, topic, broadcast, intent, ..message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        address: Address,
    }

    #[test]
    fn there_is_exactly_one_address_and_filters_go_with_intents() {
        let read = |words: &[&str]| {
            let words = std::iter::once(&"send").chain(words);
            <Line as clap::Parser>::try_parse_from(words).map(|line| line.address)
        };
        assert!(read(&[]).is_err() && read(&["--to", "ann", "--broadcast"]).is_err());
        let filtered = read(&["--to", "ann", "--role", "auditor"]).unwrap();
        assert!(filtered.onto(MessageSpec::default()).is_err());
        let intent = read(&["--intent", "fix it", "--role", "auditor"]).unwrap();
        let message = intent.onto(MessageSpec::default()).unwrap();
        assert_eq!(message.intent.unwrap().filters.role, Some(Role::parse("auditor").unwrap()));
    }

    #[test]
    fn a_fallback_is_one_of_four() {
        let role = Role::parse("auditor").unwrap();
        assert_eq!(fallback("role:auditor"), Ok(Fallback::Role(role)));
        assert_eq!(fallback("refuse"), Ok(Fallback::Refuse));
        assert!(fallback("somebody").is_err() && fallback("agent:a b").is_err());
    }
}
