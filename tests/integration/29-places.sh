#!/usr/bin/env bash
# timeout: 120
# One address in two places is two listeners: members are made where the listener is, and never
# where the thread that listens happens to be, or on another device.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

LIB=$(cd "$(dirname "$0")/../lib" && pwd)
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")

listening() { ip netns exec "$1" ss -Hltn "sport = :$2" | wc -l; }

# HAProxy makes the socket of such a line in that name space, and listens from its own.
cat >"$WORLD_DIR/haproxy.cfg" <<-EOF
	global
	  nbthread 2
	  cpu-map auto:1/1-2 0-1
	  tune.listener.multi-queue off
	defaults
	  mode http
	  timeout client 60s
	frontend f
	  bind :8080 namespace $CLIENT
	  bind :8081
	  http-request return status 200 content-type text/plain string hello
EOF
spawn_dut haproxy "${SHIM[@]}" haproxy -f "$WORLD_DIR/haproxy.cfg"
wait_port dut 8081
wait_port client 8080
wait_ready 2 "$SPAWNED"
is "$(listening "$DUT" 8080)" 0 "a listener of another name space has no members in this one"
is "$(listening "$CLIENT" 8080)" 1 "nor there"
is "$(listening "$DUT" 8081)" 3 "the listener beside it has its members"
is "$(grep -c "another network name space" "$WORLD_DIR/haproxy.log")" 1 "it is said once"
counts=$(in_client "$BUILD/conns" --to 127.0.0.1:8080 --count 50 --request /)
is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[50,0]" "it serves where it is"
ok "and its port can be had here" in_dut python3 -c 'import socket; socket.create_server(("", 8080))'
stop_pid "$SPAWNED"

spawn_dut devices "${SHIM[@]}" python3 "$LIB/two_devices.py" 8082 0 1
wait_port dut 8082
wait_ready 2 "$SPAWNED"
PORT=8082 all_aligned "what comes by one device is never given to the listener of another, and is aligned" \
	4 200 "$SPAWNED" --numbered
counts=$(in_dut "$BUILD/conns" --to 127.0.0.1:8082 --count 50 --numbered)
is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[50,0]" "nor the other way round"
stop_pid "$SPAWNED"

done_testing
