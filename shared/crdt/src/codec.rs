//! The bytes of batches and snapshots: varints, short texts, names that are told once.
//!
//! Invariant: reading never panics and never allocates more than the bytes that are there justify. What
//! was read is canonical only if writing it gives the same bytes; who reads checks that.

use std::collections::HashMap;
use std::sync::Arc;

use troupe_domain::{Fault, Name, Timestamp};

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

impl Malformed {
    /// As it is told to a caller who sent the bytes in `field`.
    pub fn in_field(self, field: &str) -> Fault {
        Fault::invalid(field, self).with("at", self.at)
    }
}

/// Letters of a ULID; an id that is one takes 16 bytes instead of 26.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ULID_CHARS: usize = 26;
/// Stands where the length of a name would: a ULID follows.
const ULID_MARK: u8 = 0;

/// Writes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    names: HashMap<Name, u64>,
    is_plain: bool,
}

impl Writer {
    /// Writes every name in full: for what is hashed and never read.
    pub(crate) fn plain() -> Self {
        Self { bytes: Vec::with_capacity(128), is_plain: true, ..Self::default() }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    pub(crate) fn time(&mut self, at: Timestamp) {
        self.signed(at.as_millis());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn block(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.block(text.as_bytes());
    }

    /// A name in full.
    pub(crate) fn plain_name(&mut self, name: &Name) {
        if let Some(ulid) = ulid_number(name.as_str()) {
            self.byte(ULID_MARK);
            self.raw(&ulid.to_be_bytes());
        } else {
            self.byte(name.as_str().len() as u8);
            self.raw(name.as_str().as_bytes());
        }
    }

    /// A name: in full the first time, its number afterwards.
    pub(crate) fn name(&mut self, name: &Name) {
        if self.is_plain {
            return self.plain_name(name);
        }
        if let Some(number) = self.names.get(name) {
            let number = *number;
            self.number(number);
            return;
        }
        let next = self.names.len() as u64 + 1;
        self.names.insert(name.clone(), next);
        self.number(0);
        self.plain_name(name);
    }

    pub(crate) fn maybe<T: ?Sized>(
        &mut self,
        value: Option<&T>,
        write: impl FnOnce(&mut Self, &T),
    ) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Reads.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    names: Vec<Name>,
}

pub(crate) type Read<T> = Result<T, Malformed>;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, names: Vec::new() }
    }

    pub(crate) fn wrong(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    pub(crate) fn byte(&mut self) -> Read<u8> {
        let byte = self.bytes.get(self.at).copied().ok_or(self.wrong("the bytes end too early"))?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn raw(&mut self, count: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(self.wrong("the bytes end too early"))?;
        let bytes = &self.bytes[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let wrong = self.wrong("the bytes end too early");
        self.raw(N)?.try_into().map_err(|_| wrong)
    }

    pub(crate) fn number(&mut self) -> Read<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(self.wrong("a number is too large"));
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.wrong("a number is too long"))
    }

    /// A number of at most `most`.
    pub(crate) fn number_to(&mut self, most: u64, what: &'static str) -> Read<u64> {
        let wrong = self.wrong(what);
        self.number()?.le_or(most, wrong)
    }

    pub(crate) fn signed(&mut self) -> Read<i64> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(crate) fn time(&mut self) -> Read<Timestamp> {
        self.signed().map(Timestamp::from_millis)
    }

    /// How many follow: at most `most`, and no more than there are bytes.
    pub(crate) fn count(&mut self, most: usize, what: &'static str) -> Read<usize> {
        let wrong = self.wrong(what);
        let left = self.bytes.len() - self.at;
        self.number()?.le_or(most.min(left) as u64, wrong).map(|count| count as usize)
    }

    pub(crate) fn block(&mut self, most: usize, what: &'static str) -> Read<&'a [u8]> {
        let count = self.count(most, what)?;
        self.raw(count)
    }

    pub(crate) fn text(&mut self, most: usize, what: &'static str) -> Read<Arc<str>> {
        let wrong = self.wrong("a text is not UTF-8");
        let text = std::str::from_utf8(self.block(most, what)?).map_err(|_| wrong)?;
        Ok(text.into())
    }

    pub(crate) fn plain_name(&mut self) -> Read<Name> {
        let wrong = self.wrong("a name is not a name");
        let length = self.byte()?;
        if length == ULID_MARK {
            let number = u128::from_be_bytes(self.array()?);
            return Name::parse(&ulid_text(number)).map_err(|_| wrong);
        }
        let text = std::str::from_utf8(self.raw(length.into())?).map_err(|_| wrong)?;
        Name::parse(text).map_err(|_| wrong)
    }

    pub(crate) fn name(&mut self) -> Read<Name> {
        let wrong = self.wrong("a name was not told before");
        match self.number()? {
            0 => {
                let name = self.plain_name()?;
                self.names.push(name.clone());
                Ok(name)
            }
            number => {
                let at = usize::try_from(number - 1).map_err(|_| wrong)?;
                self.names.get(at).cloned().ok_or(wrong)
            }
        }
    }

    pub(crate) fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.wrong("neither there nor not there")),
        }
    }

    pub(crate) fn list<T>(
        &mut self,
        most: usize,
        what: &'static str,
        mut read: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let count = self.count(most, what)?;
        let mut list = Vec::with_capacity(count.min(1_024));
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }

    pub(crate) fn end(&self) -> Read<()> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.wrong("more bytes than expected"))
        }
    }
}

trait AtMost: Sized {
    fn le_or(self, most: Self, wrong: Malformed) -> Read<Self>;
}

impl AtMost for u64 {
    fn le_or(self, most: Self, wrong: Malformed) -> Read<Self> {
        if self <= most { Ok(self) } else { Err(wrong) }
    }
}

/// The number of a ULID in its one canonical spelling.
fn ulid_number(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != ULID_CHARS || bytes[0] > b'7' {
        return None;
    }
    bytes.iter().try_fold(0_u128, |number, byte| {
        let digit = CROCKFORD.iter().position(|letter| letter == byte)?;
        Some(number << 5 | digit as u128)
    })
}

fn ulid_text(number: u128) -> String {
    let digits = (0..ULID_CHARS).rev().map(|place| (number >> (5 * place)) as usize & 31);
    digits.map(|digit| char::from(CROCKFORD[digit])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>(), signed in any::<i64>()) {
            let mut writer = Writer::default();
            writer.number(number);
            writer.signed(signed);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.number().unwrap(), number);
            prop_assert_eq!(reader.signed().unwrap(), signed);
            prop_assert!(reader.end().is_ok());
        }

        #[test]
        fn names_come_back_and_are_told_once(texts in prop::collection::vec("[A-Za-z0-9_-]{1,64}", 1..8), ulid in any::<u128>()) {
            let mut names: Vec<Name> = texts.iter().map(|text| Name::parse(text).unwrap()).collect();
            names.push(Name::parse(&ulid_text(ulid)).unwrap());
            let mut writer = Writer::default();
            for name in names.iter().chain(&names) {
                writer.name(name);
            }
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            for name in names.iter().chain(&names) {
                prop_assert_eq!(&reader.name().unwrap(), name);
            }
            prop_assert!(reader.end().is_ok());
        }

        #[test]
        fn junk_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            let _ = reader.name();
            let _ = reader.text(8, "long");
            let _ = reader.list(1_000, "many", Reader::signed);
            let _ = reader.maybe(Reader::number);
        }
    }

    #[test]
    fn a_ulid_takes_sixteen_bytes() {
        let mut writer = Writer::default();
        writer.plain_name(&Name::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap());
        assert_eq!(writer.bytes().len(), 17);
        // Not the canonical spelling: kept as it is.
        for text in ["01arz3ndektsv4rrffq69g5fav", "81ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            let mut writer = Writer::default();
            writer.plain_name(&Name::parse(text).unwrap());
            assert_eq!(writer.bytes().len(), 27);
        }
    }
}
