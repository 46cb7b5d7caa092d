//! `troupe doctor`: is everything there, and what to do if not.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use troupe_bus::port::{System, World};
use troupe_client::{CallOptions, Troupe};
use troupe_contract::Service;
use troupe_contract::registry::{Empty, Heartbeat, HeartbeatRequest};
use troupe_contract::routing::RoutingStats;
use troupe_domain::{Code, Timestamp};
use troupe_embedding::{Model, ModelSettings};
use troupe_parts::{Installed, PARTS, Progress};

use crate::args::Global;
use crate::exit::FAULT;
use crate::output;

/// How long one check may take.
const CHECK_LIMIT_MS: u64 = 3_000;
/// A clock that is further away than this is worth a word.
const TOLERATED_SKEW_MS: u64 = 2_000;
/// Characters of what was found in the table.
const FOUND_CHARS: usize = 100;

/// Check the parts (and fetch what is missing), the embedding model, the server, the services and the
/// clock; exit code 1 if something is wrong.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Only look at this machine, not at a running fleet.
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Serialize)]
struct Check {
    what: String,
    ok: bool,
    found: String,
    /// What to do; empty if nothing.
    advice: String,
}

fn check(what: impl Into<String>, found: Result<String, (String, String)>) -> Check {
    let what = what.into();
    match found {
        Ok(found) => Check { what, ok: true, found, advice: String::new() },
        Err((found, advice)) => Check { what, ok: false, found, advice },
    }
}

pub(crate) async fn run(global: &Global, args: DoctorArgs) -> Result<ExitCode> {
    let mut checks = parts().await?;
    checks.push(model().await?);
    if !args.offline {
        checks.push(server(&global.nats_url).await);
        fleet(global, &mut checks).await;
    }
    let well = checks.iter().all(|check| check.ok);
    if global.json {
        output::json(&checks)?;
    } else {
        let rows = checks.iter().map(|check| {
            let mark = if check.ok { "ok" } else { "MISSING" };
            vec![check.what.clone(), mark.into(), check.found.clone(), check.advice.clone()]
        });
        output::line(&output::table(&["what", "", "found", "what to do"], rows.collect()))?;
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(FAULT) })
}

async fn parts() -> Result<Vec<Check>> {
    let checks = spawn_blocking(|| {
        let find = |part: &troupe_parts::Part| {
            let found = match troupe_parts::ensure(part, Progress::Auto) {
                Ok(path) => Ok(path.display().to_string()),
                Err(why) => {
                    let advice = format!("set {} to its path, or install it", part.variable);
                    Err((output::short(&why.to_string(), FOUND_CHARS), advice))
                }
            };
            check(part.name, found)
        };
        PARTS.iter().map(find).collect()
    });
    Ok(checks.await?)
}

/// Whether text can be embedded here: the library is loaded, the model opened, and one text tried.
async fn model() -> Result<Check> {
    let tried = spawn_blocking(|| Model::find(&ModelSettings::default())).await?;
    let found = match tried {
        Ok(model) => Ok(format!("{} runs, {} dimensions", model.id(), model.dimensions())),
        Err(why) => {
            let advice = "see the parts above; without it intents are routed by capability alone";
            Err((output::short(&why.to_string(), FOUND_CHARS), advice.to_owned()))
        }
    };
    Ok(check("embedding", found))
}

/// What the server says of itself to whoever connects.
#[derive(serde::Deserialize)]
struct Info {
    version: String,
    #[serde(default)]
    jetstream: bool,
    max_payload: usize,
}

async fn server(urls: &str) -> Check {
    let url = urls.split(',').next().unwrap_or_default().trim();
    let place = url.rsplit_once("//").map_or(url, |(_, place)| place);
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let found = timeout(Duration::from_millis(CHECK_LIMIT_MS), greeting(place)).await;
    let advice = || format!("start one (`troupe dev`), or set --nats-url; {url} does not answer");
    let what = format!("nats-server at {place}");
    check(
        what,
        match found {
            Ok(Ok(info)) => suitable(&info),
            Ok(Err(why)) => Err((why.to_string(), advice())),
            Err(_) => Err(("no answer".to_owned(), advice())),
        },
    )
}

async fn greeting(place: &str) -> Result<Info> {
    let stream = TcpStream::connect(place).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(serde_json::from_str(line.trim_start_matches("INFO").trim())?)
}

fn suitable(info: &Info) -> Result<String, (String, String)> {
    let found = format!(
        "version {}, JetStream {}, max_payload {}",
        info.version,
        if info.jetstream { "on" } else { "off" },
        info.max_payload
    );
    let minimum = troupe_parts::NATS_SERVER.installed.as_ref().map(Installed::minimum);
    let version = troupe_parts::Version::read(&info.version);
    if version < minimum {
        let wanted = minimum.map_or_else(String::new, |version| version.to_string());
        return Err((found, format!("use nats-server {wanted} or newer")));
    }
    if !info.jetstream {
        return Err((found, "start it with JetStream (-js)".to_owned()));
    }
    if info.max_payload < troupe_domain::limits::MAX_MESSAGE_BYTES {
        return Err((found, "set max_payload: 8MB in its configuration".to_owned()));
    }
    Ok(found)
}

async fn fleet(global: &Global, checks: &mut Vec<Check>) {
    let limit = Duration::from_millis(CHECK_LIMIT_MS);
    let connected = match timeout(limit, global.connect()).await {
        Ok(Ok(troupe)) => troupe,
        Ok(Err(why)) => {
            let advice = "see --nats-url, --user, --password and --creds".to_owned();
            return checks.push(check("connection", Err((format!("{why:#}"), advice))));
        }
        Err(_) => return,
    };
    checks.push(check("connection", Ok(format!("as {}", connected.name()))));
    for service in Service::ALL {
        checks.push(ping(&connected, service).await);
    }
    checks.push(mailboxes(&connected).await);
    checks.push(clock(&connected).await);
}

/// Whether the shards of the routing service answer, and not only the service.
async fn mailboxes(troupe: &Troupe) -> Check {
    let options = CallOptions::within(Duration::from_millis(CHECK_LIMIT_MS));
    let answer = troupe.call_with::<RoutingStats>(&Empty {}, &options).await;
    check(
        "mailboxes",
        match answer {
            Ok(stats) => Ok(format!(
                "{}, with {} messages that wait, {} dead letters; {} routes",
                stats.mailboxes, stats.queued, stats.dead_letters, stats.routing.routes
            )),
            Err(fault) => {
                Err((fault.to_string(), format!("see the log of {}", Service::Routing.full_name())))
            }
        },
    )
}

async fn ping(troupe: &Troupe, service: Service) -> Check {
    let options = CallOptions {
        retry_unheard: false,
        ..CallOptions::within(Duration::from_millis(CHECK_LIMIT_MS))
    };
    let subject = format!("$SRV.PING.{}", service.full_name());
    let answer = troupe.bus().call_raw(&subject, bytes::Bytes::new(), &options).await;
    check(
        service.full_name(),
        match answer {
            Ok(body) => {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                Ok(format!("version {}", body["version"].as_str().unwrap_or("unknown")))
            }
            Err(fault) => {
                Err((fault.message, format!("start {}, or `troupe dev`", service.full_name())))
            }
        },
    )
}

/// The registry tells its time to whoever is known to it; being unknown is an answer as well.
async fn clock(troupe: &Troupe) -> Check {
    let options = CallOptions::within(Duration::from_millis(CHECK_LIMIT_MS));
    let before = System.now();
    let answer = troupe.call_with::<Heartbeat>(&HeartbeatRequest::default(), &options).await;
    check(
        "clock",
        match answer {
            Ok(answer) => skew(before, answer.server_time, System.now()),
            Err(fault) if fault.code == Code::NotFound => {
                Ok(format!("not compared: {} is no agent", troupe.name()))
            }
            Err(fault) => Err((fault.to_string(), "see the registry's log".to_owned())),
        },
    )
}

fn skew(
    before: Timestamp,
    server: Timestamp,
    after: Timestamp,
) -> Result<String, (String, String)> {
    let apart = before.millis_since(server).max(server.millis_since(after));
    let found = format!("{apart} ms apart at least");
    if apart > TOLERATED_SKEW_MS {
        return Err((found, "let both machines keep time by NTP".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_outside_of_the_request_is_skewed() {
        let at = Timestamp::from_millis;
        assert!(skew(at(1_000), at(1_500), at(2_000)).is_ok());
        assert!(skew(at(10_000), at(1_000), at(11_000)).is_err());
        assert!(skew(at(1_000), at(9_000), at(2_000)).is_err());
    }

    #[test]
    fn a_server_that_lacks_something_is_told_what() {
        let info = |version: &str, jetstream, max_payload| Info {
            version: version.to_owned(),
            jetstream,
            max_payload,
        };
        assert!(suitable(&info("2.15.1", true, 8 << 20)).is_ok());
        assert!(suitable(&info("2.9.10", true, 8 << 20)).unwrap_err().1.contains("2.14"));
        assert!(suitable(&info("2.15.1", false, 8 << 20)).unwrap_err().1.contains("JetStream"));
        assert!(suitable(&info("2.15.1", true, 1 << 20)).unwrap_err().1.contains("max_payload"));
    }
}
