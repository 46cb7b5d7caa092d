//! LongMemEval, as its authors publish it (`longmemeval_s.json` and its relatives).

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::{Entry, Question, World, moment};

/// "2023/05/20 (Sat) 02:21", without the weekday.
const FORMATS: [&str; 2] = ["%Y/%m/%d %H:%M", "%Y/%m/%d"];

#[derive(Deserialize)]
struct Asked {
    question: String,
    answer_session_ids: Vec<String>,
    haystack_session_ids: Vec<String>,
    #[serde(default)]
    haystack_dates: Vec<String>,
    haystack_sessions: Vec<Vec<Turn>>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

pub(super) fn parse(text: &str) -> Result<Vec<World>> {
    let asked: Vec<Asked> = serde_json::from_str(text)?;
    let answered = asked.into_iter().filter(|asked| !asked.answer_session_ids.is_empty());
    answered.map(world).collect()
}

fn world(asked: Asked) -> Result<World> {
    let (ids, sessions) = (asked.haystack_session_ids.len(), asked.haystack_sessions.len());
    ensure!(ids == sessions, "{ids} session ids for {sessions} sessions");
    let mut world = World::default();
    let named = asked.haystack_session_ids.into_iter().zip(asked.haystack_sessions);
    for (number, (id, turns)) in named.enumerate() {
        let when = asked.haystack_dates.get(number).and_then(|date| {
            // The weekday follows from the date.
            let parts: Vec<&str> =
                date.split_whitespace().filter(|part| !part.starts_with('(')).collect();
            moment(&parts.join(" "), &FORMATS)
        });
        let first = world.entries.len();
        for turn in turns {
            // The service refuses an empty text, and a model has no vector for it.
            if turn.content.trim().is_empty() {
                continue;
            }
            let at = world.entries.len();
            let text = format!("{}: {}", turn.role, turn.content);
            let previous = (at > first).then(|| at - 1);
            world.entries.push(Entry { group: id.clone(), text, when, previous });
        }
    }
    let evidence = asked.answer_session_ids.into_iter().collect();
    world.questions.push(Question { text: asked.question, evidence });
    Ok(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_published() {
        let text = r#"[
            {"question_id": "1", "question_type": "single-session-user", "question": "Which degree?",
             "answer": "law", "question_date": "2023/05/30 (Tue) 23:40",
             "haystack_dates": ["2023/05/20 (Sat) 02:21", "2023/05/21 (Sun) 10:00"],
             "haystack_session_ids": ["s1", "answer_2"],
             "haystack_sessions": [
                [{"role": "user", "content": "hello"}, {"role": "assistant", "content": " "}],
                [{"role": "user", "content": "my law degree", "has_answer": true},
                 {"role": "assistant", "content": "nice"}]],
             "answer_session_ids": ["answer_2"]},
            {"question_id": "2_abs", "question": "?", "answer_session_ids": [],
             "haystack_session_ids": [], "haystack_sessions": []}
        ]"#;
        let worlds = parse(text).unwrap();
        assert_eq!(worlds.len(), 1);
        let groups: Vec<_> = worlds[0].entries.iter().map(|e| (&*e.group, e.previous)).collect();
        assert_eq!(groups, [("s1", None), ("answer_2", None), ("answer_2", Some(1))]);
        assert_eq!(worlds[0].entries[0].when.unwrap().to_string(), "2023-05-20T02:21:00.000Z");
        assert_eq!(worlds[0].questions[0].evidence.len(), 1);
        let wrong = text.replace(r#"["s1", "answer_2"]"#, r#"["s1"]"#);
        assert!(parse(&wrong).is_err());
    }
}
