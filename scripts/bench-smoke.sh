#!/usr/bin/env bash
# The shortest run of the benchmark, on an unoptimised server (HOOKGRAPH_BINARY): that it prints its table, and that what it counts
# is right. How fast anything is says nothing here.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --workspace --locked --quiet --bin hookgraph-bench
table="$(STRICT=1 CASE=one,ten DATABASE=sqlite RUNS=1 SECONDS_PER_RUN=1 "${CARGO_TARGET_DIR:-target}/debug/hookgraph-bench" run)"
echo "$table"
for line in "| raw limit: client to receiver |" "| one webhook | SQLite |" "| ten webhooks per event | SQLite |"; do
  grep --quiet --fixed-strings -- "$line" <<<"$table" || { echo "the table has no line $line" >&2; exit 1; }
done
