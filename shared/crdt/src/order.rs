//! Where an item stands among its siblings: a key between any two keys.
//!
//! Keys are compared byte by byte. Two agents that insert at the same place may make the same key; the
//! items' ids decide then. Where no key fits between two others, the siblings are ordered anew.

use serde::{Deserialize, Serialize};

use crate::limits::MAX_ORDER_KEY_BYTES;

/// Bytes of a key that was made for one end of the row.
const END_BYTES: usize = 3;
/// The first key of all.
const FIRST: u32 = 0x80_00_00;
/// How far apart keys at the ends are.
const STEP: u32 = 0x10;
/// One more than the greatest key for one end.
const END_LIMIT: u32 = 1 << (8 * END_BYTES);

/// A place in a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct OrderKey(Box<[u8]>);

impl OrderKey {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fits = !bytes.is_empty() && bytes.len() <= MAX_ORDER_KEY_BYTES;
        fits.then(|| Self(bytes.into()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key between two others; `None` stands for the end of the row. Nothing if none fits.
    pub fn between(low: Option<&Self>, high: Option<&Self>) -> Option<Self> {
        let end = match (low, high) {
            (None, None) => Some(FIRST),
            (Some(low), None) => low.head().checked_add(STEP).filter(|next| *next < END_LIMIT),
            (None, Some(high)) => high.head().checked_sub(STEP),
            (Some(_), Some(_)) => None,
        };
        let key = match end {
            Some(number) => Self::of_number(number),
            None => Self::from_bytes(&middle(low, high)?)?,
        };
        let fits = low.is_none_or(|low| *low < key) && high.is_none_or(|high| key < *high);
        fits.then_some(key)
    }

    /// The key of the `index`th item of a row that is ordered anew.
    pub fn nth(index: usize) -> Self {
        let number = FIRST.saturating_add(STEP.saturating_mul(index as u32)).min(END_LIMIT - 1);
        Self::of_number(number)
    }

    fn of_number(number: u32) -> Self {
        Self(number.to_be_bytes()[4 - END_BYTES..].into())
    }

    fn head(&self) -> u32 {
        (0..END_BYTES).fold(0, |head, at| head << 8 | u32::from(self.digit(at)))
    }

    fn digit(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }
}

/// A number between two, digit by digit.
fn middle(low: Option<&OrderKey>, high: Option<&OrderKey>) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    let mut bounded = high;
    while key.len() < MAX_ORDER_KEY_BYTES {
        let at = key.len();
        let from = low.map_or(0, |low| u16::from(low.digit(at)));
        let to = match bounded {
            None => 256,
            // Both keys are used up without a difference.
            Some(high) if at >= high.0.len() => return None,
            Some(high) => u16::from(high.digit(at)),
        };
        if to > from + 1 {
            key.push(from.midpoint(to) as u8);
            return Some(key);
        }
        if to < from {
            return None;
        }
        key.push(from as u8);
        if to > from {
            bounded = None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = OrderKey> {
        prop::collection::vec(any::<u8>(), 1..6)
            .prop_map(|bytes| OrderKey::from_bytes(&bytes).unwrap())
    }

    proptest! {
        #[test]
        fn a_key_lies_between_or_there_is_none(a in keys(), b in keys()) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            if let Some(key) = OrderKey::between(Some(&low), Some(&high)) {
                prop_assert!(low < key && key < high);
            }
            if let Some(key) = OrderKey::between(None, Some(&high)) {
                prop_assert!(key < high);
            }
            if let Some(key) = OrderKey::between(Some(&low), None) {
                prop_assert!(low < key);
            }
        }

        #[test]
        fn a_row_stays_in_order_under_insertion(places in prop::collection::vec(any::<u16>(), 1..200)) {
            let mut row: Vec<OrderKey> = Vec::new();
            for place in places {
                let at = usize::from(place) % (row.len() + 1);
                let low = at.checked_sub(1).map(|before| row[before].clone());
                let key = OrderKey::between(low.as_ref(), row.get(at)).unwrap();
                row.insert(at, key);
            }
            prop_assert!(row.is_sorted());
            prop_assert!(row.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn many_items_at_the_end_have_short_keys() {
        let mut last = None;
        for _ in 0..100_000 {
            let next = OrderKey::between(last.as_ref(), None).unwrap();
            assert!(next.as_bytes().len() <= END_BYTES);
            last = Some(next);
        }
        assert_eq!(OrderKey::nth(0), OrderKey::between(None, None).unwrap());
    }
}
