#!/usr/bin/env bash
# Runs every test: Rust's on SQLite and on a throw-away PostgreSQL, then the official JavaScript clients against the real
# binary. Installs what is missing where it can.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

missing=()
has_postgres || missing+=(postgresql)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ "${#missing[@]}" = 0 ] || need_packages "${missing[@]}"

say "Rust tests, with a throw-away PostgreSQL"
instance="$(mktemp -d)/postgres"
trap 'tests/postgres.sh stop "$instance" || true; rm -rf "$(dirname "$instance")"' EXIT
chmod 755 "$(dirname "$instance")"
HOOKGRAPH_TEST_POSTGRES="$(tests/postgres.sh start "$instance")"
export HOOKGRAPH_TEST_POSTGRES
# The black-box tests, Rust and JavaScript, run this binary.
cargo build --locked --quiet --package hookgraph-server --features failpoints
HOOKGRAPH_BINARY="$(realpath "${CARGO_TARGET_DIR:-target}")/debug/hookgraph"
export HOOKGRAPH_BINARY
cargo test --workspace --locked

say "JavaScript tests"
cargo build --locked --quiet --package hookgraph-domain --example canonical_json
(
  cd tests/js
  npm ci --no-audit --no-fund --loglevel=error
  npm test
)
