use super::*;
use crate::{Settings, Words};

fn index(texts: &[&str]) -> Index<u32> {
    let mut index = Index::new(Settings::default());
    for (key, text) in (0..).zip(texts) {
        index.put(key, Words { text, when: None, previous: None });
    }
    index
}

fn near(texts: &[&str], text: &str) -> Vec<(u32, Relation)> {
    let found = index(texts).near(
        text,
        None,
        &NearSettings::default(),
        |_| true,
        |key| texts.get(key as usize),
    );
    found.into_iter().map(|near| (near.key, near.relation)).collect()
}

#[test]
fn the_same_and_the_opposite_are_told_apart() {
    let texts = [
        "The staging database runs nightly vacuum jobs.",
        "The payment gateway is enabled in production.",
        "The retry limit of the mail worker is 3.",
        "Deployments on Friday are allowed for the billing team.",
        "Alice reviews what Bob writes.",
    ];
    let same = Relation::Duplicate;
    let opposite = Relation::Contradiction;
    for (text, wanted) in [
        ("the staging database runs a nightly vacuum job", Some((0, same))),
        (
            "The payment gateway is disabled in production.",
            Some((1, opposite(Difference::Direction))),
        ),
        ("The retry limit of the mail worker is 5.", Some((2, opposite(Difference::Numbers)))),
        (
            "Deployments on Friday are not allowed for the billing team.",
            Some((3, opposite(Difference::Negation))),
        ),
        ("Bob reviews what Alice writes.", None),
        ("The payment gateway is disabled in the test lab.", None),
        ("The staging database was moved to another region.", None),
        ("", None),
    ] {
        assert_eq!(near(&texts, text), Vec::from_iter(wanted), "{text:?}");
    }
}

#[test]
fn what_the_filter_leaves_out_is_not_near() {
    let texts = ["the cache is warm after ten minutes"; 3];
    let index = index(&texts);
    let settings = NearSettings::default();
    let found = index.near(texts[0], None, &settings, |key| key == 1, |_| Some(texts[0]));
    assert_eq!(found.iter().map(|near| near.key).collect::<Vec<_>>(), [1]);
    assert!(found[0].overlap >= 1.0);
    // And what it says must be at hand.
    assert!(index.near(texts[0], None, &settings, |_| true, |_| None::<&str>).is_empty());
}

#[test]
fn vectors_must_agree_where_there_are_any() {
    let texts = ["the build cache is shared between all runners of the fleet"];
    let mut index = index(&texts);
    let [east, north] = [[1.0, 0.1], [0.1, 1.0]].map(|v| Vector::quantise(&v).unwrap());
    index.set_vector(0, &east).unwrap();
    let settings = NearSettings::default();
    let near = |vector| index.near(texts[0], Some(vector), &settings, |_| true, |_| Some(texts[0]));
    assert_eq!(near(&east).len(), 1);
    assert!(near(&east)[0].cosine.is_some_and(|cosine| cosine > 0.99));
    assert!(near(&north).is_empty());
}

#[test]
fn a_text_too_long_to_read_is_a_duplicate_only_of_itself() {
    let long = (0..400).map(|n| format!("step{n}")).collect::<Vec<_>>().join(" ");
    let other = long.replace("step399", "step400");
    let texts = [long.as_str()];
    assert_eq!(near(&texts, &long), [(0, Relation::Duplicate)]);
    assert_eq!(near(&texts, &other), []);
}
