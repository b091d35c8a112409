//! "Did you mean": the event types nearest to a pair that is none.

use std::collections::BTreeSet;

/// How much less like the asked pair than the best one a suggestion may be.
const SCORE_GAP_MAX: f64 = 0.15;
/// Suggestions in one answer.
const SUGGESTIONS_MAX: usize = 3;

/// For an unknown pair, the nearest known ones, best first, as `concern/event`; at least one, at most three.
pub fn nearest(concern: &str, event: &str) -> Vec<String> {
    let (concern, event) = (folded_concern(concern), folded(event));
    let scored = super::all().iter().map(|known| {
        let score =
            strsim::jaro_winkler(&concern, &folded(known.concern)) + strsim::jaro_winkler(&event, &folded(known.event));
        (score / 2.0, format!("{}/{}", known.concern, known.event))
    });
    best(scored.collect())
}

/// For an unknown concern, the nearest known ones, best first; at least one, at most three.
pub fn nearest_concerns(concern: &str) -> Vec<String> {
    let concern = folded_concern(concern);
    let known: BTreeSet<&str> = super::all().iter().map(|known| known.concern).collect();
    let scored = known.into_iter().map(|known| (strsim::jaro_winkler(&concern, &folded(known)), known.to_owned()));
    best(scored.collect())
}

/// The best of what is scored, and what is about as good.
fn best(mut scored: Vec<(f64, String)>) -> Vec<String> {
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let floor = scored.first().map_or(0.0, |(best, _)| best - SCORE_GAP_MAX);
    scored.into_iter().take(SUGGESTIONS_MAX).filter(|(score, _)| *score >= floor).map(|(_, name)| name).collect()
}

fn folded_concern(concern: &str) -> String {
    let concern = folded(concern);
    concern_of_noun(&concern).map_or(concern, folded)
}

/// Upper case, dashes and underscores make no difference.
fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The concern of nouns that people look for and that are spelled unlike it.
fn concern_of_noun(noun: &str) -> Option<&'static str> {
    match noun {
        "product" | "products" | "document" | "documents" | "folder" | "folders" | "catalogue" | "catalog" => {
            Some("items")
        }
        "pipeline" | "pipelines" => Some("orders"),
        "contract" | "contracts" => Some("subscriptionContracts"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{nearest, nearest_concerns};

    #[test]
    fn a_misspelled_pair_is_answered_with_the_one_that_was_meant() {
        for (concern, event, meant) in [
            ("order", "create", "orders/create"),
            ("orders", "created", "orders/create"),
            ("Orders", "CREATE", "orders/create"),
            ("order", "stageChanged", "orders/pipelineStageChanged"),
            ("product", "published", "items/publish"),
            ("price-list", "updated", "priceLists/update"),
            ("subscription", "renewed", "subscriptionContracts/renew"),
            ("customer", "deleted", "customers/delete"),
            ("tenant", "copyStart", "tenants/copyStarted"),
            ("flow", "itemAdded", "flows/itemAddedToStage"),
        ] {
            assert_eq!(nearest(concern, event).first().map(String::as_str), Some(meant), "{concern}/{event}");
        }
    }

    #[test]
    fn any_pair_gets_at_least_one_and_at_most_three_names() {
        for (concern, event) in [("", ""), ("zzz", "qqq"), ("orders", "x"), ("é", "🦀")] {
            assert!((1..=3).contains(&nearest(concern, event).len()), "{concern}/{event}");
            assert!((1..=3).contains(&nearest_concerns(concern).len()), "{concern}");
        }
    }

    #[test]
    fn a_misspelled_concern_alone_is_answered_with_concerns() {
        for (concern, meant) in [("order", "orders"), ("product", "items"), ("price-lists", "priceLists")] {
            assert_eq!(nearest_concerns(concern).first().map(String::as_str), Some(meant), "{concern}");
        }
        assert!(nearest_concerns("nope").iter().all(|concern| !concern.contains('/')));
    }
}
