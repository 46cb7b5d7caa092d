//! LoCoMo, as its authors publish it (`locomo10.json`).

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};
use troupe_domain::Timestamp;

use super::{Entry, Question, World, moment};

/// "1:56 pm on 8 May, 2023".
const FORMATS: [&str; 2] = ["%I:%M %p on %d %B, %Y", "%d %B, %Y"];

#[derive(Deserialize)]
struct Sample {
    /// `session_1`, `session_1_date_time` and so on.
    conversation: Map<String, Value>,
    qa: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    question: String,
    #[serde(default)]
    evidence: Vec<String>,
}

#[derive(Deserialize)]
struct Turn {
    speaker: String,
    dia_id: String,
    text: String,
    /// What a picture that was sent along shows.
    blip_caption: Option<String>,
}

pub(super) fn parse(text: &str) -> Result<Vec<World>> {
    let samples: Vec<Sample> = serde_json::from_str(text)?;
    samples.into_iter().map(world).collect()
}

fn world(sample: Sample) -> Result<World> {
    let mut world = World::default();
    let mut sessions: Vec<(u32, Vec<Turn>)> = Vec::new();
    for (name, value) in &sample.conversation {
        let number = name.strip_prefix("session_").and_then(|number| number.parse().ok());
        if let Some(number) = number {
            sessions.push((number, serde_json::from_value(value.clone())?));
        }
    }
    sessions.sort_by_key(|(number, _)| *number);
    for (number, turns) in sessions {
        let date = sample.conversation.get(&format!("session_{number}_date_time"));
        let when: Option<Timestamp> =
            date.and_then(Value::as_str).and_then(|text| moment(text, &FORMATS));
        let first = world.entries.len();
        for turn in turns {
            let mut text = format!("{}: {}", turn.speaker, turn.text);
            if let Some(caption) = turn.blip_caption {
                text = format!("{text} [{caption}]");
            }
            let at = world.entries.len();
            let previous = (at > first).then(|| at - 1);
            world.entries.push(Entry { group: turn.dia_id, text, when, previous });
        }
    }
    let known: BTreeSet<&str> = world.entries.iter().map(|entry| entry.group.as_str()).collect();
    for asked in sample.qa {
        // Some name several turns in one text, and some a turn that is not there.
        let names = asked.evidence.iter().flat_map(|text| {
            text.split(|letter: char| letter == ';' || letter == ',' || letter.is_whitespace())
        });
        let evidence: BTreeSet<String> =
            names.filter(|name| known.contains(name)).map(str::to_owned).collect();
        if !evidence.is_empty() {
            world.questions.push(Question { text: asked.question, evidence });
        }
    }
    Ok(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_read_as_published() {
        let text = r#"[{"sample_id": "conv-1", "conversation": {
            "speaker_a": "Ann", "speaker_b": "Bo",
            "session_2_date_time": "1:14 pm on 25 May, 2023",
            "session_2": [{"speaker": "Bo", "dia_id": "D2:1", "text": "Back!"}],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ann", "dia_id": "D1:1", "text": "Hi", "img_url": ["x"]},
                {"speaker": "Bo", "dia_id": "D1:2", "text": "Look", "blip_caption": "a red kite"}
            ]},
            "qa": [
                {"question": "What flew?", "answer": "a kite", "evidence": ["D1:2; D2:1"], "category": 1},
                {"question": "Year?", "answer": 2023, "evidence": ["D1:1", "D9:9"], "category": 2},
                {"question": "None?", "adversarial_answer": "no", "evidence": [], "category": 5}
            ]}]"#;
        let world = &parse(text).unwrap()[0];
        let texts: Vec<&str> = world.entries.iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!(texts, ["Ann: Hi", "Bo: Look [a red kite]", "Bo: Back!"]);
        let previous: Vec<_> = world.entries.iter().map(|entry| entry.previous).collect();
        assert_eq!(previous, [None, Some(0), None]);
        assert_eq!(world.entries[0].when.unwrap().to_string(), "2023-05-08T13:56:00.000Z");
        let evidence: Vec<Vec<&str>> = world
            .questions
            .iter()
            .map(|question| question.evidence.iter().map(String::as_str).collect())
            .collect();
        assert_eq!(evidence, [vec!["D1:2", "D2:1"], vec!["D1:1"]]);
    }
}
