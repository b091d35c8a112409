#!/usr/bin/env bash
# Fetches the pinned GraphiQL assets from npm into crates/server/assets/graphiql, minified and gzipped, so that the
# binary serves GraphiQL without asking another host. Needs npm; the build itself does not.
set -euo pipefail

graphiql=4.1.2
react=18.3.1
graphql_ws=6.0.6

target="$(cd "$(dirname "$0")/.." && pwd)/crates/server/assets/graphiql"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"

# fetch PACKAGE VERSION PATH-IN-PACKAGE NAME
fetch() {
  npm pack --silent "$1@$2" >/dev/null
  mkdir -p "$1"
  tar -xzf "$1-$2.tgz" -C "$1"
  sed '/^\/\/# sourceMappingURL=/d' "$1/package/$3" | gzip -9n >"$target/$4.gz"
  { echo "== $1 $2"; echo; cat "$1/package/LICENSE"* 2>/dev/null || echo "MIT"; echo; } >>"$work/licenses"
}

fetch react "$react" umd/react.production.min.js react.js
fetch react-dom "$react" umd/react-dom.production.min.js react-dom.js
fetch graphql-ws "$graphql_ws" umd/graphql-ws.min.js graphql-ws.js
fetch graphiql "$graphiql" graphiql.min.js graphiql.js
gzip -9n <graphiql/package/graphiql.min.css >"$target/graphiql.css.gz"

{
  echo "Third-party files of this folder, unchanged but for gzip and the removal of source map comments."
  echo "scripts/refresh-graphiql.sh fetches them. graphiql.js bundles graphql, codemirror, codemirror-graphql,"
  echo "markdown-it, @radix-ui and @graphiql (all MIT); graphiql.css embeds the fonts Roboto (Apache-2.0) and"
  echo "Fira Code (OFL-1.1)."
  echo
  cat "$work/licenses"
} >"$target/LICENSES"
ls -l "$target"
