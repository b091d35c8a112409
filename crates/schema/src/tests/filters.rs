//! Filters that can find nothing are refused: an empty answer would read as "nothing happened".

use super::world::world;
use serde_json::{Value, json};

async fn refused(selection: &str) -> (Value, Value, Value) {
    let world = world().await;
    let answer = world.ask(selection, json!({})).await;
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{selection}: {answer}");
    let extensions = &answer["errors"][0]["extensions"];
    let problem = &extensions["problems"][0];
    (extensions["code"].clone(), problem["code"].clone(), problem["path"].clone())
}

#[tokio::test]
async fn a_filter_that_names_what_cannot_be_is_refused() {
    for filter in [r#"concern: "order""#, r#"event: "creat""#] {
        let path = filter.split(':').next();
        let asked = format!("{{ event {{ getMany({filter}) {{ nodes {{ id }} }} }} }}");
        assert_eq!(refused(&asked).await, (json!("BAD_USER_INPUT"), json!("EVENT_TYPE_UNKNOWN"), json!(path)));
    }
    for filter in [r#"webhookId: "w1""#, r#"eventId: "e1""#, r#"replayId: "r1""#] {
        let asked = format!("{{ delivery {{ getMany({filter}) {{ nodes {{ id }} }} }} }}");
        assert_eq!(refused(&asked).await.0, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_range_of_time_that_is_empty_is_refused() {
    let (from, before) = ("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z");
    let created = format!(r#"createdFrom: "{from}", createdBefore: "{before}""#);
    for (asked, path) in [
        (
            format!(
                r#"{{ event {{ getMany(recordedFrom: "{from}", recordedBefore: "{before}") {{ nodes {{ id }} }} }} }}"#
            ),
            "recordedBefore",
        ),
        (format!("{{ delivery {{ getMany({created}) {{ nodes {{ id }} }} }} }}"), "createdBefore"),
        (
            format!("mutation {{ delivery {{ retryMany(filter: {{ {created} }}) {{ count }} }} }}"),
            "filter.createdBefore",
        ),
        (
            format!("mutation {{ delivery {{ cancelMany(filter: {{ {created} }}) {{ count }} }} }}"),
            "filter.createdBefore",
        ),
    ] {
        assert_eq!(refused(&asked).await, (json!("BAD_USER_INPUT"), json!("RANGE_EMPTY"), json!(path)), "{asked}");
    }
}

#[tokio::test]
async fn a_subscription_is_refused_where_one_answer_is_all_there_can_be() {
    let world = world().await;
    let answer = world.ask("subscription { eventRecorded { cursor } }", json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("text/event-stream"), "{answer}");
}
