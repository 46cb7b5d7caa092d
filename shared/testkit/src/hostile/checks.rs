//! What is asked of services by hostile callers, and what every answer must be like.

use std::collections::BTreeSet;

use serde_json::Value;
use troupe_contract::endpoint::EndpointEntry;
use troupe_contract::{Service, catalogue};
use troupe_domain::Code;
use troupe_domain::limits::MAX_MESSAGE_BYTES;

use super::junk::{self, Requests, Site};
use super::{Answer, Chance, Wire};
use crate::NatsServer;

/// What a caller can be told about its own mistakes.
const CALLERS_FAULTS: [&str; 8] = [
    "invalid_argument",
    "not_found",
    "already_exists",
    "conflict",
    "stale_epoch",
    "failed_precondition",
    "permission_denied",
    "resource_exhausted",
];

fn subject(service: &str, operation: &str, caller: &str) -> String {
    format!("troupe.v1.{service}.{operation}.{caller}")
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned()
}

/// The fault is the caller's, and says what is wrong and where. Gives its code, or `ok`.
pub fn check_fault(what: &str, body: &[u8], answer: &Answer) -> String {
    let code = answer.code();
    if code == "ok" {
        return code;
    }
    let fault = answer.json();
    let told = format!("{what}: {fault}\n{}", shown(body));
    assert!(CALLERS_FAULTS.contains(&code.as_str()), "{told}");
    assert!(fault["message"].as_str().is_some_and(|text| text.len() > 5), "{told}");
    let numeric = Code::ALL.iter().find(|known| known.as_str() == code).unwrap().http();
    assert!(answer.headers.contains(&format!("Nats-Service-Error-Code: {numeric}")), "{told}");
    if code == "invalid_argument" {
        assert!(
            fault["details"]["field"].as_str().is_some_and(|field| !field.is_empty()),
            "{told}"
        );
    }
    code
}

/// The first word of a path: `tasks[0].title` and `tasks` both begin with `tasks`.
fn root(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

/// What is wrong with an instance that has the right form, one field after the other: its parts were
/// not made to go together.
async fn complaints(wire: &mut Wire, at: &str, mut instance: Value) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    loop {
        let answer = wire.ask(at, &[], instance.to_string().as_bytes()).await;
        if answer.code() != "invalid_argument" {
            return named;
        }
        let field = answer.json()["details"]["field"].as_str().unwrap().to_owned();
        let field = root(&field).to_owned();
        let gone = instance.as_object_mut().and_then(|fields| fields.remove(&field));
        named.insert(field);
        if gone.is_none() {
            return named;
        }
    }
}

/// Junk in the place of one field.
async fn junk_in_place(
    wire: &mut Wire,
    at: &str,
    whole: &BTreeSet<String>,
    site: &Site,
    junk: &str,
) {
    let body = site.with(junk);
    let answer = wire.ask(at, &[], body.as_bytes()).await;
    let what = format!("{at} with {} in the place of {}", &junk[..junk.len().min(60)], site.path);
    let code = check_fault(&what, body.as_bytes(), &answer);
    if code != "invalid_argument" {
        return;
    }
    let field = answer.json()["details"]["field"].as_str().unwrap_or_default().to_owned();
    let read = serde_json::from_str::<Value>(&body).ok();
    // What may be absent may be null: then whatever else is wrong is told, and was not looked at before.
    let others = |body: &Value| junk == "null" && body.get(root(&field)).is_some();
    let named = root(&field) == root(&site.path)
        || whole.contains(root(&field))
        || read.as_ref().map_or(field == "body", others);
    assert!(named, "{what}: the fault names {field}: {}", answer.json());
}

/// Hostile callers of some services.
#[derive(Debug)]
pub struct Hostile<'a> {
    /// Where the services are.
    pub nats: &'a NatsServer,
    /// Whose endpoints are called.
    pub services: &'a [Service],
    /// Of so many pieces of junk one is sent; 1 sends all.
    pub one_in: usize,
}

impl Hostile<'_> {
    fn endpoints(&self) -> impl Iterator<Item = &'static EndpointEntry> {
        catalogue::endpoints().filter(|entry| self.services.contains(&entry.service))
    }

    /// The names of what is called: `<service>.<operation>`.
    pub fn names(&self) -> BTreeSet<String> {
        self.endpoints().map(|e| format!("{}.{}", e.service.token(), e.operation)).collect()
    }

    /// Junk in any field of any endpoint; `serves` is asked after each endpoint, by its number.
    pub async fn put_junk_in_every_field(&self, serves: impl AsyncFn(usize)) {
        let mut wire = Wire::connect(self.nats).await;
        let requests = Requests::read();
        let seed = u64::from(std::process::id());
        println!("seed {seed}");
        let (mut chance, mut sent) = (Chance(seed), 0);
        for (round, entry) in self.endpoints().enumerate() {
            let (service, operation) = (entry.service.token(), entry.operation);
            let at = subject(service, operation, "hostile");
            for variant in 0..3 {
                let instance = requests.instance(service, operation, variant);
                let plain = wire.ask(&at, &[], instance.to_string().as_bytes()).await;
                check_fault(&at, instance.to_string().as_bytes(), &plain);
                let whole = complaints(&mut wire, &at, instance.clone()).await;
                for site in junk::sites(&instance) {
                    for junk in junk::values() {
                        if chance.below(self.one_in) != 0 {
                            continue;
                        }
                        junk_in_place(&mut wire, &at, &whole, &site, &junk).await;
                        sent += 1;
                    }
                }
            }
            serves(round).await;
        }
        println!("{sent} requests with junk in one field");
    }

    /// Bodies that are no requests, to every endpoint.
    pub async fn send_what_is_no_request(&self) {
        let mut wire = Wire::connect(self.nats).await;
        let seed = u64::from(std::process::id());
        println!("seed {seed}");
        let mut chance = Chance(seed);
        for entry in self.endpoints() {
            let at = subject(entry.service.token(), entry.operation, "hostile");
            for body in junk::bodies(&mut chance) {
                let answer = wire.ask(&at, &[], &body).await;
                let code = check_fault(&at, &body, &answer);
                let nothing = body.is_empty() || body.iter().all(u8::is_ascii_whitespace);
                if !nothing && serde_json::from_slice::<Value>(&body).is_err() {
                    assert_eq!(code, "invalid_argument", "{at} {}", shown(&body));
                }
                if code == "ok" {
                    assert!(nothing || body == b"{}", "{at} takes {}", shown(&body));
                }
            }
            // A field more than there is, as large as the server lets through.
            let large = format!("{{\"nonsense\":\"{}\"}}", "x".repeat(MAX_MESSAGE_BYTES - 1_000));
            let answer = wire.ask(&at, &[], large.as_bytes()).await;
            let code = check_fault(&at, large.as_bytes(), &answer);
            assert_eq!(code, "invalid_argument", "{at} with an unknown field of 8 MB");
            assert_eq!(answer.json()["details"]["field"], "nonsense", "{at}: {}", answer.json());
        }
    }

    /// Headers, callers and silence that nobody would choose, to every endpoint; `serves` is asked
    /// after each, by its number.
    pub async fn misuse_headers_and_names(&self, serves: impl AsyncFn(usize)) {
        let mut wire = Wire::connect(self.nats).await;
        let requests = Requests::read();
        let long = "k".repeat(5_000);
        let headers: [&[(&str, &str)]; 14] = [
            &[("traceparent", "zz")],
            &[("traceparent", "00-00000000000000000000000000000000-0000000000000000-00")],
            &[
                ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                ("tracestate", &long),
            ],
            &[("traceparent", "00-ééééééééééééééééééééééééééééééééé-00f067aa0ba902b7-01")],
            &[("Troupe-Deadline-Ms", "-1")],
            &[("Troupe-Deadline-Ms", "soon")],
            &[("Troupe-Deadline-Ms", "99999999999999999999999999999999")],
            &[("Troupe-Deadline-Ms", "18446744073709551615")],
            &[("Nats-Msg-Id", "")],
            &[("Nats-Msg-Id", &long)],
            &[("Nats-Msg-Id", "a\u{7}b")],
            &[("Troupe-Caller", "somebody-else")],
            &[("Nats-Service-Error-Code", "500"), ("Nats-Service-Error", "liar")],
            &[("x", ""), ("x", &long), ("y", "é")],
        ];
        for (round, entry) in self.endpoints().enumerate() {
            let (service, operation) = (entry.service.token(), entry.operation);
            let at = subject(service, operation, "hostile");
            let body = requests.instance(service, operation, 0).to_string();
            for headers in headers {
                let answer = wire.ask(&at, headers, body.as_bytes()).await;
                check_fault(&format!("{at} {}", headers[0].0), body.as_bytes(), &answer);
                // In a batch each call has its own.
                if headers[0] == ("Nats-Msg-Id", long.as_str()) && operation != "batch" {
                    assert_eq!(answer.code(), "invalid_argument");
                }
            }
            let name_too_long = "n".repeat(65);
            for caller in ["*", ">", "é", "a@b", "a\u{1}b", "$SYS", "..", &name_too_long] {
                let at = subject(service, operation, caller);
                if caller == ">" || caller == ".." {
                    // No endpoint listens there; that no harm is done is seen below.
                    wire.publish(&at, None, &[], body.as_bytes()).await;
                    continue;
                }
                let answer = wire.ask(&at, &[], body.as_bytes()).await;
                assert_eq!(check_fault(&at, body.as_bytes(), &answer), "invalid_argument", "{at}");
                assert_eq!(answer.json()["details"]["field"], "subject", "{at}");
            }
            // Without a reply subject nobody hears the answer; and nobody stops over it.
            wire.publish(&at, None, &[], body.as_bytes()).await;
            wire.publish(&at, None, &[("traceparent", "zz")], b"{").await;
            serves(round).await;
        }
    }
}
