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
scripts/with-postgres cargo test --workspace --locked

if [ -f tests/js/package.json ]; then
  say "JavaScript tests"
  cargo build --locked --quiet --package hookgraph-server
  HOOKGRAPH_BINARY="$PWD/${CARGO_TARGET_DIR:-target}/debug/hookgraph"
  export HOOKGRAPH_BINARY
  cd tests/js
  npm ci --no-audit --no-fund --loglevel=error
  npm test
fi
