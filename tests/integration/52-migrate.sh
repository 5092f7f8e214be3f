#!/usr/bin/env bash
# timeout: 240
# [migrate] mode = epoll: connections move to the epoll instance of their packets' CPU, when they are
# registered and when their packets move; and nothing is lost, doubled or given to two threads.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

# Usage: 52-migrate.sh [WORD]: only what has that word in its name.
ONLY=${1:-}
SECONDS_OF_CHURN=${CHURN:-4}
PORT=8080 HELD=${HELD:-2000}
world_up clients=4
# Listeners are left alone: whichever worker wakes up first takes a connection.
{
	printf '[listen]\nsteer = no\n[migrate]\nmode = epoll\n'
	world_conf
} >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")

is_chosen() { [[ $1 == *"$ONLY"* ]]; }

pool_up() { # COMMAND [ARG]... ending in the pool's options
	: >"$WORLD_DIR/pool.log"
	spawn_dut pool "$@"
	POOL=$SPAWNED
	wait_port dut $PORT
	sleep 0.5
}

# pool_down NAME: everything was closed, and nothing went wrong.
pool_down() {
	wait_until 10 pool_is_idle || diag "connections stay open"
	is "$(pool_sockets)" 1 "$1: no descriptor is left but the listener"
	kill "$POOL"
	wait_until 10 bench_gone "$POOL" || bench_die "the pool does not end"
	is "$(grep -v '^{' "$WORLD_DIR/pool.log" | head -5)" "" "$1: the workers saw nothing wrong"
	is "$(sed -n 's/^{//p' "$WORLD_DIR/pool.log" | jq -Rc '"{" + . | fromjson | [.accepted == .closed, .wrong]')" \
		"[true,0]" "$1: each connection was closed once"
}
pool_sockets() { ls -l "/proc/$POOL/fd" | awk '/socket:/ && $9 < 1000' | wc -l; }
pool_is_idle() { [ "$(pool_sockets)" -le 1 ]; }

moved() { "$BUILD/rssshim" stat --json "$POOL" | jq .migrate.moved; }
is_aligned() { [ "$(aligned)" = "$HELD" ]; }
aligned() { observe --json --listen $PORT "$POOL" | jq .aligned; }

# Held connections, one exchange each: where they are registered. Then their packets move.
follows() { # NAME POOL-OPTION...
	local name=$1 counts
	is_chosen "$name" || return
	shift
	pool_up "${SHIM[@]}" "$BUILD/pool" --port $PORT --cpus "0 1" "$@"
	counts=$(conns_hold --to "$DUT4:$PORT" --from "$CLIENT4" --count $HELD --numbered --concurrency 8)
	is "$(jq '[.ok, .failed]' -c <<<"$counts")" "[$HELD,0]" "$name: all answered"
	wait_until 5 is_aligned
	is "$(aligned)" $HELD "$name: all served where their packets arrive"
	nic_set queue_cpus="1 0"
	# What brings no packet has not moved as far as anybody can tell.
	for _ in {1..40}; do
		counts=$(conns_again)
		is_aligned && break
	done
	is "$(aligned)" $HELD "$name: all follow their packets"
	is "$(jq '[.ok, .failed]' -c <<<"$counts")" "[$HELD,0]" "$name: and are answered"
	conns_release
	nic_set queue_cpus="0 1"
	pool_down "$name"
}

# Connections opened, used and closed, and the buckets given to the other CPU every 100 ms meanwhile.
churns() { # NAME SECONDS COMMAND...
	local name=$1 seconds=$2 counts pid i=0
	is_chosen "$name" || return
	shift 2
	pool_up "$@"
	in_client "$BUILD/conns" --to "$DUT4:$PORT" --from "$CLIENT4" --churn "$seconds" --requests 40 \
		--concurrency 128 --numbered --timeout 20 >"$WORLD_DIR/churn.json" &
	pid=$!
	while ! bench_gone $pid; do
		((i++ % 2)) && nic_set queue_cpus="0 1" || nic_set queue_cpus="1 0"
		sleep 0.1
	done
	nic_set queue_cpus="0 1"
	counts=$(cat "$WORLD_DIR/churn.json")
	is "$(jq '[.failed, .stale]' -c <<<"$counts")" "[0,0]" "$name: every byte came back"
	diag "$name: $(jq .opened <<<"$counts") connections, $(jq .exchanges <<<"$counts") exchanges," \
		"$(moved) moves, $i tables"
	MOVED=$(moved)
	pool_down "$name"
}

churns_and_moves() { # NAME COMMAND...
	is_chosen "$1" || return
	churns "$1" "$SECONDS_OF_CHURN" "${@:2}"
	between "$MOVED" 10 1000000000 "$1: connections did move"
}

follows "a listener in each worker" --how level
follows "edge-triggered" --how edge
follows "one-shot" --how oneshot
follows "a thread that deals out" --how level --dealer

for how in level edge oneshot; do
	churns_and_moves "churn, $how" "${SHIM[@]}" "$BUILD/pool" --port $PORT --cpus "0 1" --how $how
done
churns_and_moves "churn, taken out and added again" \
	"${SHIM[@]}" "$BUILD/pool" --port $PORT --cpus "0 1" --how edge --readds
churns_and_moves "churn, dealt out" "${SHIM[@]}" "$BUILD/pool" --port $PORT --cpus "0 1" --dealer

done_testing
