//! The schema of the resolver tree builds, and has what it promises.

use async_graphql::{EmptySubscription, Schema};
use hookgraph_pim::{PaymentType, PimMutation, PimQuery};

#[test]
fn the_schema_builds_with_its_interfaces() {
    let schema = Schema::build(PimQuery, PimMutation, EmptySubscription).register_output_type::<PaymentType>().finish();
    let sdl = schema.sdl();
    assert!(sdl.contains("type StripePayment implements PaymentType"), "{sdl}");
}
