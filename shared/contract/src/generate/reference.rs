//! The reference page: the contract for people.
//!
//! Everything on it comes from the declarations: a sentence that is wrong here is wrong there.

mod schema_text;

use std::fmt::Write;

use serde_json::Value;
use troupe_domain::Code;

use self::schema_text::{description, fields_table, flattened, target, type_section};
use super::schemas::{Bundle, EndpointSchemas, EventSchemas};
use super::{DOCUMENTED_SHARDS, agent_messages, limits, object_subjects, operation_address};
use crate::endpoint::{Audience, Service};
use crate::headers;
use crate::stream::{self, StreamSpec, WhenFull};
use crate::subject;

const OPENING: &str = "\
# Contract reference

Generated from the contract crate by `cargo xtask contract`; do not edit. The same declarations as
data: [schemas.json](schemas.json), [asyncapi.json](asyncapi.json),
[permissions.json](permissions.json).

A request is a JSON object on `troupe.v1.<service>.<operation>.<caller>`, where `<caller>` is the name
in the caller's credentials. Unknown fields are refused. The answer comes to the request's reply
subject: the reply, or a [fault](#faults).
";

/// The page, in Markdown.
pub fn reference() -> String {
    let bundle = Bundle::draft_2020_12();
    let mut page = Page { text: OPENING.to_owned() };
    for service in Service::ALL {
        page.service(service, &bundle);
    }
    page.types(&bundle);
    page.faults();
    page.events(&bundle);
    page.agent_messages();
    page.object_subjects();
    page.streams();
    page.headers();
    page.limits();
    format!("{}\n", page.text.trim_end())
}

struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: impl std::fmt::Display) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn heading(&mut self, level: usize, title: impl std::fmt::Display) {
        self.line(format_args!("\n{} {title}\n", "#".repeat(level)));
    }

    fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        self.line(format_args!("| {} |", head.join(" | ")));
        self.line(format_args!("|{}", "---|".repeat(head.len())));
        for row in rows {
            let cells: Vec<_> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            self.line(format_args!("| {} |", cells.join(" | ")));
        }
    }

    fn service(&mut self, service: Service, bundle: &Bundle) {
        self.heading(2, format_args!("Service `{}`", service.token()));
        self.line(format_args!("Answered by `{}`.", service.full_name()));
        let own = |e: &&EndpointSchemas| e.entry.service == service;
        for EndpointSchemas { entry, request, reply } in bundle.endpoints.iter().filter(own) {
            self.heading(3, format_args!("`{}.{}`", service.token(), entry.operation));
            self.line(entry.summary);
            let audience = match entry.audience {
                Audience::Everyone => "everyone",
                Audience::Services => "services only",
            };
            let address = operation_address(entry);
            self.line(format_args!("\nSubject `{address}`, for {audience}.\n"));
            self.payload("Request", request, bundle);
            self.line("");
            self.payload("Reply", reply, bundle);
        }
    }

    fn payload(&mut self, way: &str, schema: &Value, bundle: &Bundle) {
        let name = target(schema).unwrap_or("a value");
        let schema = flattened(schema, bundle);
        self.line(format_args!("**{way}** `{name}`: {}\n", description(&schema)));
        match fields_table(&schema) {
            Some(rows) => self.table(&["field", "type", "required", "meaning"], rows),
            None => self.line("No fields."),
        }
    }

    fn types(&mut self, bundle: &Bundle) {
        self.heading(2, "Types");
        self.line("What the tables above refer to, by name.");
        let direct: Vec<_> = bundle
            .endpoints
            .iter()
            .flat_map(|endpoint| [&endpoint.request, &endpoint.reply])
            .filter_map(target)
            .collect();
        for (name, schema) in &bundle.definitions {
            // What a request or reply alone is stands above.
            let shown_above = direct.contains(&name.as_str()) && !is_referred_to(name, bundle);
            if !shown_above {
                self.heading(3, name);
                let section = type_section(schema);
                self.line(section.text);
                if let Some((head, rows)) = section.table {
                    self.line("");
                    self.table(head, rows);
                }
            }
        }
    }

    fn faults(&mut self) {
        self.heading(2, "Faults");
        self.line(format_args!(
            "A refusal carries the headers `{}` and `{}` and the body `{{code, message, details}}`. \
             A transient fault may pass: the same request may succeed later.\n",
            headers::SERVICE_ERROR,
            headers::SERVICE_ERROR_CODE
        ));
        let meanings = code_meanings();
        let rows = Code::ALL.map(|code| {
            let transient = if code.is_transient() { "yes" } else { "no" };
            let meaning = meanings(code);
            vec![format!("`{}`", code.as_str()), code.http().to_string(), meaning, transient.into()]
        });
        self.table(&["code", "HTTP", "meaning", "transient"], rows);
    }

    fn events(&mut self, bundle: &Bundle) {
        self.heading(2, "Events");
        self.line(
            "CloudEvents 1.0, JSON batch format: a message is an array of events of one kind that \
             happened at about the same time, each `{specversion, id, source, type, subject, time, \
             traceparent?, data}` with the entity's id as `subject`. Published by services only, at \
             least once: the same `id` is the same event. Events of one entity keep their order.",
        );
        for EventSchemas { entry, data } in &bundle.events {
            self.entity_events(entry.entity, &entry.kinds, data);
        }
    }

    fn entity_events(&mut self, entity: &str, kinds: &[(&str, &str)], data: &Value) {
        self.heading(3, format_args!("Events of {}", many(entity)));
        self.line(format_args!("Data: {}.\n", schema_text::type_of(data)));
        let rows = kinds
            .iter()
            .map(|(kind, summary)| vec![code(&subject::event(entity, kind)), (*summary).into()]);
        self.table(&["subject", "meaning"], rows);
    }

    fn agent_messages(&mut self) {
        self.heading(2, "Agents' messages");
        self.line("Published by agents themselves; the last token is the sender's own name.\n");
        let rows = agent_messages::ALL.map(|message| {
            let subject = code(&message.address());
            vec![subject, message.summary.to_owned(), message.carried.summary().to_owned()]
        });
        self.table(&["subject", "meaning", "today"], rows);
    }

    fn object_subjects(&mut self) {
        self.heading(2, "Shared objects, live");
        self.line("Told without a promise; what is missed is asked for with `plan.sync`.\n");
        let rows = object_subjects::all().into_iter().map(|told| {
            vec![code(&told.address), told.summary.to_owned(), told.content.to_owned()]
        });
        self.table(&["subject", "meaning", "content"], rows);
    }

    fn streams(&mut self) {
        self.heading(2, "Streams");
        self.line("One `TROUPE_WORK_<shard>`, `TROUPE_ROUTING_<shard>`, `TROUPE_PLAN_<shard>` and `TROUPE_MEMORY_<shard>` for each shard; the deployment chooses how many.\n");
        let rows = stream::all(DOCUMENTED_SHARDS).into_iter().map(stream_row);
        self.table(&["stream", "subjects", "keeps", "when full", "meaning"], rows);
    }

    fn headers(&mut self) {
        self.heading(2, "Headers");
        let rows = [
            (headers::TRACEPARENT, "W3C Trace Context, on every message."),
            (headers::TRACESTATE, "W3C Trace Context, vendor entries."),
            (headers::MSG_ID, "The idempotency key of a command."),
            (headers::DEADLINE_MS, "How long the caller waits for the answer, in milliseconds."),
            (headers::CALLER, "Between replicas: the caller of a request that is handed on."),
            (headers::SERVICE_ERROR, "On a fault: the message."),
            (headers::SERVICE_ERROR_CODE, "On a fault: the HTTP equivalent of the code."),
        ];
        self.table(&["header", "meaning"], rows.map(|(name, text)| vec![code(name), text.into()]));
    }

    fn limits(&mut self) {
        self.heading(2, "Limits");
        self.line(
            "What is over a limit is refused with `resource_exhausted` or `invalid_argument`.\n",
        );
        let rows = limits::ALL
            .iter()
            .map(|l| vec![code(l.name), l.value.to_string(), l.meaning.to_owned()]);
        self.table(&["limit", "value", "bounds"], rows);
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Whether another definition, or a list in a reply, refers to `name`.
fn is_referred_to(name: &str, bundle: &Bundle) -> bool {
    bundle
        .definitions
        .values()
        .any(|schema| super::schemas::references(schema, "#/$defs").contains(name))
}

/// What each code means, in the words of its declaration.
fn code_meanings() -> impl Fn(Code) -> String {
    let schema = schemars::schema_for!(Code);
    let variants = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    move |code| {
        let variant = variants.iter().find(|v| v["const"] == code.as_str());
        variant.map(description).unwrap_or_default()
    }
}

/// The name of a kind of entity, of many.
fn many(entity: &str) -> String {
    match entity.chars().last() {
        Some('s') => entity.to_owned(),
        Some('x') => format!("{entity}es"),
        Some('y') => format!("{}ies", entity.trim_end_matches('y')),
        _ => format!("{entity}s"),
    }
}

fn stream_row(spec: StreamSpec) -> Vec<String> {
    let mut keeps = Vec::new();
    if spec.max_messages_per_subject > 0 {
        keeps.push(format!("the newest {} of each subject", spec.max_messages_per_subject));
    }
    if spec.max_age_s > 0 {
        keeps.push(format!("{} days", spec.max_age_s / 86_400));
    }
    keeps.push(format!("{} MiB", spec.max_bytes >> 20));
    let when_full = match spec.when_full {
        WhenFull::Refuse => "refuses new ones",
        WhenFull::DropOldest => "drops the oldest",
    };
    let subjects: Vec<_> = spec.subjects.iter().map(|subject| code(subject)).collect();
    vec![
        code(&spec.name),
        subjects.join(", "),
        keeps.join(", "),
        when_full.to_owned(),
        spec.description,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue, event};

    #[test]
    fn everything_declared_is_on_the_page() {
        let page = reference();
        for entry in catalogue::endpoints() {
            assert!(page.contains(&operation_address(entry)), "{}", entry.operation);
            assert!(page.contains(entry.summary), "{}", entry.operation);
        }
        for (kind, summary) in event::entries().into_iter().flat_map(|entry| entry.kinds) {
            assert!(page.contains(kind) && page.contains(summary), "{kind}");
        }
        for limit in limits::ALL {
            assert!(page.contains(limit.name), "{}", limit.name);
        }
    }

    #[test]
    fn every_code_has_a_meaning() {
        let meanings = code_meanings();
        for code in Code::ALL {
            assert!(meanings(code).ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn every_link_within_the_page_has_its_heading() {
        let page = reference();
        let anchors: Vec<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("##"))
            .map(|title| title.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
            .collect();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(anchors.iter().any(|anchor| anchor == link), "{link}");
        }
    }
}
