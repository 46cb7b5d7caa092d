//! Pairs of texts that a vector takes for the same, and pairs that are the same.

use proptest::prelude::*;

use super::*;

/// Pairs that must never hit, with what tells them apart.
const TRAPS: &[(&str, &str, Difference)] = &[
    ("transfer money from alice to bob", "transfer money from bob to alice", Difference::Order),
    ("increase the timeout", "decrease the timeout", Difference::Direction),
    ("raise the limit", "lower the limit", Difference::Direction),
    ("what is the status of order 1234", "what is the status of order 1235", Difference::Numbers),
    ("enable the cache", "disable the cache", Difference::Direction),
    ("turn on the alarm", "turn off the alarm", Difference::Direction),
    ("deploy to production", "do not deploy to production", Difference::Negation),
    ("I can log in", "I can't log in", Difference::Negation),
    ("i can log in", "i cant log in", Difference::Negation),
    ("delete all files", "delete no files", Difference::Negation),
    ("deploy v1.2.3", "deploy v1.2.4", Difference::Numbers),
    ("open src/main.rs", "open src/lib.rs", Difference::Identifiers),
    ("rename fooBar", "rename fooBaz", Difference::Identifiers),
    ("mail ann@example.com", "mail bob@example.com", Difference::Identifiers),
    ("search for \"red\"", "search for \"blue\"", Difference::Identifiers),
    ("set it to -5", "set it to +5", Difference::Numbers),
    ("alice owes bob money", "bob owes alice money", Difference::Order),
    ("email alice about bob", "email bob about alice", Difference::Order),
    ("is a faster than b", "is b faster than a", Difference::Order),
    ("wait two minutes", "wait three minutes", Difference::Numbers),
    ("scale from 3 to 5", "scale from 5 to 3", Difference::Numbers),
    ("start the worker", "stop the worker", Difference::Direction),
    ("grant access to carol", "revoke access to carol", Difference::Direction),
    ("encrypt the archive", "decrypt the archive", Difference::Direction),
    ("the meeting before lunch", "the meeting after lunch", Difference::Direction),
    ("show the oldest task", "show the newest task", Difference::Direction),
    ("list users with access", "list users without access", Difference::Negation),
    ("convert euros to dollars", "convert dollars to euros", Difference::Order),
    ("merge main into release", "merge release into main", Difference::Order),
    // German
    ("Erhöhe das Timeout", "Senke das Timeout", Difference::Direction),
    ("Überweise Geld von Anna an Ben", "Überweise Geld von Ben an Anna", Difference::Order),
    ("Starte den Dienst", "Starte den Dienst nicht", Difference::Negation),
    ("Aktiviere das Konto", "Deaktiviere das Konto", Difference::Direction),
    ("Schalte das Licht an", "Schalte das Licht aus", Difference::Direction),
    // French
    ("augmente le délai", "réduis le délai", Difference::Direction),
    ("envoie le fichier", "n'envoie pas le fichier", Difference::Negation),
    ("envoie de Paul à Marie", "envoie de Marie à Paul", Difference::Order),
    // Spanish
    ("activa la alarma", "desactiva la alarma", Difference::Direction),
    ("borra los archivos", "no borres los archivos", Difference::Negation),
    ("transfiere de Ana a Luis", "transfiere de Luis a Ana", Difference::Order),
    // Russian
    ("увеличь время ожидания", "уменьши время ожидания", Difference::Direction),
    ("удали файл", "не удаляй файл", Difference::Negation),
    ("переведи деньги от Анны к Борису", "переведи деньги от Бориса к Анне", Difference::Order),
    // Chinese, Japanese, Korean, Thai
    ("增加超时时间", "减少超时时间", Difference::Direction),
    ("删除文件", "不删除文件", Difference::Negation),
    ("从爱丽丝转账给鲍勃", "从鲍勃转账给爱丽丝", Difference::Order),
    ("ファイルを削除する", "ファイルを削除しない", Difference::Negation),
    ("タイムアウトを上げて", "タイムアウトを下げて", Difference::Direction),
    ("订单１２３４", "订单１２３５", Difference::Numbers),
    ("파일을 삭제하세요", "파일을 삭제하지 마세요", Difference::Negation),
    ("เปิดไฟ", "ปิดไฟ", Difference::Direction),
    // Arabic, Hindi
    ("احذف الملف", "لا احذف الملف", Difference::Negation),
    ("फ़ाइल हटाओ", "फ़ाइल मत हटाओ", Difference::Negation),
];

/// Pairs that say the same, word for word but for fillers, endings and synonyms.
const TWINS: &[(&str, &str)] = &[
    ("restart the web server", "Please restart the web server."),
    ("restart the web server", "could you reboot the web server please"),
    ("fix the bug in the login page", "repair the bug in the login page"),
    ("summarize this document", "can you summarise the document for me?"),
    ("what is the status of order 1234", "tell me the status of order 1234"),
    ("increase the timeout", "please raise the timeouts"),
    ("transfer money from alice to bob", "please transfer the money from alice to bob"),
    ("don't deploy on friday", "do not deploy on friday"),
    ("deploy v1.2.3 to staging", "please deploy v1.2.3 to staging!"),
    ("wait 2 minutes", "wait two minutes"),
    ("Starte den Server", "bitte starte den Server"),
];

/// Pairs that go to the same place, in other words.
const PARAPHRASES: &[(&str, &str)] = &[
    ("how do i reset my password", "i forgot my password, how can i get a new one please"),
    ("translate this letter into french", "i need a french version of this letter"),
    ("review my pull request", "have a look at my pull request"),
    ("the site is down, find out why", "find the reason why the website is down"),
    ("book a room for the planning session", "reserve a meeting room for our planning"),
];

fn both_ways(one: &str, other: &str, purpose: Purpose) -> Option<Difference> {
    let there = difference(one, other, purpose);
    assert_eq!(there, difference(other, one, purpose), "{one} | {other}");
    there
}

#[test]
fn traps_do_not_hit() {
    for (one, other, told) in TRAPS {
        assert_eq!(both_ways(one, other, Purpose::Answer), Some(*told), "{one} | {other}");
        // A route may be shared by texts that only speak of other things.
        if *told != Difference::Words {
            assert_eq!(both_ways(one, other, Purpose::Route), Some(*told), "{one} | {other}");
        }
    }
}

#[test]
fn twins_hit() {
    for (one, other) in TWINS {
        for purpose in [Purpose::Answer, Purpose::Route] {
            assert_eq!(both_ways(one, other, purpose), None, "{one} | {other}");
        }
    }
}

#[test]
fn paraphrases_share_a_route_but_not_an_answer() {
    for (one, other) in PARAPHRASES {
        assert_eq!(both_ways(one, other, Purpose::Route), None, "{one} | {other}");
        assert_eq!(both_ways(one, other, Purpose::Answer), Some(Difference::Words));
    }
}

#[test]
fn an_answer_is_not_shared_by_texts_about_other_things() {
    for (one, other) in [
        ("call mom", "call dad"),
        ("weather in paris", "weather in london"),
        ("delete the file", "delete the file permanently"),
        ("restart the server", "restart the database"),
        ("lösche das Album", "lösche das Konto"),
    ] {
        assert_eq!(both_ways(one, other, Purpose::Answer), Some(Difference::Words), "{one}");
    }
}

#[test]
fn what_cannot_be_compared_is_not_the_same() {
    let long = "word ".repeat(WORDS_MAX + 1);
    for text in [long.as_str(), "", "\u{200b}", "...", &"x".repeat(TEXT_MAX_BYTES + 1)] {
        assert_eq!(both_ways(text, text, Purpose::Route), Some(Difference::Unknown));
    }
}

proptest! {
    #[test]
    fn symmetric_and_none_for_the_same(one in "\\PC{0,60}", other in "\\PC{0,60}") {
        both_ways(&one, &other, Purpose::Answer);
        both_ways(&one, &other, Purpose::Route);
        let same = difference(&one, &one, Purpose::Answer);
        prop_assert!(matches!(same, None | Some(Difference::Unknown)));
    }

    #[test]
    fn another_number_never_hits(one in 0..100_000_u32, other in 0..100_000_u32) {
        prop_assume!(one != other);
        let text = |number| format!("show me order {number} of the customer");
        let told = both_ways(&text(one), &text(other), Purpose::Route);
        prop_assert_eq!(told, Some(Difference::Numbers));
    }

    #[test]
    fn swapped_names_never_hit(one in "[a-z]{5,9}", other in "[a-z]{5,9}") {
        prop_assume!(one != other);
        let text = |from: &str, to: &str| format!("send the report from {from} to {to}");
        // Two names with the same stem cannot be told apart by order.
        prop_assume!(stem(&one) != stem(&other));
        let told = both_ways(&text(&one, &other), &text(&other, &one), Purpose::Route);
        prop_assert!(told.is_some());
    }
}
