#!/usr/bin/env bash
# Everything that is checked without running tests: format, lints, documentation, dependencies, committed schemas.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

say "format"
cargo fmt --all --check

say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
cargo clippy --workspace --all-targets --features hookgraph-server/failpoints --locked -- -D warnings

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet

say "lock file of the fuzz targets"
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null

say "dependencies"
if ! command -v cargo-deny >/dev/null; then
  say "installing cargo-deny, once: this takes some minutes"
  cargo install --locked --quiet cargo-deny
fi
cargo deny --log-level error check bans licenses sources

say "committed schemas"
scripts/schema.sh --check
