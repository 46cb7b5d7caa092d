//! What there is to learn: every route with the texts that it is recognised by.
//!
//! Declared routes and what agents offer become one table. Invariants: a route that leads to a
//! capability stands for it, so that the same texts never compete with themselves; and a route that
//! is gone leads nowhere from that moment on, whatever an older router says.

use std::collections::{BTreeMap, HashMap};

use troupe_contract::routing::RouteTarget;
use troupe_domain::{Name, RequiredCapability};

use super::offers::Offers;
use super::routes::{RouteEntry, RouteTable};
use super::utterance;

/// A route as it is learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// The route.
    pub route: Name,
    /// What it is recognised by.
    pub texts: Vec<String>,
    /// What it was said not to be meant by.
    pub against: Vec<String>,
    /// The threshold that was declared or fitted.
    pub threshold: Option<f64>,
}

/// Every route as it is learned, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    /// The routes.
    pub ways: Vec<Way>,
    /// What the agents offered when it was made.
    pub fleet: u64,
    /// What the routes were when it was made.
    pub routes: u64,
}

impl Catalogue {
    /// What there is to learn from `table` and `offers`.
    pub fn of(table: &RouteTable, offers: &Offers) -> Self {
        let mut stand_ins: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
        for entry in table.iter().filter(|entry| !entry.offered) {
            if let RouteTarget::Capability(need) = &entry.declared.target {
                stand_ins.entry(&need.name).or_default().push(&entry.declared.id);
            }
        }
        let mut ways: BTreeMap<&Name, Way> = BTreeMap::new();
        for entry in table.iter().filter(|entry| !entry.offered) {
            ways.insert(&entry.declared.id, way(&entry.declared.id, Some(entry)));
        }
        for (capability, texts) in offers.iter() {
            match stand_ins.get(capability).map(Vec::as_slice) {
                // The one that stands for it is meant by the same words.
                Some([one]) => {
                    if let Some(way) = ways.get_mut(*one) {
                        way.texts.extend(texts.map(str::to_owned));
                    }
                }
                Some(_) => {}
                None if ways.contains_key(capability) => {}
                None => {
                    let mut way = way(capability, table.get(capability));
                    way.texts.extend(texts.map(str::to_owned));
                    ways.insert(capability, way);
                }
            }
        }
        let mut ways: Vec<Way> = ways.into_values().collect();
        ways.iter_mut().for_each(|way| {
            way.texts.sort_unstable();
            way.texts.dedup();
        });
        Self { ways, fleet: offers.fingerprint(), routes: table.fingerprint() }
    }

    /// By the key of a text: the route of which it is an example; texts of several routes are left
    /// out.
    pub fn letters(&self) -> HashMap<String, Name> {
        let mut letters: HashMap<String, Option<&Name>> = HashMap::new();
        for way in &self.ways {
            for text in &way.texts {
                let known = letters.entry(utterance::key(text)).or_insert(Some(&way.route));
                if *known != Some(&way.route) {
                    *known = None;
                }
            }
        }
        letters.into_iter().filter_map(|(text, route)| Some((text, route?.clone()))).collect()
    }

    /// Every text, with those that speak against a route.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.ways.iter().flat_map(|way| way.texts.iter().chain(&way.against)).map(String::as_str)
    }
}

fn way(route: &Name, entry: Option<&RouteEntry>) -> Way {
    let description = entry.map(|entry| entry.declared.description.trim());
    let description = description.filter(|text| !text.is_empty()).map(str::to_owned);
    let examples = entry.into_iter().flat_map(RouteEntry::examples).map(str::to_owned);
    Way {
        route: route.clone(),
        texts: description.into_iter().chain(examples).collect(),
        against: entry
            .into_iter()
            .flat_map(RouteEntry::counterexamples)
            .map(str::to_owned)
            .collect(),
        threshold: entry.and_then(RouteEntry::threshold),
    }
}

/// Where the route `name` leads now; `None` where there is none any more.
pub fn target_of(name: &str, table: &RouteTable, offers: &Offers) -> Option<RouteTarget> {
    let name = Name::parse(name).ok()?;
    match table.get(&name) {
        Some(entry) if !entry.offered => Some(entry.declared.target.clone()),
        _ => offers.has(&name).then_some({
            RouteTarget::Capability(RequiredCapability { name, min_proficiency: 0.0 })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::routes::Feedback;
    use troupe_contract::routing::Route;
    use troupe_domain::{Capability, Timestamp};

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn route(id: &str, target: RouteTarget) -> Route {
        let utterances = vec![format!("say {id}")];
        Route { id: name(id), target, description: String::new(), utterances, threshold: None }
    }

    fn to(capability: &str) -> RouteTarget {
        RouteTarget::Capability(capability.parse().unwrap())
    }

    fn shown(table: &RouteTable, offers: &Offers) -> Vec<String> {
        let ways = Catalogue::of(table, offers).ways;
        ways.iter().map(|way| format!("{}: {}", way.route, way.texts.join(", "))).collect()
    }

    #[test]
    fn who_leads_to_a_capability_stands_for_it() {
        let mut offers = Offers::default();
        for text in ["rust", "unit-tests"] {
            offers.add(&Capability::new(name(text), 1.0));
        }
        let mut table = RouteTable::default();
        assert_eq!(shown(&table, &offers), ["rust: rust", "unit-tests: unit tests"]);
        let at = Timestamp::from_millis(0);
        table.put(route("code", to("rust")), None, at).unwrap();
        assert_eq!(shown(&table, &offers), ["code: rust, say code", "unit-tests: unit tests"]);
        table.put(route("more", to("rust:0.5")), None, at).unwrap();
        let both = ["code: say code", "more: say more", "unit-tests: unit tests"];
        assert_eq!(shown(&table, &offers), both);
        table.put(route("unit-tests", RouteTarget::Role(name("tester"))), None, at).unwrap();
        assert_eq!(shown(&table, &offers)[2], "unit-tests: say unit-tests", "who declares it wins");
    }

    #[test]
    fn a_text_of_one_route_is_known_to_the_letter() {
        let (mut table, at) = (RouteTable::default(), Timestamp::from_millis(0));
        for (id, says) in [("a", ["Water the plants", "both"]), ("b", ["mow the lawn", "BOTH"])] {
            let utterances = says.map(str::to_owned).to_vec();
            let role = RouteTarget::Role(name("gardener"));
            table.put(Route { utterances, ..route(id, role) }, None, at).unwrap();
        }
        let letters = Catalogue::of(&table, &Offers::default()).letters();
        assert_eq!(letters.get("water the plants"), Some(&name("a")));
        assert_eq!(letters.get("mow the lawn"), Some(&name("b")));
        assert_eq!(letters.len(), 2, "what two routes say tells nothing");
    }

    #[test]
    fn what_is_gone_leads_nowhere() {
        let (mut table, mut offers) = (RouteTable::default(), Offers::default());
        let rust = Capability::new(name("rust"), 1.0);
        offers.add(&rust);
        let at = Timestamp::from_millis(0);
        table.put(route("code", RouteTarget::Agent(name("ann"))), None, at).unwrap();
        let feedback = Feedback {
            route: name("rust"),
            text: "borrow checker".into(),
            accepted: true,
            source: name("ann"),
        };
        let (entry, _) = table.learning(feedback, at).unwrap();
        table.load(entry).unwrap();
        assert_eq!(shown(&table, &offers), ["code: say code", "rust: borrow checker, rust"]);
        assert_eq!(target_of("rust", &table, &offers), Some(to("rust")));
        offers.remove(&rust);
        table.delete(&name("code"), None).unwrap();
        assert_eq!(target_of("rust", &table, &offers), None);
        assert_eq!(target_of("code", &table, &offers), None);
        assert!(shown(&table, &offers).is_empty(), "what was learned waits for somebody");
    }
}
