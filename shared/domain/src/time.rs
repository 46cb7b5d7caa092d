//! A moment in time: milliseconds since the Unix epoch, RFC 3339 UTC on the wire.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment, to the millisecond. Serialised as RFC 3339 UTC, for example `2026-11-23T01:02:03.004Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment and `millis` more.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add_unsigned(millis))
    }

    /// Milliseconds from `earlier` to this moment; 0 if it is not earlier.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        let gap = self.0.saturating_sub(earlier.0);
        if gap < 0 { 0 } else { gap as u64 }
    }

    /// Minutes from `earlier` to this moment.
    pub fn minutes_since(self, earlier: Self) -> f64 {
        self.millis_since(earlier) as f64 / 60_000.0
    }
}

/// A time within the years 0 to 9999 takes so many characters.
const TEXT_BYTES: usize = "2026-11-23T01:02:03.004Z".len();

impl Timestamp {
    /// The text, without the machinery of formatters: a task has dozens of times in its life.
    fn text(self, text: &mut [u8; TEXT_BYTES]) -> Option<&str> {
        let moment = jiff::Timestamp::from_millisecond(self.0).ok()?;
        let civil = jiff::tz::Offset::UTC.to_datetime(moment);
        let year = u32::try_from(civil.year()).ok()?;
        text.copy_from_slice(b"0000-00-00T00:00:00.000Z");
        let [month, day, hour, minute, second] =
            [civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()]
                .map(i8::unsigned_abs);
        put(&mut text[0..4], year);
        put(&mut text[5..7], month.into());
        put(&mut text[8..10], day.into());
        put(&mut text[11..13], hour.into());
        put(&mut text[14..16], minute.into());
        put(&mut text[17..19], second.into());
        put(&mut text[20..23], civil.millisecond().unsigned_abs().into());
        std::str::from_utf8(text).ok()
    }
}

/// Writes `number` with as many digits as there is room for.
fn put(room: &mut [u8], mut number: u32) {
    for place in room.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text(&mut [0; TEXT_BYTES]) {
            Some(text) => f.write_str(text),
            None => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text(&mut [0; TEXT_BYTES]) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl de::Visitor<'_> for Rfc3339 {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time such as 2026-11-23T01:02:03.004Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                let moment: jiff::Timestamp =
                    text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(Timestamp(moment.as_millisecond()))
            }
        }
        deserializer.deserialize_str(Rfc3339)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "A moment, RFC 3339 UTC, to the millisecond."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(millis in 0_i64..4_102_444_800_000) {
            let at = Timestamp::from_millis(millis);
            let text = serde_json::to_string(&at).unwrap();
            let moment = jiff::Timestamp::from_millisecond(millis).unwrap();
            prop_assert_eq!(&text, &format!("\"{moment:.3}\""));
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), at);
        }
    }

    #[test]
    fn the_ends_of_what_a_clock_can_show() {
        let text = |millis| Timestamp::from_millis(millis).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(-62_167_219_200_000), "0000-01-01T00:00:00.000Z");
        assert_eq!(text(253_402_207_199_999), "9999-12-30T21:59:59.999Z");
        assert_eq!(text(i64::MAX), format!("{}ms", i64::MAX));
    }
}
