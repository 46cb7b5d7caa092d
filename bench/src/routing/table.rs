//! The result as tables.

mod accuracy;

use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use troupe_contract::routing::CacheUse;

use super::balancing::Balancing;
use super::decisions::{Decisions, Timed};
use super::mailboxes::Mailboxes;
use super::messages::Messages;
use super::replay::{Answers, Replay};
use super::report::{Report, Series};
use super::scale::Scale;
use crate::latency::Latency;

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let (machine, versions) = (&report.machine, &report.versions);
    let mut text = format!(
        "{}\n{}, {} cores, {:.1} GiB, load before {}\n{}, Linux {} ({})\n{}; troupe {} ({}); {}\n\
         sizes: {:?}\n",
        report.date,
        machine.cpu,
        machine.cores,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.load_before,
        machine.os,
        machine.kernel,
        machine.architecture,
        versions.nats_server,
        versions.troupe,
        versions.profile,
        versions.rustc,
        report.sizes,
    );
    let parts = [
        report.accuracy.as_ref().map(accuracy::text),
        report.decisions.as_ref().map(decisions_text),
        report.cache.as_ref().map(replay_text),
        report.messages.as_ref().map(messages_text),
        report.scale.as_ref().map(scale_text),
        report.balancing.as_ref().map(balancing_text),
        report.mailboxes.as_ref().map(mailboxes_text),
    ];
    for part in parts.into_iter().flatten() {
        let _ = write!(text, "\n{part}\n");
    }
    text.push('\n');
    for failure in &report.failures {
        let _ = writeln!(text, "- not measured: {failure}");
    }
    for note in &report.notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    table
}

fn decisions_text(decisions: &Decisions) -> String {
    let size = format!("{} routes, {} agents", decisions.routes, decisions.agents);
    let mut rows = series_table(&format!("Decisions, {size}"));
    series_row(&mut rows, "known to the letter", &decisions.known);
    series_row(&mut rows, "never asked before", &decisions.new);
    let mut latencies = latency_table();
    timed_rows(&mut latencies, "", &decisions.timed);
    let chosen = percent(decisions.timed.chosen);
    format!("{rows}\n\n{latencies}\nOne by one: {chosen} chosen, the others end at a threshold")
}

fn timed_rows(rows: &mut Table, title: &str, timed: &Timed) {
    for (kind, latency) in &timed.over_the_bus {
        latency_row(rows, &format!("{title}{}, over the bus", known(*kind)), latency);
    }
    for (kind, latency) in &timed.in_the_service {
        latency_row(rows, &format!("{title}{}, in the service", known(*kind)), latency);
    }
}

fn known(kind: CacheUse) -> &'static str {
    match kind {
        CacheUse::Exact => "exact hit",
        CacheUse::Near => "near hit",
        CacheUse::Miss => "miss",
    }
}

fn replay_text(replay: &Replay) -> String {
    let title = format!(
        "{} texts of {}, {} different, {} of these out of scope",
        replay.asked, replay.set, replay.different, replay.out_of_scope
    );
    let mut rows = table([title.as_str(), "count", "abstained", "wrong", "made wrong"]);
    for (name, answers) in
        [("exact hit", replay.exact), ("near hit", replay.near), ("miss", replay.miss)]
    {
        let Answers { count, abstained, wrong, made_wrong } = answers;
        let numbers = [count, abstained, wrong, made_wrong].map(|n| n.to_string());
        rows.add_row(std::iter::once(name.to_owned()).chain(numbers));
    }
    format!(
        "{rows}\nHits {}, of which wrong {}, made wrong by the cache {}; wrong without a cache {}",
        percent(replay.hit_ratio),
        percent(replay.wrong_hit_ratio),
        percent(replay.made_wrong_ratio),
        percent(replay.wrong_without_ratio)
    )
}

fn messages_text(messages: &Messages) -> String {
    let mut rows = series_table("Messages by intent");
    series_row(&mut rows, "known to the letter", &messages.known);
    series_row(&mut rows, "never sent before", &messages.new);
    let mut latencies = latency_table();
    latency_row(&mut latencies, "known, until acknowledged", &messages.known_latency);
    latency_row(&mut latencies, "new, until acknowledged", &messages.new_latency);
    format!("{rows}\n\n{latencies}")
}

fn scale_text(scale: &Scale) -> String {
    let mut rows = latency_table();
    let mut text = String::new();
    for sized in [&scale.few, &scale.many] {
        let size = format!("{} routes, {} agents", sized.fleet.routes, sized.fleet.agents);
        timed_rows(&mut rows, &format!("{size}: "), &sized.timed);
        let _ = writeln!(
            text,
            "{size}: declared in {:.1} s, followed {:.1} s later, steady {:.1} s after that; {} chosen",
            sized.declared_s,
            sized.settled_s,
            sized.steady_s,
            percent(sized.timed.chosen)
        );
    }
    for (kind, ratio) in &scale.slowdown_p50 {
        let _ = writeln!(text, "{} slower by {ratio:.2} (p50, over the bus)", known(*kind));
    }
    format!("{rows}\n{text}")
}

fn balancing_text(balancing: &Balancing) -> String {
    let title = format!(
        "{} agents, one slow, one failing, {:.0} messages/s",
        balancing.agents, balancing.rate_per_s
    );
    let mut rows = table([
        title.as_str(),
        "p50, ms",
        "p99, ms",
        "deliveries failed",
        "never handled",
        "handled by the slow one",
    ]);
    let plain = std::iter::once(("plain round-robin, no breakers", &balancing.plain));
    for (name, one) in plain.chain(balancing.strategies.iter().map(|(name, one)| (*name, one))) {
        rows.add_row([
            name.to_owned(),
            format!("{:.1}", one.latency.p50_us as f64 / 1_000.0),
            format!("{:.1}", one.latency.p99_us as f64 / 1_000.0),
            percent(Some(one.failed_deliveries)),
            percent(Some(one.unhandled)),
            one.handled_by_slow.to_string(),
        ]);
    }
    rows.to_string()
}

fn mailboxes_text(mailboxes: &Mailboxes) -> String {
    let title = format!("Mailboxes, {} bytes", mailboxes.body_bytes);
    let mut rows = series_table(&title);
    series_row(&mut rows, "raw: publish, pull, acknowledge", &mailboxes.raw);
    series_row(&mut rows, "send, inbox, ack", &mailboxes.mailboxes);
    let mut latencies = latency_table();
    latency_row(&mut latencies, "raw: until acknowledged", &mailboxes.raw_latency);
    latency_row(&mut latencies, "until acknowledged", &mailboxes.latency);
    format!("{rows}\nMailboxes to raw: {:.2}\n\n{latencies}", mailboxes.ratio)
}

fn series_table(title: &str) -> Table {
    table([title, "median per s", "each", "processor time for each, us"])
}

fn series_row(rows: &mut Table, name: &str, series: &Series) {
    let each: Vec<_> = series.per_s.iter().map(|rate| format!("{rate:.0}")).collect();
    let processor = series.processor_us_each.iter().map(|(part, us)| format!("{part} {us:.0}"));
    rows.add_row([
        name.to_owned(),
        format!("{:.0}", series.median_per_s),
        each.join(" "),
        processor.collect::<Vec<_>>().join(", "),
    ]);
}

fn latency_table() -> Table {
    table(["Latency, us", "count", "p50", "p90", "p99", "p99.9", "max"])
}

fn latency_row(rows: &mut Table, name: &str, latency: &Latency) {
    let Latency { count, p50_us, p90_us, p99_us, p999_us, max_us } = *latency;
    let numbers = [count, p50_us, p90_us, p99_us, p999_us, max_us].map(|n| n.to_string());
    rows.add_row(std::iter::once(name.to_owned()).chain(numbers));
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
