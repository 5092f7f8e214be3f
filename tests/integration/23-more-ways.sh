#!/usr/bin/env bash
# timeout: 200
# More workers than queues, more queues than workers, and a group that is the application's own.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

LIB=$(cd "$(dirname "$0")/../lib" && pwd)
COUNT=${COUNT:-800}

# Three queues on two CPUs, unevenly.
world_up clients=4 table="equal 3" queue_cpus="0 1 1"
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")

# judge NAME WORKERS EXCHANGE PID: all aligned, and nobody starves. Threads are told apart by the
# epoll instance that the connection is in, processes by their id.
judge() {
	local name=$1 workers=$2 exchange=$3 pid=$4 counts serving
	# shellcheck disable=SC2086
	counts=$(conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count "$COUNT" --concurrency 8 $exchange)
	is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[$COUNT,0]" "$name: all served"
	is "$(observe --json --listen 8080 "$pid" | jq -c '[.aligned, .total]')" "[$COUNT,$COUNT]" \
		"$name: all where their packets arrive"
	serving=$(observe --listen 8080 --list "$pid" | awk 'NF == 9 && !/^#/ { print $1 "/" $2 }' |
		sort -u | wc -l)
	[ "$workers" = 0 ] || is "$serving" "$workers" "$name: every worker has some"
	conns_release
}

serve() { # NAME WORKERS OPTION...
	local name=$1 workers=$2
	shift 2
	spawn_dut serve "${SHIM[@]}" "$BUILD/serve" --port 8080 "$@"
	wait_port dut 8080
	wait_ready "$workers" "$SPAWNED"
	judge "$name" "$workers" --numbered "$SPAWNED"
	stop_pid "$SPAWNED"
}

nginx_conf workers=4 port=8080
nginx_up "${SHIM[@]}"
judge "nginx, four workers on two CPUs" 4 "--request /" "$NGINX_PID"
nginx_down

nginx_conf workers=4 port=8080 listen=reuseport
nginx_up "${SHIM[@]}"
judge "nginx reuseport, four workers on two CPUs" 4 "--request /" "$NGINX_PID"
nginx_down

cat >"$WORLD_DIR/haproxy.cfg" <<-EOF
	global
	  nbthread 4
	  cpu-map auto:1/1-2 0-1
	  cpu-map auto:1/3-4 0-1
	  tune.listener.multi-queue off
	  maxconn 4000
	defaults
	  mode http
	  timeout client 60s
	  timeout http-keep-alive 60s
	frontend f
	  bind :8080
	  http-request return status 200 content-type text/plain string hello
EOF
spawn_dut haproxy "${SHIM[@]}" haproxy -f "$WORLD_DIR/haproxy.cfg"
wait_port dut 8080
wait_ready 4 "$SPAWNED"
judge "HAProxy, four threads on two CPUs" 4 "--request /" "$SPAWNED"
stop_pid "$SPAWNED"
# Its first thread is gone before the others have closed what they share.
is_free() { ! bench_listens "$DUT" 8080; }
wait_until 5 is_free

for wait in epoll edge poll accept; do
	serve "four processes with $wait on two CPUs" 4 --cpus "0 1 0 1" --wait $wait
done
# More than the shim copies to the stack.
COUNT=2600 serve "two processes with poll on 1,300 descriptors each" 2 --cpus "0 1" --wait poll
serve "three threads on two CPUs" 0 --cpus "0 1 1" --threads

# A group of the application's own, which arrives unseen, stays as it is.
spawn_dut own python3 "$LIB/own_group.py" 8080 "${SHIM[@]}" python3 "$LIB/serve_two.py" \
	"$WORLD_DIR/counts"
wait_port dut 8080
wait_ready 1 "$SPAWNED"
counts=$(conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 200 --concurrency 1 --request /)
is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[200,0]" "the application's own group: all served"
is "$(cat "$WORLD_DIR/counts")" "0 200" "the application's own group: its own program chose"
is "$(in_dut ss -Hltn "sport = :8080" | wc -l)" 2 "the application's own group: nobody joined it"
conns_release
stop_pid "$SPAWNED"

done_testing
