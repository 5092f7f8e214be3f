#!/usr/bin/env bash
# timeout: 200
# More workers than queues, more queues than workers, a group that is the application's own, and how
# many sockets and descriptors the policy lets a listener have.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
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
	local name=$1 workers=$2
	despite_stalls measure "$3" "$4"
	is "$SERVED" "[$COUNT,0]" "$name: all served"
	is "$ALIGNED" "[$COUNT,$COUNT]" "$name: all where their packets arrive"
	[ "$workers" = 0 ] || is "$SERVING" "$workers" "$name: every worker has some"
}
measure() { # EXCHANGE PID
	# shellcheck disable=SC2086
	SERVED=$(conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count "$COUNT" --concurrency 8 $1 |
		jq -c '[.ok, .failed]')
	ALIGNED=$(observe --json --listen 8080 "$2" | jq -c '[.aligned, .total]')
	SERVING=$(observe --listen 8080 --list "$2" | awk 'NF == 9 && !/^#/ { print $1 "/" $2 }' |
		sort -u | wc -l)
	conns_release
	[ "$workers" = 0 ] || [ "$workers" = "$SERVING" ] || return
	[ "$SERVED $ALIGNED" = "[$COUNT,0] [$COUNT,$COUNT]" ]
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
wait_until 20 is_free

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

# sockets VARIABLE=VALUE...: how many sockets listen beside each other for one listener. CPUs that
# are listed have one each, whether they are here or not.
sockets() {
	spawn_dut serve taskset -c 0,1 "${SHIM[@]}" "$@" "$BUILD/serve" --port 8080 --cpus "0 1"
	wait_port dut 8080
	wait_ready 2 "$SPAWNED"
	in_dut ss -Hltn "sport = :8080" | wc -l
	stop_pid "$SPAWNED"
	wait_free dut 8080
}
is "$(sockets)" 3 "a listener has a member for each CPU"
is "$(sockets RSSSHIM_LISTEN_BUCKETS=0-3)" 5 "listen.buckets: for each that is listed"
is "$(sockets RSSSHIM_LISTEN_BUCKETS=1)" 1 "listen.buckets: with one there is nothing to choose"
is "$(sockets RSSSHIM_LISTEN_BUCKETS=0-3 RSSSHIM_LISTEN_MEMBERS=2)" 3 "listen.members bounds them"
is "$(sockets RSSSHIM_LISTEN_PORTS="80 8081-8099")" 1 "listen.ports: others are left alone"
is "$(sockets RSSSHIM_LISTEN_PORTS="80 8000-8099")" 3 "listen.ports: those that are listed are not"
is "$(sockets RSSSHIM_LISTEN_STEER=no)" 1 "listen.steer = no: none is steered"
is "$(sockets RSSSHIM_SHIM_ENABLED=observe)" 1 "shim.enabled = observe: nothing is touched"

# descriptors LISTENERS COMMAND...: of a process that has so many, started by that command.
descriptors() {
	local count=$1
	shift
	in_dut taskset -c 0,1 "$@" python3 -c 'import os, socket, sys
listeners = [socket.create_server(("", 9100 + i)) for i in range(int(sys.argv[1]))]
print(len(os.listdir("/proc/self/fd")))' "$count"
}
# each COMMAND...: of ten listeners.
each() { echo $(($(descriptors 11 "$@") - $(descriptors 1 "$@"))); }
is "$(each)" 10 "without the shim a listener costs a descriptor"
is "$(each "${SHIM[@]}")" $((10 * (1 + 2 + 2))) "with two members and two more, as README says"
is "$(each "${SHIM[@]}" RSSSHIM_LISTEN_BUCKETS=0-3)" $((10 * (1 + 4 + 2))) "with four members likewise"
is "$(each "$BUILD/refuse" cbpf incoming-cpu -- "${SHIM[@]}" RSSSHIM_SHIM_LOG=error)" \
	$((10 * (1 + 2 * 2 + 2))) "where no group can be had, twice as many"
between $(($(descriptors 1 "${SHIM[@]}") - $(descriptors 1) - 4)) 7 11 "and a process 7 to 11"

done_testing
