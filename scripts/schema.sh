#!/usr/bin/env bash
# The committed schemas, from the binary: --write rewrites them, --check fails where they are not current.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

cargo build --workspace --locked --quiet --bin hookgraph
hookgraph="${CARGO_TARGET_DIR:-target}/debug/hookgraph"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$hookgraph" schema >"$work/schema.graphql"
"$hookgraph" schema --payload >"$work/payload-schema.graphql"

case "${1:-}" in
  --write) cp "$work"/*.graphql . ;;
  --check)
    for file in schema.graphql payload-schema.graphql; do
      diff -u "$file" "$work/$file" || die "$file is not current: run make schema"
    done
    ;;
  *) die "usage: scripts/schema.sh --write|--check" ;;
esac
