//! The preparation of a server before a run: its webhooks, and the records that a payload query reads.

use crate::case::{Behaviour, Case, Pace};
use crate::load::BodyParts;
use crate::server::Api;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Ten fields over three records: an order, its customer, and the pipeline that it is in.
const TEN_FIELDS: &str = "query ($id: ID!) { order { get(id: $id) {
    id createdAt total { gross currency } cart { name }
    customer { firstName lastName email }
    pipelines { stageId pipeline { name } } } } }";

const ORDERS: usize = 200;
const CUSTOMERS: usize = 20;

/// Makes the webhooks and, where a payload query reads them, the records. Answers the request body that is to be
/// published.
pub async fn prepare(api: &mut Api, case: &Case, receiver: SocketAddr) -> anyhow::Result<BodyParts> {
    let ids = if case.query { orders(api).await? } else { Vec::new() };
    let healthy = if matches!(case.pace, Pace::Backlog(_)) { Behaviour::Gated } else { Behaviour::Ok };
    let behaviours = std::iter::repeat_n(healthy, case.healthy as usize).chain(case.sick);
    for (index, behaviour) in behaviours.enumerate() {
        webhook(api, case, &format!("http://{receiver}/{}/{index}", behaviour.path())).await?;
    }
    Ok(body(case.batch, ids))
}

/// The concurrency of a webhook that is alone: the most that can be asked for. With less the webhook would wait for its
/// own answers.
const CONCURRENCY_ALONE: u32 = 500;
/// The concurrency of each of ten webhooks.
const CONCURRENCY_OF_TEN: u32 = 100;

async fn webhook(api: &mut Api, case: &Case, url: &str) -> anyhow::Result<()> {
    let mut input = json!({ "name": url, "concern": "orders", "event": "update", "method": "POST", "url": url,
        "concurrency": if case.healthy == 1 { CONCURRENCY_ALONE } else { CONCURRENCY_OF_TEN } });
    if case.query {
        input["graphqlQuery"] = json!(TEN_FIELDS);
        // The default payload has the event's marker, which no query can answer.
        input["preserveDefaultPayload"] = json!(true);
    }
    let text = "mutation ($input: CreateWebhookInput!) { webhook { create(input: $input) { id } } }";
    api.ask(text, json!({ "input": input })).await.map(drop)
}

async fn orders(api: &mut Api) -> anyhow::Result<Vec<String>> {
    let tenant = api.ask("{ tenant { getMany { id } } }", json!({})).await?;
    let tenant_id = &tenant["tenant"]["getMany"][0]["id"];
    let text = "mutation ($input: CreatePipelineInput!) { pipeline { create(input: $input) { id } } }";
    let stages = json!([{ "name": "New", "placeNewOrders": true }]);
    api.ask(text, json!({ "input": { "tenantId": tenant_id, "name": "Fulfilment", "stages": stages } })).await?;
    for index in 0..CUSTOMERS {
        let text = "mutation ($input: CreateCustomerInput!) { customer { create(input: $input) { identifier } } }";
        let customer = json!({ "tenantId": tenant_id, "identifier": format!("customer-{index}"), "firstName": "Ada",
            "lastName": "Lovelace", "email": "ada@example.com" });
        api.ask(text, json!({ "input": customer })).await?;
    }
    let mut ids = Vec::new();
    for index in 0..ORDERS {
        let text = "mutation ($input: CreateOrderInput!) { order { create(input: $input) { id } } }";
        let customer = format!("customer-{}", index % CUSTOMERS);
        let order = json!({ "tenantId": tenant_id, "customer": { "identifier": customer },
            "cart": [{ "name": "Chair", "sku": "chair", "quantity": 2 }],
            "total": { "gross": 25.0, "currency": "EUR" } });
        let created = api.ask(text, json!({ "input": order })).await?;
        ids.extend(created["order"]["create"]["id"].as_str().map(str::to_owned));
    }
    Ok(ids)
}

/// A request that publishes `batch` events; its document is always the same.
pub fn body(batch: u32, ids: Vec<String>) -> BodyParts {
    let one = "mutation ($input: PublishEventInput!) { event { publish(input: $input) { id } } }";
    let many = "mutation ($inputs: [PublishEventInput!]!) { event { publishMany(inputs: $inputs) { id } } }";
    let (query, name, open, close) = if batch == 1 { (one, "input", "", "") } else { (many, "inputs", "[", "]") };
    BodyParts {
        head: format!("{{\"query\":{},\"variables\":{{\"{name}\":{open}", Value::from(query)),
        event: r#"{"concern":"orders","event":"update","variables":{"id":"<id>","userId":"<marker>"}}"#.to_owned(),
        tail: format!("{close}}}}}"),
        ids,
    }
}

#[cfg(test)]
mod tests {
    use super::body;
    use serde_json::Value;

    #[test]
    fn requests_are_json_with_one_event_or_many() {
        let one: Value = serde_json::from_slice(&body(1, Vec::new()).filled(7, 1)).unwrap();
        assert_eq!(one["variables"]["input"]["variables"]["userId"], "n0000000007");
        let many: Value = serde_json::from_slice(&body(3, Vec::new()).filled(7, 3)).unwrap();
        assert_eq!(many["variables"]["inputs"][2]["variables"]["userId"], "n0000000009");
    }
}
