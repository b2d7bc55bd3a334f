#!/bin/sh
# Loads two servers in turn with the same requests, so that a noisy machine is noisy for both:
#
#     ./rounds.sh http://127.0.0.1:8787 http://127.0.0.1:8790
#
# ROUNDS (3), SECONDS_EACH (10) and CONNECTIONS ("1 2 4 8 16 32") may be set. Prints one line per run; the best rate of
# a server whose p99 is within a bound is read from its lines.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: rounds.sh URL [URL…]" >&2
    exit 2
fi
here=$(dirname "$0")

for round in $(seq "${ROUNDS:-3}"); do
    for connections in ${CONNECTIONS:-1 2 4 8 16 32}; do
        for server in "$@"; do
            result=$(wrk -t1 -c"$connections" -d"${SECONDS_EACH:-10}s" -s "$here/rank.lua" "$server" | grep RESULT)
            echo "$server round $round connections $connections ${result#RESULT }"
        done
    done
done
