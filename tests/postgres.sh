#!/bin/sh
# A throw-away PostgreSQL for tests, in a directory of its own, on a free port of 127.0.0.1.
#
#   tests/postgres.sh start DIR [--durable]   makes it in DIR (absent or empty) and prints its URL for HOOKGRAPH_TEST_POSTGRES
#   tests/postgres.sh restart DIR             ends it without a word, as a crash does, and starts it again on the same port
#   tests/postgres.sh stop DIR                stops it and removes DIR
#
# Without --durable it does not wait for the disk: fast, and of no use after a crash of the machine. PostgreSQL refuses to
# run as root, so root becomes the user postgres, or nobody where there is none.
set -eu

fail() {
    echo "tests/postgres.sh: $1" >&2
    exit 1
}

usage() {
    sed -n '4,6s/^# *//p' "$0" >&2
    exit 2
}

bin_directory() {
    if command -v initdb >/dev/null 2>&1 && command -v pg_ctl >/dev/null 2>&1; then
        dirname "$(command -v initdb)"
        return
    fi
    for candidate in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V -r); do
        if [ -x "$candidate/initdb" ]; then
            echo "$candidate"
            return
        fi
    done
    fail "PostgreSQL is not installed (on Debian: apt-get install postgresql)"
}

as_server_user() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        # The server user may not be allowed into the directory that root stands in.
        (cd / && runuser -u "$server_user" -- "$@")
    fi
}

start() {
    mkdir -p "$directory"
    directory=$(cd "$directory" && pwd)
    [ -z "$(ls -A "$directory")" ] || fail "$directory is not empty"
    if [ "$(id -u)" -eq 0 ]; then
        chown "$server_user" "$directory"
    fi
    chmod 700 "$directory"
    as_server_user "$bin/initdb" --pgdata="$directory/data" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C.UTF-8 --no-sync >"$directory/initdb.log" 2>&1 || fail "initdb failed: $(cat "$directory/initdb.log")"
    settings="-c listen_addresses=127.0.0.1 -c unix_socket_directories=$directory -c max_connections=300"
    if [ "$durable" = no ]; then
        settings="$settings -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    fi
    # Another process may take a free port first: then the next one is tried.
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        port=$((20000 + ($$ * 7 + attempt * 1013) % 40000))
        if as_server_user "$bin/pg_ctl" --pgdata="$directory/data" --log="$directory/server.log" --wait --timeout=60 \
            --options="$settings -c port=$port" start >/dev/null 2>&1; then
            echo "postgres://postgres@127.0.0.1:$port/postgres"
            return
        fi
    done
    fail "the server does not start: $(cat "$directory/server.log")"
}

restart() {
    [ -d "$directory/data" ] || fail "there is no server in $directory"
    directory=$(cd "$directory" && pwd)
    as_server_user "$bin/pg_ctl" --pgdata="$directory/data" --log="$directory/server.log" --mode=immediate --wait \
        --timeout=60 restart >/dev/null 2>&1 || fail "the server does not start: $(cat "$directory/server.log")"
}

stop() {
    [ -d "$directory/data" ] || fail "there is no server in $directory"
    directory=$(cd "$directory" && pwd)
    as_server_user "$bin/pg_ctl" --pgdata="$directory/data" --mode=immediate --wait stop >/dev/null
    rm -rf "$directory"
}

[ $# -ge 2 ] || usage
command=$1
directory=$2
durable=no
[ "${3:-}" != --durable ] || durable=yes
bin=$(bin_directory)
server_user=postgres
id "$server_user" >/dev/null 2>&1 || server_user=nobody
case $command in
start) start ;;
restart) restart ;;
stop) stop ;;
*) usage ;;
esac
