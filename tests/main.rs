//! Black-box tests: they speak to the real binary through GraphQL and HTTP alone, one file for each feature.
//! `architecture` reads the repository instead.

mod architecture;
mod catalogue;
mod chaos;
mod crash;
mod database_trouble;
mod fuzz_corpus;
mod observability;
mod processes;
mod retention;
