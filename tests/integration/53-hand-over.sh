#!/usr/bin/env bash
# timeout: 500
# Listeners that the kernel lets nobody group, as another user made them: what is accepted on the
# wrong CPU is handed over, between processes and between threads, and surfaces where it belongs.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
. "$(dirname "$0")/../lib/pool.sh"
why=$(bench_lacks) && skip_all "$why"

# Usage: 53-hand-over.sh [WORD]: only what has that word in its name.
ONLY=${1:-}
COUNT=${COUNT:-2000}
PORT=8080 NOBODY=65534
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
# That user must be able to read what it runs, and to write its files.
cp "$BUILD/serve" "$BUILD/pool" "$BUILD/librssshim.so" "$WORLD_DIR"
SHIM=(env "LD_PRELOAD=$WORLD_DIR/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
PASS=(env PASS_AS_USER=$NOBODY python3 "$BENCH_ROOT/tests/lib/pass_listener.py")

is_chosen() { [[ $1 == *"$ONLY"* ]]; }
give_files() { chown -R $NOBODY "$WORLD_DIR"; }

is_all_aligned() { [ "$(observe --json --listen $PORT "$1" | jq .aligned)" = "$COUNT" ]; }

# judge NAME FAMILY EXCHANGE PID: connections, one after another; each is served on its CPU.
judge() {
	# shellcheck disable=SC2086
	all_aligned "$1, IPv$2: all served, on the CPU of their packets" "$2" "$COUNT" "$4" $3
}

# told NAME FAMILY: the server says which address accept() gave it for each connection.
told() {
	local to=$DUT4 from=$CLIENT4
	[ "$2" = 4 ] || to=$DUT6 from=$CLIENT6
	is "$(in_client python3 "$BENCH_ROOT/tests/lib/told_address.py" "$to" $PORT "$from" 500)" \
		'{"ok": 500, "wrong": []}' "$1, IPv$2: each is served with its own address"
}

# handed_over PID NAME: by the shim's own count.
handed_over() {
	between "$("$BUILD/rssshim" stat --json "$1" | jq .migrate.handed_over)" $((COUNT / 20)) \
		$((COUNT * ROUNDS)) \
		"$2: a good part of them were handed over"
}

nginx_way() {
	local family name="nginx" pid
	is_chosen "$name" || return
	for family in 4 6; do
		nginx_conf workers=2 port=$PORT location='return 200 "$remote_addr:$remote_port\n";'
		give_files
		# So nginx itself passes listeners on; it stays in the foreground then.
		spawn_dut nginx env PASS_NONBLOCK=1 "${PASS[@]}" $family $PORT "${SHIM[@]}" "NGINX=3;" \
			"$(command -v nginx)" -c "$NGINX_CONF" -e "$WORLD_DIR/nginx.error.log"
		pid=$SPAWNED
		wait_port dut $PORT
		wait_ready 2 "$pid"
		judge "$name" $family "--request /" "$pid"
		handed_over "$pid" "$name, IPv$family"
		told "$name" $family
		stop_pid "$pid" QUIT
	done
}

# Workers come and go while connections are handed over, and one of two CPUs has none meanwhile: what
# waits in its mailbox is for the other.
reload_way() {
	local name="nginx reloads" pid counts workers
	is_chosen "$name" || return
	nginx_conf workers=2 port=$PORT
	give_files
	spawn_dut nginx env PASS_NONBLOCK=1 "${PASS[@]}" 4 $PORT "${SHIM[@]}" "NGINX=3;" \
		"$(command -v nginx)" -c "$NGINX_CONF" -e "$WORLD_DIR/nginx.error.log"
	pid=$SPAWNED
	wait_port dut $PORT
	wait_ready 2 "$pid"
	churn_up --request / --timeout 20
	for workers in 1 2 1 2 1; do
		sleep 0.6
		nginx_conf workers=$workers port=$PORT
		kill -HUP "$pid"
	done
	counts=$(churned)
	is "$(jq .failed <<<"$counts")" 0 "$name: no connection is lost"
	between "$("$BUILD/rssshim" stat --json "$pid" | jq .migrate.handed_over)" 20 \
		"$(jq .opened <<<"$counts")" "$name: while connections are handed over"
	stop_pid "$pid" QUIT
}

haproxy_way() {
	local family name="HAProxy, one listener in two threads"
	is_chosen "$name" || return
	cat >"$WORLD_DIR/haproxy.cfg" <<-EOF
		global
		  nbthread 2
		  cpu-map auto:1/1-2 0-1
		  tune.listener.multi-queue off
		  maxconn 4000
		defaults
		  mode http
		  timeout client 60s
		  timeout http-keep-alive 60s
		frontend f
		  bind fd@3
		  http-request return status 200 content-type text/plain lf-string "%ci:%cp\n"
	EOF
	give_files
	for family in 4 6; do
		spawn_dut haproxy "${PASS[@]}" $family $PORT "${SHIM[@]}" haproxy -f "$WORLD_DIR/haproxy.cfg"
		local pid=$SPAWNED
		wait_port dut $PORT
		wait_ready 2 "$pid"
		judge "$name" $family "--request /" "$pid"
		handed_over "$pid" "$name, IPv$family"
		told "$name" $family
		stop_pid "$pid"
	done
}

serve_up() { # FAMILY SERVE-OPTION...
	local family=$1
	shift
	spawn_dut serve "${PASS[@]}" "$family" $PORT "${SHIM[@]}" "$WORLD_DIR/serve" --port $PORT \
		--cpus "0 1" --passed 3 "$@"
	SERVE=$SPAWNED
	wait_port dut $PORT
	wait_ready 2 "$SERVE"
}
serve_down() {
	local pid pids
	pids="$SERVE $(pgrep -P "$SERVE")"
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null
	for pid in $pids; do wait_until 20 bench_gone "$pid"; done
}

serve_way() { # NAME SERVE-OPTION...
	local family name=$1
	is_chosen "$name" || return
	shift
	for family in 4 6; do
		serve_up $family "$@"
		judge "$name" $family --numbered "$SERVE"
		serve_down
	done
}

# One thread accepts, and whoever it deals to: then it is in the epoll instances that it must be
# brought to its CPU.
dealer_way() {
	local family name="a single acceptor, mode = epoll" counts to=$DUT4:$PORT from=$CLIENT4
	is_chosen "$name" || return
	for family in 4 6; do
		[ $family = 4 ] || to="[$DUT6]:$PORT" from=$CLIENT6
		pool_up "${PASS[@]}" $family $PORT "${SHIM[@]}" RSSSHIM_MIGRATE_MODE=epoll \
			"$WORLD_DIR/pool" --port $PORT --cpus "0 1" --passed 3 --dealer
		# They move after they were accepted; the first few wait for workers to know their homes.
		counts=$(conns_hold --to "$to" --from "$from" --count "$COUNT" --concurrency 1 --numbered)
		is "$(jq '[.ok, .failed]' -c <<<"$counts")" "[$COUNT,0]" "$name, IPv$family: all served"
		ok "$name, IPv$family: all come to the CPU of their packets" wait_until 20 is_all_aligned "$POOL"
		conns_release
		pool_down "$name, IPv$family"
	done
}

churn_up() { # OPTION...: in the background, until churned
	in_client "$BUILD/conns" --to "$DUT4:$PORT" --from "$CLIENT4" --churn 4 --concurrency 64 \
		"$@" >"$WORLD_DIR/churn.json" &
	CHURN=$!
}
churned() {
	wait_until 30 bench_gone $CHURN
	cat "$WORLD_DIR/churn.json"
}
# Its connections, among the numbers that an application gets.
held_by() { # PID
	find "/proc/$1/fd" -lname 'socket:*' -regex '.*/[0-9][0-9]?[0-9]?' | wc -l
}

# served_afterwards NAME: and nothing waits for who is gone.
served_afterwards() {
	local counts
	counts=$(conns_hold --to "$DUT4:$PORT" --from "$CLIENT4" --count 300 --numbered)
	is "$(jq '[.ok, .failed]' -c <<<"$counts")" "[300,0]" "$1: and so are all that come after"
	conns_release
}

# A worker is killed while connections are handed to it and by it: what it held is lost, and nothing
# else; what waited in its mailbox is served by the other.
killed_way() {
	local name="a worker is killed" counts victim held
	is_chosen "$name" || return
	serve_up 4 --wait epoll
	churn_up --requests 2 --numbered
	sleep 1
	victim=$(pgrep -P "$SERVE" | head -1)
	kill -STOP "$victim"
	held=$(($(held_by "$victim") - 1))
	kill -9 "$victim"
	counts=$(churned)
	is "$(jq '[.refused, .timeout, .bad, .local]' -c <<<"$counts")" "[0,0,0,0]" \
		"$name: none is refused, left waiting or given a wrong answer"
	between "$(jq '.reset + .short + .stale' <<<"$counts")" 0 "$held" "$name: only what it held is lost"
	between "$(jq .ok <<<"$counts")" 500 100000000 "$name: the others are served"
	served_afterwards "$name"
	serve_down
}

# A thread ends in the middle; what it held stays open in its process, and nobody answers.
ended_way() {
	local name="a thread ends" counts
	is_chosen "$name" || return
	serve_up 4 --threads --wait epoll --end-after 300
	churn_up --requests 2 --numbered --timeout 2
	counts=$(churned)
	is "$(jq '[.refused, .reset, .short, .bad, .local]' -c <<<"$counts")" "[0,0,0,0,0]" \
		"$name: none is refused, closed or given a wrong answer"
	between "$(jq .timeout <<<"$counts")" 0 "$(held_by "$SERVE")" "$name: only what it held is left waiting"
	between "$(jq .ok <<<"$counts")" 500 100000000 "$name: the others are served"
	served_afterwards "$name"
	serve_down
}

# Workers with a listener each, which blocks: what epoll told one of them of is his, or he would wait
# in accept() for the next while his other connections want answers.
blocking_way() {
	local name="listeners that block, waited for by epoll" counts
	is_chosen "$name" || return
	spawn_dut serve "$BUILD/refuse" cbpf incoming-cpu -- "${SHIM[@]}" "$WORLD_DIR/serve" --port $PORT \
		--cpus "0 1" --own --blocking
	SERVE=$SPAWNED
	wait_port dut $PORT
	wait_ready 2 "$SERVE"
	counts=$(in_client "$BUILD/conns" --to "$DUT4:$PORT" --from "$CLIENT4" --churn 2 --requests 20 \
		--concurrency 4 --numbered)
	is "$(jq '[.failed, .stale]' -c <<<"$counts")" "[0,0]" "$name: none waits"
	serve_down
}

nginx_way
reload_way
haproxy_way
serve_way "threads with epoll" --threads
serve_way "processes with epoll" --wait epoll
serve_way "processes that block in accept()" --wait accept
dealer_way
COUNT=400
for wait in edge oneshot exclusive nested poll select; do
	serve_way "threads with $wait" --threads --wait $wait
done
killed_way
ended_way
blocking_way

done_testing
