#!/usr/bin/env bash
# What a hand-over costs against serving a connection on the wrong CPU, and what stealing does to
# throughput and latency where the load is uneven. Two servers run all the time, one with and one
# without; rounds of load take turns between them; printed are medians of the rounds' ratios.
#
#	tests/bench/migrate.sh [PAIRS [WORD]]: only the loads with that word in their names
. "$(dirname "$0")/../lib/bench.sh"

PAIRS=${1:-7} ONLY=${2:-} SECONDS_EACH=2
why=$(bench_lacks) && { echo "migrate: skipped: $why" && exit 0; }
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
cp "$BUILD/serve" "$BUILD/pool" "$BUILD/librssshim.so" "$WORLD_DIR"
SHIM=(env "LD_PRELOAD=$WORLD_DIR/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
PASS=(env PASS_AS_USER=65534 python3 "$BENCH_ROOT/tests/lib/pass_listener.py" 4)

median() { sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
column() { awk "{ print $1 }" "$WORLD_DIR/pairs" | median; }
spread() { awk "{ print $1 }" "$WORLD_DIR/pairs" | sort -n | sed -n '1p;$p' | paste -sd ' '; }

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

# paired WITHOUT WITH: both, each goes first every other time, a line a pair.
paired() {
	local pair plain shim
	: >"$WORLD_DIR/pairs"
	for ((pair = 0; pair < PAIRS; pair++)); do
		if ((pair % 2)); then
			plain=$($1) && shim=$($2) || bench_die "a run failed"
		else
			shim=$($2) && plain=$($1) || bench_die "a run failed"
		fi
		echo "$plain $shim" >>"$WORLD_DIR/pairs"
	done
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
		paired without with
		printf '%-24s %9d ns %9d ns %8.3f  %s\n' $exchanges "$(column '$1')" "$(column '$2')" \
			"$(column '$2 / $1')" "$(spread '$2 / $1')"
	done
	stop_pid "$REMOTE"
	stop_pid "$HANDED"
}
[[ "hand-over" == *"$ONLY"* ]] && hand_over

# --- stealing ---------------------------------------------------------------------------------

nginx_conf workers=2 port=8080
nginx_up "${SHIM[@]}" RSSSHIM_BALANCE_STEAL=5
WITH=$NGINX_PID
nginx_conf workers=2 port=8083
sed -i "s|$WORLD_DIR/nginx.pid|$WORLD_DIR/plain.pid|" "$NGINX_CONF"
nginx_up_plain() {
	in_dut "$(command -v nginx)" -p "$WORLD_DIR" -c "$NGINX_CONF" -e "$WORLD_DIR/nginx.error.log"
	wait_port dut 8083
	WITHOUT=$(bench_pid_file "$WORLD_DIR/plain.pid")
	wait_ready 2 "$WITHOUT"
}
nginx_up_plain

# load PORT PID: "REQUESTS-A-SECOND P99-US", a connection a request; a worker stands still for a
# second where STUCK says so.
load() {
	local out worker
	out=$WORLD_DIR/wrk.$1
	in_client wrk -t1 -c64 -d$SECONDS_EACH --latency -H "Connection: close" "http://$DUT4:$1/" >"$out" &
	if [ "$STUCK" ]; then
		worker=$(pgrep -P "$2" | head -1)
		sleep 0.5
		kill -STOP "$worker"
		sleep 1
		kill -CONT "$worker"
	fi
	wait $!
	awk '/99%/ { v = $2; p = v + 0; if (v ~ /ms$/) p *= 1000; else if (v !~ /us$/) p *= 1000000 }
		/Requests\/sec/ { r = $2 } END { print r, p }' "$out"
}
echo
echo "[balance] steal = 5, $PAIRS pairs, 64 clients, a connection a request; ratio: with / without the shim"
printf '%-28s %12s %10s %22s %10s\n' load requests/s ratio "p99 (without, with)" ratio
for shape in "even" "a skewed table, 7 to 1" "one hot flow group" "a worker stuck for a second"; do
	[[ $shape == *"$ONLY"* ]] || continue
	STUCK=
	case $shape in
	even) nic_set table="equal 2" ;;
	*skewed*) nic_set table="0 0 0 0 0 0 0 1" ;;
	*hot*) nic_set table="0 0" ;;
	*) STUCK=yes && nic_set table="equal 2" ;;
	esac
	without() { load 8083 "$WITHOUT"; }
	with() { load 8080 "$WITH"; }
	paired without with
	printf '%-28s %12.0f %10.3f %10.1f %8.1f ms %10.3f\n' "$shape" "$(column '$3')" "$(column '$3 / $1')" \
		"$(column '$2 / 1000')" "$(column '$4 / 1000')" "$(column '$4 / $2')"
done
