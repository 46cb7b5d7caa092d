//! Dates as words, so that "in May" finds what happened in May.

use troupe_domain::Timestamp;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Short names, which are said for the long ones.
const SHORT: [(&str, &str); 16] = [
    ("jan", "january"),
    ("feb", "february"),
    ("apr", "april"),
    ("jun", "june"),
    ("jul", "july"),
    ("aug", "august"),
    ("sep", "september"),
    ("sept", "september"),
    ("oct", "october"),
    ("nov", "november"),
    ("dec", "december"),
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sun", "sunday"),
];

/// Year, month, day and weekday of a moment in UTC; none outside the years that have a calendar.
pub(super) fn words(when: Timestamp) -> Option<[String; 4]> {
    let moment = jiff::Timestamp::from_millisecond(when.as_millis()).ok()?;
    let date = jiff::tz::Offset::UTC.to_datetime(moment).date();
    let month = MONTHS.get(usize::from(date.month().unsigned_abs()) - 1)?;
    let weekday =
        WEEKDAYS.get(usize::from(date.weekday().to_monday_zero_offset().unsigned_abs()))?;
    let [month, weekday] = [month, weekday].map(|word| (*word).to_owned());
    Some([date.year().to_string(), month, date.day().to_string(), weekday])
}

/// The usual form of a short name of a month or day, or of an ordinal number.
pub(super) fn spelled_out(word: &str) -> Option<&str> {
    if let Some((_, long)) = SHORT.iter().find(|(short, _)| *short == word) {
        return Some(long);
    }
    let number = ["st", "nd", "rd", "th"].iter().find_map(|ending| word.strip_suffix(ending))?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}
