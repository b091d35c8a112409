//! What goes wrong in a render: whose fault it is, and that nothing of it is delivered as data.

use crate::limits::RenderLimits;
use crate::tests::world::{ADD_CUSTOMER, CUSTOMER, World, world};
use hookgraph_domain::limits::PAYLOAD_BYTES_MAX;
use hookgraph_domain::ports::{PayloadRenderer, RenderError, RenderRequest};
use hookgraph_pim::PimContext;
use hookgraph_testkit::ReadPlan;
use serde_json::json;

async fn asked(world: &World) -> RenderRequest {
    world.ask(ADD_CUSTOMER, json!({})).await;
    world.request(&world.latest("customers/create").await, CUSTOMER)
}

#[tokio::test]
async fn one_error_refuses_the_whole_payload_and_says_where() {
    let world = world().await;
    asked(&world).await;
    let document = "query ($identifier: String!, $tenantId: ID!) {
        fine: customer { get(identifier: $identifier, tenantId: $tenantId) { firstName } }
        wrong: customer { getMany(tenantId: $tenantId, first: 101) { edges { node { firstName } } } } }";
    let request = world.request(&world.latest("customers/create").await, document);
    let Err(RenderError::Refused(message)) = world.rendered(&[request]).await.remove(0) else { panic!("no refusal") };
    assert!(message.contains("wrong.getMany: "), "{message}");
    assert!(!message.contains("fine"), "{message}");
}

#[tokio::test]
async fn a_failing_store_is_no_fault_of_the_document() {
    let world = world().await;
    let request = asked(&world).await;
    for plan in [ReadPlan::Fail, ReadPlan::Panic] {
        world.store.reads().plan(plan);
        let failed = world.rendered(&[request.clone(), request.clone()]).await;
        assert!(failed.iter().all(|answer| matches!(answer, Err(RenderError::Unavailable(_)))), "{plan:?}: {failed:?}");
        world.store.reads().plan(ReadPlan::Answer);
        assert!(world.rendered(std::slice::from_ref(&request)).await.remove(0).is_ok(), "after {plan:?}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_in_time_is_no_fault_of_the_document() {
    let world = world().await;
    let one = asked(&world).await;
    let page = "query ($tenantId: ID!) { customer { getMany(tenantId: $tenantId) { edges { node { firstName } } } } }";
    let page = world.request(&one.event, page);
    let renderer = world.renderer(RenderLimits { render_ms_max: 50 });
    for request in [one, page] {
        world.store.reads().plan(ReadPlan::Hang);
        let silent = renderer.render(std::slice::from_ref(&request)).await.remove(0);
        assert_eq!(silent, Err(RenderError::Unavailable("the database did not answer within 50 ms".to_owned())));
        world.store.reads().plan(ReadPlan::Answer);
        assert!(renderer.render(&[request]).await.remove(0).is_ok());
    }
}

#[tokio::test]
async fn a_render_over_its_time_without_the_store_is_the_documents_own() {
    let world = world().await;
    let request = asked(&world).await;
    let renderer = world.renderer(RenderLimits { render_ms_max: 50 });
    let context = PimContext::new(world.caller.clone(), renderer.services.clone(), None);
    let slow = renderer.within_time(std::future::pending(), &request, &context).await;
    assert_eq!(slow, Err(RenderError::BudgetExceeded("the payload took longer than 50 ms".to_owned())));
}

#[tokio::test]
async fn a_payload_over_its_bytes_is_refused_with_its_size_and_what_to_do() {
    let world = world().await;
    for identifier in ["ada", "bob"] {
        let long = "x".repeat(PAYLOAD_BYTES_MAX / 2);
        let input = json!({ "input": { "tenantId": world.caller.tenant_id, "identifier": identifier, "firstName": "A",
            "lastName": "B", "meta": [{ "key": "long", "value": long }] } });
        let text = "mutation ($input: CreateCustomerInput!) { customer { create(input: $input) { __typename } } }";
        let answer = world.ask(text, input).await;
        assert_eq!(answer["errors"], json!(null));
    }
    let event = world.latest("customers/create").await;
    let one = "query ($tenantId: ID!) { customer { getMany(tenantId: $tenantId, first: 1) { edges { node { meta { value } } } } } }";
    let requests = [world.request(&event, &one.replace("first: 1", "first: 2")), world.request(&event, one)];
    let rendered = world.rendered(&requests).await;
    let Err(RenderError::BudgetExceeded(message)) = &rendered[0] else { panic!("no refusal") };
    assert!(message.ends_with("1048576 are allowed: select less"), "{message}");
    assert!(rendered[1].is_ok(), "half of it fits");
}
