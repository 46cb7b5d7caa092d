//! Which of a bounded set of slots was used longest ago, in constant time.
//!
//! A doubly linked list over slot numbers. Invariant: a slot stands in the list at most once, and
//! the list from oldest to newest is that of the last [`Order::touch`] of each.

/// No slot: the end of the list.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
    listed: bool,
}

/// Slots in the order of their last use.
#[derive(Debug)]
pub struct Order {
    links: Vec<Link>,
    oldest: u32,
    newest: u32,
}

impl Default for Order {
    fn default() -> Self {
        Self { links: Vec::new(), oldest: NONE, newest: NONE }
    }
}

impl Order {
    /// The slot was used just now.
    pub fn touch(&mut self, slot: u32) {
        if self.newest == slot {
            return;
        }
        self.remove(slot);
        let index = slot as usize;
        if self.links.len() <= index {
            self.links.resize(index + 1, Link { older: NONE, newer: NONE, listed: false });
        }
        self.links[index] = Link { older: self.newest, newer: NONE, listed: true };
        match self.newest {
            NONE => self.oldest = slot,
            newest => self.links[newest as usize].newer = slot,
        }
        self.newest = slot;
    }

    /// The slot is no longer in use.
    pub fn remove(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize).filter(|link| link.listed) else {
            return;
        };
        link.listed = false;
        let Link { older, newer, .. } = *link;
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
    }

    /// The slot that was used longest ago.
    pub fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Forgets every slot.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_oldest_is_that_of_a_plain_list(steps in prop::collection::vec((0_u32..8, any::<bool>()), 0..200)) {
            let mut order = Order::default();
            let mut model: Vec<u32> = Vec::new();
            for (slot, used) in steps {
                model.retain(|other| *other != slot);
                if used {
                    order.touch(slot);
                    model.push(slot);
                } else {
                    order.remove(slot);
                }
                prop_assert_eq!(order.oldest(), model.first().copied());
            }
            for slot in model {
                prop_assert_eq!(order.oldest(), Some(slot));
                order.remove(slot);
            }
            prop_assert_eq!(order.oldest(), None);
        }
    }
}
