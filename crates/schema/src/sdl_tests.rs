//! The committed SDL.

use crate::Api;
use crate::document::Validator;
use std::path::Path;

#[test]
fn the_committed_sdls_are_current() {
    for (name, sdl) in [("schema.graphql", Api::sdl()), ("payload-schema.graphql", Api::payload_sdl())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == sdl, "{name} is not current: `make schema` rewrites it");
    }
}

#[test]
fn both_sdls_are_valid_and_the_payload_schema_only_reads() {
    for sdl in [Api::sdl(), Api::payload_sdl()] {
        assert_eq!(Validator::of_sdl(&sdl).err(), None);
        assert!(!sdl.contains('\t'));
    }
    let payload_sdl = Api::payload_sdl();
    for absent in ["type Mutation {", "type Subscription {", "type Webhook", "type Delivery", "Mutations {"] {
        assert!(!payload_sdl.contains(absent), "{absent}");
    }
}
