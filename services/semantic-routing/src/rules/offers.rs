//! What agents offer, in words: the routes that nobody has to declare.
//!
//! Each capability that somebody has is recognised by its name, its descriptions and the example
//! utterances of everybody who has it. Invariant: the fingerprint depends on the set of texts and on
//! nothing else, so that an agent that offers what others offer changes nothing.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use troupe_domain::{Capability, Name};

use super::utterance;

/// Texts by which one capability is recognised; the first in their order count.
pub const MAX_OFFER_TEXTS: usize = 64;

/// Texts by capability, each with how many agents bring it.
#[derive(Debug, Clone, Default)]
pub struct Offers {
    by_capability: BTreeMap<Name, BTreeMap<String, u32>>,
    fingerprint: u64,
}

impl Offers {
    /// An agent has `capability`.
    pub fn add(&mut self, capability: &Capability) {
        let texts = self.by_capability.entry(capability.name.clone()).or_default();
        for text in texts_of(capability) {
            let hash = hash(&capability.name, &text);
            let agents = texts.entry(text).or_default();
            if *agents == 0 {
                self.fingerprint = self.fingerprint.wrapping_add(hash);
            }
            *agents += 1;
        }
    }

    /// An agent has `capability` no more.
    pub fn remove(&mut self, capability: &Capability) {
        let Some(texts) = self.by_capability.get_mut(&capability.name) else { return };
        for text in texts_of(capability) {
            let Some(agents) = texts.get_mut(&text) else { continue };
            *agents -= 1;
            if *agents == 0 {
                self.fingerprint = self.fingerprint.wrapping_sub(hash(&capability.name, &text));
                texts.remove(&text);
            }
        }
        if texts.is_empty() {
            self.by_capability.remove(&capability.name);
        }
    }

    /// Whether somebody has it.
    pub fn has(&self, capability: &Name) -> bool {
        self.by_capability.contains_key(capability)
    }

    /// Changes with what is offered.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Every capability with the texts by which it is recognised.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, impl Iterator<Item = &str>)> {
        self.by_capability
            .iter()
            .map(|(name, texts)| (name, texts.keys().map(String::as_str).take(MAX_OFFER_TEXTS)))
    }

    /// The texts of one capability.
    pub fn texts<'a>(&'a self, capability: &Name) -> impl Iterator<Item = &'a str> + use<'a> {
        let texts = self.by_capability.get(capability).into_iter();
        texts.flat_map(BTreeMap::keys).map(String::as_str).take(MAX_OFFER_TEXTS)
    }
}

/// The name as words, the description, the utterances; what is no text for people is left out.
fn texts_of(capability: &Capability) -> impl Iterator<Item = String> {
    let name = capability.name.as_str().replace(['-', '_'], " ");
    let described = clipped(&capability.description).to_owned();
    let texts = [name, described].into_iter().chain(capability.utterances.iter().cloned());
    // The same text twice counts once, as it must when it is taken back.
    let mut seen = std::collections::BTreeSet::new();
    texts.filter(move |text| utterance::check("text", text).is_ok() && seen.insert(text.clone()))
}

/// The beginning of a text that is too long to be an utterance.
fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(utterance::MAX_UTTERANCE_BYTES.min(text.len()))]
}

fn hash(capability: &Name, text: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update((capability.as_str().len() as u64).to_le_bytes());
    hash.update(capability.as_str());
    hash.update(text);
    let digest = hash.finalize();
    u64::from_le_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn capability(name: u8, description: u8, utterances: &[u8]) -> Capability {
        let name = Name::parse(&format!("cap-{name}")).unwrap();
        let mut capability = Capability::new(name, 0.5);
        if description > 0 {
            capability.description = format!("does {description}");
        }
        capability.utterances = utterances.iter().map(|n| format!("please {n}")).collect();
        capability
    }

    fn shown(offers: &Offers) -> Vec<(String, Vec<String>)> {
        let all = offers.iter();
        all.map(|(name, texts)| (name.to_string(), texts.map(str::to_owned).collect())).collect()
    }

    proptest! {
        #[test]
        fn what_is_taken_back_leaves_nothing_and_order_does_not_matter(
            all in prop::collection::vec((0_u8..4, 0_u8..3, prop::collection::vec(0_u8..4, 0..4)), 0..20),
            leaves in prop::collection::vec(any::<bool>(), 20),
        ) {
            let all: Vec<Capability> = all.iter().map(|(n, d, u)| capability(*n, *d, u)).collect();
            let mut offers = Offers::default();
            all.iter().for_each(|one| offers.add(one));
            let gone = all.iter().zip(&leaves).filter(|(_, leaves)| **leaves);
            gone.for_each(|(one, _)| offers.remove(one));
            let mut straight = Offers::default();
            let left = all.iter().zip(&leaves).rev().filter(|(_, leaves)| !**leaves);
            left.for_each(|(one, _)| straight.add(one));
            prop_assert_eq!(shown(&offers), shown(&straight));
            prop_assert_eq!(offers.fingerprint(), straight.fingerprint());
        }
    }

    #[test]
    fn a_capability_is_recognised_by_its_name_its_description_and_what_people_say() {
        let mut offers = Offers::default();
        let mut one = capability(1, 1, &[7]);
        one.utterances.push("\u{7}".to_owned());
        one.description.push_str(&"é".repeat(4_000));
        offers.add(&one);
        let shown = shown(&offers);
        assert_eq!(shown[0].0, "cap-1");
        assert_eq!(shown[0].1.len(), 3, "what is no text is left out, what is long is cut");
        assert_eq!(shown[0].1[0], "cap 1");
        let before = offers.fingerprint();
        offers.add(&capability(1, 0, &[7]));
        assert_eq!(offers.fingerprint(), before, "nothing new is offered");
        offers.add(&capability(1, 0, &[8]));
        assert_ne!(offers.fingerprint(), before);
    }
}
