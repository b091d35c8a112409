#!/usr/bin/env bash
# Runs every test: Rust's on SQLite and on a throw-away PostgreSQL, then the official JavaScript clients against the real
# binary. Installs what is missing where it can.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

missing=()
has_postgres || missing+=(postgresql)
if [ -d tests/js ]; then
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
fi
[ "${#missing[@]}" = 0 ] || need_packages "${missing[@]}"

say "Rust tests, with a throw-away PostgreSQL"
instance="$(mktemp -d)/postgres"
trap 'tests/postgres.sh stop "$instance" || true; rm -rf "$(dirname "$instance")"' EXIT
chmod 755 "$(dirname "$instance")"
HOOKGRAPH_TEST_POSTGRES="$(tests/postgres.sh start "$instance")"
export HOOKGRAPH_TEST_POSTGRES
cargo test --workspace --locked

if [ -f tests/js/package.json ]; then
  say "JavaScript tests"
  cargo build --locked --quiet --package hookgraph-server
  cargo build --locked --quiet --package hookgraph-domain --example canonical_json
  cargo build --locked --quiet --package hookgraph-domain --examples
  target="$(realpath "${CARGO_TARGET_DIR:-target}")"
  (
    cd tests/js
    npm ci --no-audit --no-fund --loglevel=error
    HOOKGRAPH_BINARY="$target/debug/hookgraph" npm test
  )
fi
