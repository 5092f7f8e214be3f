#!/usr/bin/env bash
# What a hand-over costs against serving a connection on the wrong CPU, and what stealing does to
# throughput and latency where the load is uneven. Two servers run all the time, one with and one
# without; rounds of load take turns between them; printed are medians of the rounds' ratios.
#
#	tests/bench/migrate.sh [PAIRS [WORD]]: only the loads with that word in their names
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/uneven.sh"

PAIRS=${1:-7} ONLY=${2:-} SECONDS_EACH=2
why=$(bench_lacks) && { echo "migrate: skipped: $why" && exit 0; }
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
cp "$BUILD/serve" "$BUILD/pool" "$BUILD/librssshim.so" "$WORLD_DIR"
SHIM=(env "LD_PRELOAD=$WORLD_DIR/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
PASS=(env PASS_AS_USER=65534 python3 "$BENCH_ROOT/tests/lib/pass_listener.py" 4)

# busy_ns PID: CPU time of a process tree and of the receive threads so far.
busy_ns() {
	local pid sum=0 ran
	for pid in $(bench_tree "$1") $(nic_threads); do
		for task in /proc/"$pid"/task/*/schedstat; do
			read -r ran _ <"$task" 2>/dev/null && sum=$((sum + ran))
		done
	done
	echo $sum
}

# --- a hand-over, by the number of exchanges that follow it -----------------------------------

# exchange PORT PID EXCHANGES: nanoseconds of CPU an exchange, of server and receive threads.
exchange() {
	local before after counts
	before=$(busy_ns "$2")
	counts=$(in_client "$BUILD/conns" --to "$DUT4:$1" --from "$CLIENT4" --churn $SECONDS_EACH \
		--concurrency 32 --requests "$3" --numbered)
	after=$(busy_ns "$2")
	[ "$(jq .failed <<<"$counts")" = 0 ] || bench_die "connections failed: $counts"
	jq "($after - $before) / .exchanges | floor" <<<"$counts"
}

server_up() { # PORT COMMAND...
	local port=$1
	shift
	spawn_dut "server-$port" "$@"
	wait_port dut "$port"
	wait_ready 2 "$SPAWNED"
}

hand_over() {
	server_up 8081 "${PASS[@]}" 8081 "${SHIM[@]}" RSSSHIM_MIGRATE_MODE=off "$WORLD_DIR/serve" \
		--port 8081 --cpus "0 1" --passed 3
	REMOTE=$SPAWNED
	server_up 8082 "${PASS[@]}" 8082 "${SHIM[@]}" "$WORLD_DIR/serve" --port 8082 --cpus "0 1" --passed 3
	HANDED=$SPAWNED
	echo "Hand-over of accepted connections, $PAIRS pairs: CPU time of server and receive threads an exchange"
	printf '%-24s %12s %12s %8s  %s\n' "exchanges a connection" remote "handed over" ratio spread
	for exchanges in 1 2 4 16 64; do
		without() { exchange 8081 "$REMOTE" $exchanges; }
		with() { exchange 8082 "$HANDED" $exchanges; }
		paired "$PAIRS" without with
		printf '%-24s %9.0f ns %9.0f ns %8.3f  %s\n' $exchanges "$(column '$1')" "$(column '$2')" \
			"$(column '$2 / $1')" "$(spread '$2 / $1')"
	done
	stop_pid "$REMOTE"
	stop_pid "$HANDED"
}
[[ "hand-over" == *"$ONLY"* ]] && hand_over

# --- stealing ---------------------------------------------------------------------------------

uneven_up 5
echo
# moved: "ACCEPTED STOLEN STEERED" so far.
moved() {
	"$BUILD/rssshim" stat --json "$UNEVEN_SHIM" |
		jq -r '[.accept.member + .accept.drained + .balance.stolen, .balance.stolen, .balance.steered] | @tsv'
}
echo "[balance] steal = 5, $PAIRS pairs, 64 clients, a connection a request; ratio: with / without the shim"
printf '%-28s %12s %10s %22s %10s %8s %8s\n' load requests/s ratio "p99 (without, with)" ratio stolen steered
for shape in "${UNEVEN_SHAPES[@]}"; do
	[[ $shape == *"$ONLY"* ]] || continue
	uneven_shape "$shape"
	without() { uneven_load plain $SECONDS_EACH; }
	with() { uneven_load shim $SECONDS_EACH; }
	before=$(moved)
	paired "$PAIRS" without with
	printf '%-28s %12.0f %10.3f %10.1f %8.1f ms %10.3f %6.1f %% %6.1f %%\n' "$shape" "$(column '$3')" \
		"$(column '$3 / $1')" "$(column '$2 / 1000')" "$(column '$4 / 1000')" "$(column '$4 / $2')" \
		$(echo "$before $(moved)" | awk '{ n = ($4 - $1) / 100; print ($5 - $2) / n, ($6 - $3) / n }')
done
