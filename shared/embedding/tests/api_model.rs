//! The pinned model, really run: what its vectors mean, and that they do not depend on company.

use std::fs;

use troupe_embedding::{
    Embedder, EmbedderSettings, Embedding, EmbeddingError, Model, ModelChoice, ModelSettings,
};

/// How far apart the vectors of one text may be, alone and in a batch: the last digits of sums
/// that were made in another order.
const BATCH_TOLERANCE: f32 = 1e-5;

fn pinned() -> ModelSettings {
    ModelSettings::default()
}

fn embedder(settings: &ModelSettings) -> Embedder {
    let model = Model::find(settings).expect("the pinned model");
    Embedder::start(model, EmbedderSettings::default()).expect("it starts")
}

async fn one(embedder: &Embedder, text: &str) -> Embedding {
    embedder.embed(text).await.expect("a vector")
}

#[tokio::test]
async fn what_means_the_same_is_nearer_than_what_does_not() {
    let embedder = embedder(&pinned());
    for (text, like, unlike) in [
        ("reset my password", "I forgot my login credentials", "book a table for two tonight"),
        ("the build fails on windows", "compilation is broken on Microsoft's system", "a cat"),
        ("translate this into French", "say it in the language of Paris", "deploy the service"),
        ("how warm is it in Berlin", "weather forecast for Germany", "merge the pull request"),
    ] {
        let text = one(&embedder, text).await;
        let (like, unlike) = (one(&embedder, like).await, one(&embedder, unlike).await);
        assert!(text.dot(&like) > text.dot(&unlike) + 0.1, "{like:?}");
        assert!((text.dot(&text) - 1.0).abs() < BATCH_TOLERANCE);
    }
}

#[tokio::test]
async fn a_text_has_one_vector_alone_again_and_in_company() {
    let embedder = embedder(&pinned());
    let texts: Vec<String> =
        (0..40_usize).map(|n| format!("task {n}: {}", "review the code ".repeat(n % 9))).collect();
    let many = embedder.embed_many(&texts).await.expect("vectors");
    assert_eq!(many.len(), texts.len());
    for (text, in_company) in texts.iter().zip(&many) {
        let alone = one(&embedder, text).await;
        assert!(alone.dot(in_company) > 1.0 - BATCH_TOLERANCE, "{text}: {}", alone.dot(in_company));
        assert_eq!(alone, one(&embedder, text).await, "alone it is the same to the last digit");
    }
    assert!(embedder.statistics().mean_batch_size() > 1.0);
}

#[tokio::test]
async fn only_the_normalised_beginning_of_a_text_counts() {
    let embedder = embedder(&ModelSettings { max_tokens: 16, ..pinned() });
    let long = "send the quarterly report to everybody in the finance department ".repeat(8);
    let longer = format!("{long} and something else entirely");
    assert_eq!(one(&embedder, &long).await, one(&embedder, &longer).await);
    let spaced = one(&embedder, " send\tthe\u{0}report\r\n").await;
    assert_eq!(spaced, one(&embedder, "send the report").await);
}

#[test]
fn an_id_tells_apart_what_must_not_be_compared() {
    let model = Model::find(&pinned()).expect("the pinned model");
    assert_eq!(model.dimensions(), 384);
    assert!(model.id().starts_with("all-minilm-l6-v2-int8-") && model.id().ends_with("-128"));
    assert!(model.id().chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)));
    assert_eq!(model.id(), Model::find(&pinned()).expect("again").id());
    let shorter = Model::find(&ModelSettings { max_tokens: 64, ..pinned() }).expect("shorter");
    assert_ne!(model.id(), shorter.id());
}

#[tokio::test]
async fn a_folder_is_a_model_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings =
        ModelSettings { choice: ModelChoice::Folder(folder.path().to_owned()), ..pinned() };
    let missing = Model::find(&settings).expect_err("nothing there");
    assert!(matches!(missing, EmbeddingError::Unavailable { .. }), "{missing}");
    assert!(missing.to_string().contains("put model.onnx into"), "{missing}");

    for (part, name) in [
        (&troupe_parts::EMBEDDING_MODEL, "model.onnx"),
        (&troupe_parts::EMBEDDING_TOKENIZER, "tokenizer.json"),
    ] {
        let file = troupe_parts::ensure(part, troupe_parts::Progress::Auto).expect("the part");
        fs::copy(file, folder.path().join(name)).expect("copied");
    }
    let own = Model::find(&settings).expect("the model of the folder");
    let mean = Embedder::start(own, EmbedderSettings::default()).expect("it starts");
    let text = "the same files are the same model";
    assert_eq!(one(&mean, text).await, one(&embedder(&pinned()), text).await);

    fs::create_dir(folder.path().join("1_Pooling")).expect("a folder");
    let pooling = folder.path().join("1_Pooling/config.json");
    fs::write(&pooling, r#"{"pooling_mode_cls_token": true}"#).expect("written");
    let first = Model::find(&settings).expect("the model of the folder");
    let first = Embedder::start(first, EmbedderSettings::default()).expect("it starts");
    assert_ne!(first.status(), mean.status(), "another id");
    assert!(one(&first, text).await.dot(&one(&mean, text).await) < 0.999);

    fs::write(&pooling, r#"{"pooling_mode_max_tokens": true}"#).expect("written");
    let unusable = Model::find(&settings).expect_err("not known");
    assert!(matches!(unusable, EmbeddingError::Unusable { .. }), "{unusable}");
    fs::remove_file(&pooling).expect("removed");
    fs::write(folder.path().join("model.onnx"), "no network").expect("written");
    let unusable = Model::find(&settings).expect_err("no network");
    assert!(matches!(unusable, EmbeddingError::Unusable { .. }), "{unusable}");
}
