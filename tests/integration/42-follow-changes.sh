#!/bin/bash
# timeout: 120
# Routes, source addresses and links that change under a running process, with and without the
# kernel's announcements; and workers that begin after a change which their parent never saw.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

LIB=$BENCH_ROOT/tests/lib
world_up upstreams=2
world_conf >"$WORLD_DIR/policy.ini"
IFS=, read -ra UP4 <<<"$UPSTREAM4"
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 "${UP4[@]}"
wait_port client 9000
in_dut ip addr add 10.99.0.79/24 dev rss0

# start COMMAND...: a process that connects in batches, started by it
start() {
	rm -f "$WORLD_DIR/batches.in"
	mkfifo "$WORLD_DIR/batches.in"
	: >"$WORLD_DIR/batches.log"
	exec 7<>"$WORLD_DIR/batches.in"
	spawn_dut batches "$@" taskset -c 1 env LD_PRELOAD="$BUILD/librssshim.so" \
		RSSSHIM_CONF="$WORLD_DIR/policy.ini" RSSSHIM_SHIM_LOG_FILE="$WORLD_DIR/batches.said" \
		sh -c "exec python3 $LIB/batches.py ${UP4[0]} 9000 <$WORLD_DIR/batches.in"
}
batch() { # COUNT: leaves how many were aligned in RIGHT
	local lines
	lines=$(wc -l <"$WORLD_DIR/batches.log")
	echo "$1" >&7
	wait_until 60 eval "((\$(wc -l <$WORLD_DIR/batches.log) > $lines))"
	RIGHT=$(tail -1 "$WORLD_DIR/batches.log")
}
# followed HOW SECONDS: the process has that long to notice, and is judged at once then
# (The addresses are such that each would be given the other CPU's ports.)
followed() {
	batch 200
	is "$RIGHT" 200 "$1: all are aligned"
	in_dut ip route replace "${UP4[0]}/32" dev rss0 src 10.99.0.79
	sleep "$2"
	batch 200
	is "$RIGHT" 200 "$1: another source address: all are"
	in_dut sh -c "ip link add link rss0 name mv0 type macvlan mode private && ip link set mv0 up &&
		ip addr add 10.99.0.82/32 dev mv0 && ip route replace ${UP4[0]}/32 dev mv0 src 10.99.0.82"
	sleep "$2"
	batch 200
	is "$RIGHT" 200 "$1: a link made meanwhile, and the route by it: all are"
	is "$(grep -c 'do not arrive' "$WORLD_DIR/batches.said")" 0 "$1: and the NIC was trusted throughout"
	stop_pid "$SPAWNED"
	exec 7>&-
	in_dut ip route del "${UP4[0]}/32"
	in_dut ip link del mv0
}
start env
followed "announced" 0.3
start "$BUILD/refuse" netlink --
followed "no netlink" 2.5
world_down

# Workers that begin go by the machine as it is, not as their master found it: it never looks again.
# RPS can be changed on a veth, and is announced by nobody.
world_up softnic=no
rps() { in_dut sh -c "echo $1 >/sys/class/net/rss0/queues/rx-0/rps_cpus"; }
rps 1
: >"$WORLD_DIR/empty.ini"
nginx_conf workers=2
nginx_up env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/empty.ini"
rps 3
old=$(pgrep -P "$NGINX_PID" | sort | head -1)
is_replaced() { ! kill -0 "$old" 2>/dev/null && bench_waits 2 "$NGINX_PID"; }
sleep 3
kill -HUP "$NGINX_PID"
wait_until 20 is_replaced || bench_die "no new workers"
all_aligned "new workers are aligned at once, though the machine changed since their master began" \
	4 200 "$NGINX_PID" --request /
nginx_down

done_testing
