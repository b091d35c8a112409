//! The catalogue itself, as data.

use super::VariableType::{Id, ItemType, String};
use super::{EventType, Variable, VariableType};

const USER_ID: Variable = optional("userId", Id, "Who made the change, where known.", Some("61f9933ec63b0a44d5004c2d"));
const TENANT_ID: Variable = required("tenantId", Id, "The tenant.", "0198b6a0-5c1e-7f00-8000-00000000a001");
const WEBHOOK_ID: Variable =
    required("webhookId", Id, "The webhook that calls.", "0198b6a0-5c1e-7f00-8000-00000000b001");
const TYPE: Variable = required("type", ItemType, "Which type of item: product, document or folder.", "product");
const LANGUAGE: Variable = required(
    "language",
    String,
    "The language version that changed; the tenant's default language where the change names none.",
    "en",
);
const PIPELINE_ID: Variable = required("pipelineId", Id, "The pipeline.", "0198b6a0-5c1e-7f00-8000-000000000601");
const ORDER_ID: Variable = required("orderId", Id, "The order.", "0198b6a0-5c1e-7f00-8000-000000000401");

const ITEM: &[Variable] = &[id("The item."), USER_ID, TENANT_ID, TYPE, LANGUAGE, WEBHOOK_ID];
const TOPIC: &[Variable] = &[id("The topic."), USER_ID, TENANT_ID, LANGUAGE, WEBHOOK_ID];
const GRID: &[Variable] = &[id("The grid."), USER_ID, TENANT_ID, LANGUAGE, WEBHOOK_ID];
const FLOW: &[Variable] = &[
    id("The item."),
    TYPE,
    LANGUAGE,
    required("flowId", Id, "The flow.", "0198b6a0-5c1e-7f00-8000-000000000701"),
    required("stageId", Id, "The stage.", "0198b6a0-5c1e-7f00-8000-000000000702"),
    USER_ID,
    TENANT_ID,
    WEBHOOK_ID,
];
const ORDER: &[Variable] = &[id("The order."), USER_ID, TENANT_ID, WEBHOOK_ID];
const STAGE_CHANGED: &[Variable] = &[
    ORDER_ID,
    PIPELINE_ID,
    required("stageId", Id, "The stage that the order is in now.", "0198b6a0-5c1e-7f00-8000-000000000603"),
    TENANT_ID,
    WEBHOOK_ID,
    optional(
        "previousStageId",
        Id,
        "The stage that the order was in before; null when it was not in the pipeline.",
        Some("0198b6a0-5c1e-7f00-8000-000000000602"),
    ),
    USER_ID,
];
const PIPELINE_REMOVED: &[Variable] = &[
    ORDER_ID,
    PIPELINE_ID,
    required("stageId", Id, "The last stage that the order was in.", "0198b6a0-5c1e-7f00-8000-000000000603"),
    TENANT_ID,
    WEBHOOK_ID,
    USER_ID,
];
const CUSTOMER: &[Variable] =
    &[identifier("The customer's identifier.", "ada@example.com"), USER_ID, TENANT_ID, WEBHOOK_ID];
const PRICE_LIST: &[Variable] =
    &[identifier("The price list's identifier.", "summer-sale"), USER_ID, TENANT_ID, WEBHOOK_ID];
const MARKET: &[Variable] = &[identifier("The market's identifier.", "norway"), USER_ID, TENANT_ID, WEBHOOK_ID];
const SUBSCRIPTION_CONTRACT: &[Variable] = &[
    id("The subscription contract."),
    required("customerIdentifier", String, "The identifier of the contract's customer.", "ada@example.com"),
    USER_ID,
    TENANT_ID,
    WEBHOOK_ID,
];
const COPY_STARTED: &[Variable] = &tenant_copy(None, None);
const COPY_FINISHED: &[Variable] = &tenant_copy(Some("0198b6a0-5c1e-7f00-8000-00000000a002"), None);
const COPY_FAILED: &[Variable] =
    &tenant_copy(Some("0198b6a0-5c1e-7f00-8000-00000000a002"), Some("the target was deleted while it was copied to"));

/// The whole catalogue, by category.
pub(super) const EVENT_TYPES: &[EventType] = &[
    event_type(1, "items", "create", "A product, document or folder was created, per language version.", ITEM),
    event_type(1, "items", "update", "An item's language version changed, its stock too.", ITEM),
    event_type(1, "items", "delete", "An item was deleted, once, each of its descendants too.", ITEM),
    event_type(1, "items", "publish", "An item's language version was published.", ITEM),
    event_type(1, "items", "unpublish", "An item's language version was unpublished.", ITEM),
    event_type(1, "topics", "create", "A topic was created, per language version.", TOPIC),
    event_type(1, "topics", "update", "A topic's language version changed.", TOPIC),
    event_type(1, "topics", "delete", "A topic was deleted, once, each of its descendants too.", TOPIC),
    event_type(1, "grids", "create", "A grid was created, per language version.", GRID),
    event_type(1, "grids", "update", "A grid's language version changed.", GRID),
    event_type(1, "grids", "delete", "A grid was deleted, once.", GRID),
    event_type(1, "grids", "publish", "A grid's language version was published.", GRID),
    event_type(1, "grids", "unpublish", "A grid's language version was unpublished.", GRID),
    event_type(2, "flows", "itemAddedToStage", "A product, document or folder came into a stage of a flow.", FLOW),
    event_type(2, "flows", "itemRemovedFromStage", "A product, document or folder left a stage of a flow.", FLOW),
    event_type(3, "orders", "create", "An order was created, in its pipelines or in none.", ORDER),
    event_type(3, "orders", "update", "An order changed.", ORDER),
    event_type(3, "orders", "delete", "An order was deleted.", ORDER),
    event_type(
        4,
        "orders",
        "pipelineStageChanged",
        "An existing order came into a pipeline, or into another stage of it.",
        STAGE_CHANGED,
    ),
    event_type(
        4,
        "orders",
        "pipelineRemoved",
        "An order left a pipeline, or the pipeline was deleted with the order in it.",
        PIPELINE_REMOVED,
    ),
    event_type(5, "customers", "create", "A customer was created.", CUSTOMER),
    event_type(5, "customers", "update", "A customer changed.", CUSTOMER),
    event_type(5, "customers", "delete", "A customer was deleted.", CUSTOMER),
    event_type(6, "priceLists", "create", "A price list was created.", PRICE_LIST),
    event_type(6, "priceLists", "update", "A price list changed.", PRICE_LIST),
    event_type(6, "priceLists", "delete", "A price list was deleted.", PRICE_LIST),
    event_type(7, "markets", "create", "A market was created.", MARKET),
    event_type(7, "markets", "update", "A market changed.", MARKET),
    event_type(7, "markets", "delete", "A market was deleted.", MARKET),
    event_type(8, "subscriptionContracts", "create", "A subscription contract was created.", SUBSCRIPTION_CONTRACT),
    event_type(8, "subscriptionContracts", "update", "A subscription contract changed.", SUBSCRIPTION_CONTRACT),
    event_type(8, "subscriptionContracts", "delete", "A subscription contract was deleted.", SUBSCRIPTION_CONTRACT),
    event_type(8, "subscriptionContracts", "cancel", "A subscription contract was cancelled.", SUBSCRIPTION_CONTRACT),
    event_type(8, "subscriptionContracts", "renew", "A subscription contract was renewed.", SUBSCRIPTION_CONTRACT),
    event_type(9, "tenants", "copyStarted", "The copying of this tenant began.", COPY_STARTED),
    event_type(9, "tenants", "copyFinished", "The copy of this tenant is whole.", COPY_FINISHED),
    event_type(9, "tenants", "copyFailed", "The copying of this tenant ended without the whole.", COPY_FAILED),
];

const fn event_type(
    category: u8,
    concern: &'static str,
    event: &'static str,
    description: &'static str,
    variables: &'static [Variable],
) -> EventType {
    EventType { category, concern, event, description, variables }
}

const fn required(
    name: &'static str,
    variable_type: VariableType,
    description: &'static str,
    example: &'static str,
) -> Variable {
    Variable { name, variable_type, is_required: true, description, example: Some(example) }
}

const fn optional(
    name: &'static str,
    variable_type: VariableType,
    description: &'static str,
    example: Option<&'static str>,
) -> Variable {
    Variable { name, variable_type, is_required: false, description, example }
}

const fn id(description: &'static str) -> Variable {
    required("id", Id, description, "0198b6a0-5c1e-7f00-8000-000000000401")
}

const fn identifier(description: &'static str, example: &'static str) -> Variable {
    required("identifier", String, description, example)
}

const fn tenant_copy(target_tenant_id: Option<&'static str>, error: Option<&'static str>) -> [Variable; 7] {
    [
        required("tenantId", Id, "The tenant that is copied.", "0198b6a0-5c1e-7f00-8000-00000000a001"),
        required("taskId", Id, "The copy task.", "0198b6a0-5c1e-7f00-8000-00000000c001"),
        required("targetIdentifier", String, "The identifier of the copy.", "my-shop-staging"),
        optional("targetTenantId", Id, "The copy, once it exists.", target_tenant_id),
        optional("error", String, "Why the copying failed; null unless it did.", error),
        USER_ID,
        WEBHOOK_ID,
    ]
}
