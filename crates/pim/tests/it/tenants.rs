//! Tenants: by what they are named.

use crate::support::World;
use serde_json::{Value, json};

const CREATE: &str =
    "mutation ($identifier: String!) { tenant { create(input: { identifier: $identifier, name: \"T\" }) { id } } }";
const COPY: &str = "mutation ($tenantId: ID!, $identifier: String!) {
    tenant { createCopyTask(tenantId: $tenantId, desiredIdentifier: $identifier) { id } } }";

/// What each of both ways to a new tenant answers, with the path of its identifier. A copy that is asked for takes no identifier
/// yet.
async fn asked(world: &World, identifier: &str) -> [(&'static str, Value); 2] {
    let copy = json!({ "tenantId": world.tenant_id.to_string(), "identifier": identifier });
    let copied = world.respond(world.tenant_id, COPY, copy).await;
    let created = world.respond(world.tenant_id, CREATE, json!({ "identifier": identifier })).await;
    [("desiredIdentifier", copied), ("input.identifier", created)]
        .map(|(path, answer)| (path, serde_json::to_value(answer).unwrap()))
}

#[tokio::test]
async fn no_tenant_is_named_as_another_ones_id_could_be() {
    let world = World::new();
    let hyphenated = world.tenant_id.to_string();
    for identifier in [hyphenated.as_str(), &hyphenated.replace('-', ""), "0198b6a0-5c1e-7f00-8000-000000000401"] {
        for (path, answer) in asked(&world, identifier).await {
            let error = &answer["errors"][0];
            let message = format!("{identifier:?} is a UUID, as the ids of tenants are: choose a name, e.g. \"acme\"");
            assert_eq!(error["message"], format!("{path}: {message}"));
            let problems = json!([{ "path": path, "code": "IDENTIFIER_UUID", "message": message }]);
            assert_eq!(error["extensions"]["problems"], problems, "{answer}");
        }
    }
    let tables = world.store.tables();
    assert_eq!((tables.tenants.len(), tables.tasks.len()), (1, 0));
}

#[tokio::test]
async fn an_identifier_that_only_resembles_an_id_is_taken() {
    for identifier in ["0198b6a0-5c1e-7f00-8000-00000000040", "0198b6a0-5c1e-7f00-8000-00000000040g", "0198b6a0"] {
        for (_, answer) in asked(&World::new(), identifier).await {
            assert_eq!(answer.get("errors"), None, "{identifier}: {answer}");
        }
    }
}
