//! Black-box tests: the real binary, spoken to through GraphQL and HTTP alone. One file per feature.

mod architecture;
mod catalogue;
mod chaos;
mod crash;
mod database_trouble;
mod fuzz_corpus;
mod observability;
mod processes;
mod retention;
