#!/usr/bin/env bash
# timeout: 400
# [migrate] mode = epoll: connections move to the epoll instance of their packets' CPU, when they are
# registered and when their packets move; and nothing is lost, doubled or given to two threads.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/pool.sh"
why=$(bench_lacks) && skip_all "$why"

# Usage: 52-migrate.sh [WORD]: only what has that word in its name.
ONLY=${1:-}
SECONDS_OF_CHURN=${CHURN:-3}
PORT=8080 HELD=${HELD:-2000}
world_up clients=4
# Listeners are left alone: whichever worker wakes up first takes a connection.
{
	printf '[listen]\nsteer = no\n[migrate]\nmode = epoll\n'
	world_conf
} >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
WORKERS=(--port $PORT --cpus "0 1")

is_chosen() { [[ $1 == *"$ONLY"* ]]; }
is_aligned() { [ "$(aligned)" = "$HELD" ]; }
aligned() { observe --json --listen $PORT "${1:-$POOL}" | jq .aligned; }

# What brings no packet has not moved as far as anybody can tell. Each round is at least one look of
# each worker around itself: some 16 connections at first, 256 once one of them has moved.
is_aligned_after_another() {
	ROUNDS=$((ROUNDS + 1))
	conns_again >"$WORLD_DIR/again.json"
	is_aligned
}

# A worker is given connections of others only once the application itself gave it one.
employ_all() {
	conns_hold --to "$DUT4:$PORT" --from "$CLIENT4" --count 64 --numbered >/dev/null
	conns_release
	wait_until 20 pool_is_idle
}

# hold NAME: connections, one exchange each, one after another.
hold() {
	local counts
	counts=$(conns_hold --to "$DUT4:$PORT" --from "$CLIENT4" --count "$HELD" --numbered --concurrency 1)
	is "$(jq '[.ok, .failed]' -c <<<"$counts")" "[$HELD,0]" "$1: all answered"
}

# Where they are registered; then their packets move.
follows() { # NAME POOL-OPTION...
	local name=$1
	is_chosen "$name" || return
	shift
	pool_up "${SHIM[@]}" "$BUILD/pool" "${WORKERS[@]}" "$@"
	employ_all
	hold "$name"
	wait_until 20 is_aligned
	is "$(aligned)" "$HELD" "$name: all served where their packets arrive"
	nic_set queue_cpus="1 0"
	ROUNDS=0
	wait_until 30 is_aligned_after_another
	is "$(aligned)" "$HELD" "$name: all follow their packets"
	between "$ROUNDS" 1 12 "$name: within a few rounds"
	is "$(jq '[.ok, .failed]' -c "$WORLD_DIR/again.json")" "[$HELD,0]" "$name: and are answered"
	conns_release
	nic_set queue_cpus="0 1"
	pool_down "$name"
}

# What is not to move: about half is where it belongs, rather more as the worker on the CPU of the
# packets has the shorter way to them.
stays() { # NAME COMMAND...
	local name=$1
	is_chosen "$name" || return
	shift
	pool_up "$@" "$BUILD/pool" "${WORKERS[@]}"
	hold "$name"
	conns_again >/dev/null
	between "$(aligned)" $((HELD / 5)) $((HELD * 9 / 10)) "$name: a good part is not aligned"
	conns_release
	pool_down "$name"
}

# Clients on this host are processed on their own CPU, which says nothing of where they belong.
same_host() {
	local name="clients on the same host" counts
	is_chosen "$name" || return
	pool_up "${SHIM[@]}" "$BUILD/pool" "${WORKERS[@]}"
	counts=$(conns_hold dut --to "127.0.0.1:$PORT" --count 200 --numbered --concurrency 1)
	is "$(jq '[.ok, .failed]' -c <<<"$counts")" "[200,0]" "$name: all answered"
	counts=$(conns_again)
	is "$(pool_moved)" 0 "$name: none is moved"
	conns_release
	pool_down "$name"
}

churns() { # NAME POOL-OPTION...
	is_chosen "$1" || return
	pool_churn "$1" "$SECONDS_OF_CHURN" "${SHIM[@]}" "$BUILD/pool" "${WORKERS[@]}" "${@:2}"
	[ "${NO_MOVES:-}" ] || pool_has_moved "$1"
}

follows "a listener in each worker" --how level
follows "edge-triggered" --how edge
follows "one-shot" --how oneshot
follows "a thread that deals out" --how level --dealer
stays "mode = accept" "${SHIM[@]}" RSSSHIM_MIGRATE_MODE=accept
same_host
churns "churn, level" --how level
churns "churn, edge" --how edge
churns "churn, one-shot" --how oneshot
churns "churn, taken out and added again" --how edge --readds
churns "churn, dealt out" --dealer
churns "churn, copies of descriptors" --dups
churns "churn, written to when there is room, by the instance they were added to" --writes --stored
churns "churn, edge, written to when there is room" --writes --how edge
churns "churn, closed behind the back of libc's close()" --streams
churns "churn, workers come and go, others stand by" --guests --bystander
churns "churn, one-shot, workers come and go" --guests --how oneshot --stored
churns "churn, one-shot, armed, taken out and added by a thread that waits nowhere" --how oneshot --helper
# The first fork ends the moving.
NO_MOVES=1 churns "churn, forks" --forks

done_testing
