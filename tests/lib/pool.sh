# shellcheck shell=bash
# The pool of interchangeable workers (tests/tools/pool.c) in a world: to be sourced after bench.sh
# and tap.sh, with PORT set and a world up.

# pool_up COMMAND [ARG]... ending in the pool's options
pool_up() {
	: >"$WORLD_DIR/pool.log"
	spawn_dut pool "$@"
	POOL=$SPAWNED
	wait_port dut "$PORT"
}

# pool_down NAME: everything was closed, and nothing went wrong.
pool_down() {
	wait_until 20 pool_is_idle || diag "connections stay open"
	is "$(pool_sockets)" 1 "$1: no descriptor is left but the listener"
	kill "$POOL"
	wait_until 20 bench_gone "$POOL" || bench_die "the pool does not end"
	is "$(grep -v -e '^{' -e '^rssshim' "$WORLD_DIR/pool.log" | head -20)" "" "$1: the workers saw nothing wrong"
	is "$(grep '^{' "$WORLD_DIR/pool.log" | jq -c '[.accepted == .closed, .wrong]')" "[true,0]" \
		"$1: each connection was closed once"
}
# The application's: the shim's own have high numbers.
pool_sockets() { find "/proc/$POOL/fd" -lname 'socket:*' -regex '.*/[0-9][0-9]?[0-9]?' 2>/dev/null | wc -l; }
pool_is_idle() { [ "$(pool_sockets)" -le 1 ]; }
pool_moved() { "$BUILD/rssshim" stat --json "$POOL" | jq .migrate.moved; }

CROWD=128

# With each table all connections there are belong to the other worker. That a fifth has moved before
# the next table comes is little, but the machine may be busy.
pool_has_moved() { # NAME
	between "$MOVED" $((TABLES * CROWD / 5)) 1000000000 "$1: connections did move"
}

# pool_churn NAME SECONDS COMMAND...: connections opened, used and closed, and the buckets given to
# the other CPU every 100 ms meanwhile.
pool_churn() {
	local name=$1 seconds=$2 counts pid i=0
	shift 2
	pool_up "$@"
	in_client "$BUILD/conns" --to "$DUT4:$PORT" --from "$CLIENT4" --churn "$seconds" --requests 40 \
		--concurrency $CROWD --numbered --timeout 20 >"$WORLD_DIR/churn.json" &
	pid=$!
	while ! bench_gone $pid; do
		if ((i++ % 2)); then nic_set queue_cpus="0 1"; else nic_set queue_cpus="1 0"; fi
		sleep 0.1
	done
	nic_set queue_cpus="0 1"
	counts=$(cat "$WORLD_DIR/churn.json")
	is "$(jq '[.failed, .stale]' -c <<<"$counts")" "[0,0]" "$name: every byte came back"
	MOVED=$(pool_moved) TABLES=$i
	diag "$name: $(jq .opened <<<"$counts") connections, $(jq .exchanges <<<"$counts") exchanges," \
		"$MOVED moves, $i tables"
	pool_down "$name"
}
