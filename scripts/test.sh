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
command -v prlimit >/dev/null || missing+=(util-linux)
[ "${#missing[@]}" = 0 ] || need_packages "${missing[@]}"

work="$(mktemp -d)"
trap 'tests/postgres.sh stop "$work/postgres" || true; rm -rf "$work"' EXIT
chmod 755 "$work"

say "the binary with its failpoints, for the black-box tests"
# Of the whole workspace, here and wherever else a part is built: what lies under it has the same features then, and is built once.
cargo build --workspace --locked --quiet --bin hookgraph --features hookgraph-server/failpoints
cargo build --workspace --locked --quiet --example canonical_json --example judge_documents
# Copies: what is built later without failpoints has the same name.
built="${CARGO_TARGET_DIR:-target}/debug"
mkdir "$work/examples"
cp "$built/hookgraph" "$work/hookgraph"
cp "$built/examples/canonical_json" "$built/examples/judge_documents" "$work/examples/"
export HOOKGRAPH_BINARY="$work/hookgraph"

say "Rust tests, with a throw-away PostgreSQL"
HOOKGRAPH_TEST_POSTGRES="$(tests/postgres.sh start "$work/postgres")"
export HOOKGRAPH_TEST_POSTGRES
cargo test --workspace --locked

say "the benchmark's shortest run"
scripts/bench-smoke.sh

say "JavaScript tests"
(
  cd tests/js
  npm ci --no-audit --no-fund --loglevel=error
  npm test
)
