//! Many callers of one embedder, with the real model: who gets what, and who is refused.

use futures::future::join_all;
use futures::{FutureExt, poll};
use troupe_domain::Code;
use troupe_embedding::{Embedder, EmbedderSettings, Model, ModelSettings, Status};

const MIB: usize = 1 << 20;

fn start(settings: EmbedderSettings) -> Embedder {
    let model = Model::find(&ModelSettings::default()).expect("the pinned model");
    Embedder::start(model, settings).expect("it starts")
}

/// Takes the model tens of milliseconds.
fn long(number: usize) -> String {
    format!("{number} {}", "a long story about many things that happened ".repeat(40))
}

fn one_worker() -> EmbedderSettings {
    EmbedderSettings { workers: 1, max_batch: 1, ..EmbedderSettings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_gets_the_vector_of_its_own_text() {
    let embedder = start(EmbedderSettings::default());
    let texts: Vec<String> = (0..120)
        .map(|n| format!("caller {n} asks about {}", ["cats", "invoices", "rust"][n % 3]))
        .collect();
    let calls = texts.iter().cloned().map(|text| {
        let embedder = embedder.clone();
        tokio::spawn(async move { embedder.embed(&text).await })
    });
    let together = join_all(calls).await;
    for (text, together) in texts.iter().zip(together) {
        let together = together.expect("no panic").expect("a vector");
        let alone = embedder.embed(text).await.expect("a vector");
        assert!(together.dot(&alone) > 1.0 - 1e-5, "{text}");
    }
    let statistics = embedder.statistics();
    assert_eq!((statistics.texts, statistics.failed, statistics.queued), (240, 0, 0));
    assert!(statistics.batches < statistics.texts, "{statistics:?}");
}

#[tokio::test]
async fn hostile_texts_get_a_vector_or_are_told_why_not() {
    let embedder = start(EmbedderSettings::default());
    let zalgo = format!("e{}", "\u{301}".repeat(5000));
    for text in [
        "a".repeat(MIB),
        "word ".repeat(MIB / 5),
        "\u{1f680}".repeat(MIB / 4),
        "שלום עולם, שלח את הדוח".to_owned(),
        "\u{202e}gpj.exe\u{202c} مرحبا".to_owned(),
        "👩‍👩‍👧‍👦 🏳️‍🌈".to_owned(),
        "nul\0in\0the\0middle".to_owned(),
        "[CLS] [SEP] [MASK] [PAD] [UNK]".to_owned(),
        "\u{fffd}\u{e000}\u{10ffff}".to_owned(),
        "!".to_owned(),
        zalgo,
        "日本語とespañol и русский".to_owned(),
        "'; DROP TABLE agents; --".to_owned(),
    ] {
        let vector = embedder.embed(&text).await.unwrap_or_else(|fault| panic!("{fault}"));
        assert!(vector.as_slice().iter().all(|x| x.is_finite()));
    }
    for text in [String::new(), " ".repeat(MIB), "\0\u{1b}\n".to_owned(), "\u{200b}".to_owned()] {
        let fault = embedder.embed(&text).await.expect_err("nothing to embed");
        assert_eq!(fault.code, Code::InvalidArgument);
        assert_eq!(fault.details["field"], "text");
    }
    assert_eq!(embedder.statistics().failed, 0);
}

#[tokio::test]
async fn who_finds_the_queue_full_is_told_its_limit() {
    let embedder = start(EmbedderSettings { max_queue: 2, ..one_worker() });
    let texts: Vec<String> = (0..32).map(long).collect();
    let answers = join_all(texts.iter().map(|text| embedder.embed(text))).await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() <= 30, "{} of 32", refused.len());
    for fault in &refused {
        assert_eq!(fault.code, Code::ResourceExhausted);
        assert_eq!(fault.details["limit"], "embedding.max_queue");
        assert_eq!(fault.details["allowed"], 2);
    }
    assert_eq!(embedder.statistics().refused, refused.len() as u64);
    embedder.embed("and then there is room again").await.expect("a vector");
}

#[tokio::test]
async fn a_long_list_keeps_its_order_and_passes_through_a_short_queue() {
    let embedder = start(EmbedderSettings { max_queue: 3, ..EmbedderSettings::default() });
    let mut texts: Vec<String> = (0..30).map(|n| format!("text {n} of the list")).collect();
    let vectors = embedder.embed_many(&texts).await.expect("vectors");
    for (text, vector) in texts.iter().zip(&vectors) {
        assert!(embedder.embed(text).await.expect("a vector").dot(vector) > 1.0 - 1e-5, "{text}");
    }
    texts[17] = "\t".to_owned();
    let fault = embedder.embed_many(&texts).await.expect_err("one says nothing");
    assert_eq!((fault.code, &fault.details["index"]), (Code::InvalidArgument, &17.into()));
    assert_eq!(embedder.embed_many(&[]).await.expect("nothing"), []);
}

#[tokio::test]
async fn a_single_text_does_not_wait_for_a_long_list() {
    let embedder = start(EmbedderSettings { max_batch: 2, ..one_worker() });
    let texts: Vec<String> = (0..24).map(long).collect();
    let mut list = Box::pin(embedder.embed_many(&texts));
    assert!(poll!(&mut list).is_pending());
    let single = embedder.embed("what is the weather").fuse();
    // Biased: if both are ready the list counts as first, and that is the failure.
    tokio::select! {
        biased;
        _ = &mut list => panic!("the list was first"),
        answer = single => { answer.expect("a vector"); }
    }
    assert_eq!(list.await.expect("vectors").len(), texts.len());
}

#[tokio::test]
async fn a_text_that_nobody_waits_for_is_not_embedded() {
    let embedder = start(one_worker());
    let busy: Vec<String> = (0..8).map(long).collect();
    let mut busy: Vec<_> = busy.iter().map(|text| Box::pin(embedder.embed(text))).collect();
    for call in &mut busy {
        assert!(poll!(call).is_pending());
    }
    let mut given_up = Box::pin(embedder.embed("nobody waits for this"));
    assert!(poll!(&mut given_up).is_pending());
    drop(given_up);
    embedder.embed("the last one").await.expect("a vector");
    assert!(join_all(busy).await.iter().all(Result::is_ok));
    let statistics = embedder.statistics();
    assert_eq!((statistics.texts, statistics.skipped), (9, 1));
}

#[tokio::test]
async fn stopping_answers_what_was_taken_and_refuses_the_rest() {
    let embedder = start(one_worker());
    let texts: Vec<String> = (0..4).map(long).collect();
    let mut taken: Vec<_> = texts.iter().map(|text| Box::pin(embedder.embed(text))).collect();
    for call in &mut taken {
        assert!(poll!(call).is_pending());
    }
    embedder.stop().await;
    assert_eq!(embedder.status(), Status::Stopped);
    assert!(join_all(taken).await.iter().all(Result::is_ok));
    assert_eq!(embedder.embed("too late").await.expect_err("stopped").code, Code::Unavailable);
}

#[tokio::test]
async fn an_embedder_that_looks_for_its_model_answers_once_it_is_there() {
    let embedder = Embedder::open(ModelSettings::default(), EmbedderSettings::default())
        .expect("settings that can work");
    let vector = embedder.embed("asked before the model was there").await.expect("a vector");
    let status = embedder.status();
    assert_eq!(status.model().expect("it runs").dimensions, vector.dimensions());
    let none = EmbedderSettings { workers: 0, ..EmbedderSettings::default() };
    assert!(Embedder::open(ModelSettings::default(), none).is_err());
}
