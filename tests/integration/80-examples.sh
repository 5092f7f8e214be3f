#!/bin/bash
# The programs of examples/, which link the library: alignment by the public interface alone, with the
# shim's own steering off.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"

cd "$BENCH_ROOT" || exit 1
unset "${!RSSSHIM_@}" LD_PRELOAD MAKEFLAGS
export RSSSHIM_DISABLE=1
ok "make examples" make -s BUILD="$BUILD" examples
for source in examples/*.c; do
	between "$(wc -l <"$source")" 1 149 "$source has under 150 lines"
	ok "$source is built" test -x "$BUILD/examples/$(basename "$source" .c)"
done

# --- the systemd drop-in, on the distribution's unit
UNITS=$(mktemp -d)
at_exit rm -rf "$UNITS"
drop_in() {
	mkdir "$UNITS/nginx.service.d"
	cp /lib/systemd/system/nginx.service "$UNITS"
	cp examples/nginx-rssshim.conf "$UNITS/nginx.service.d/rssshim.conf"
	SYSTEMD_UNIT_PATH=$UNITS: systemd-analyze verify nginx.service 2>&1
}
if ! command -v systemd-analyze >/dev/null; then
	skip "systemd takes the drop-in" "no systemd-analyze here"
elif [ ! -e /lib/systemd/system/nginx.service ]; then
	skip "systemd takes the drop-in" "nginx has no unit here"
else
	is "$(drop_in)" "" "systemd takes the drop-in"
fi
is "$(sed -n 's/^Environment=LD_PRELOAD=//p' examples/nginx-rssshim.conf)" \
	"$(make -s -n install | sed -n 's|.*"\(/.*/librssshim.so\)".*|\1|p' | head -1)" \
	"the drop-in preloads what make install installs"

why=$(bench_lacks) && skip "the examples on a NIC" "$why" && done_testing

# --- the plan: what it says of a NIC, and the thread of each connection
world_up key="$MICROSOFT_KEY" table="0 1 1 0 2 2 1 0" queue_cpus="0 1 0"
world_conf >"$WORLD_DIR/policy.ini"

flows() {
	local i
	for i in $(seq 40); do
		echo "10.99.0.$((2 + i % 4)) $((20000 + 7 * i)) $DUT4 80"
		echo "fd99::$((2 + i % 4)) $((30000 + 13 * i)) $DUT6 80"
	done
}
plan=$(flows | in_dut "$BUILD/examples/plan" -k 3 -c "$WORLD_DIR/policy.ini" rss0)
like "$plan" 'rss0: 3 receive .* a table of 8' "plan: queues and table"
like "$plan" 'queue 1: receives on CPU 1' "plan: the CPU of a queue"
like "$plan" 'pool 2: threads 6 to 8, to run on CPU 0' "plan: a pool of three threads a queue"

# The queue of each flow as the independent implementation has it; within a pool threads take turns.
expected() {
	local remote port local_ip local_port place queue turn=(0 0 0) address
	while read -r remote port local_ip local_port; do
		address=$local_ip
		[[ $remote == *:* ]] && remote="[$remote]" address="[$local_ip]"
		place=$("$BUILD/rssshim" hash --key "$MICROSOFT_KEY" --remote "$remote:$port" \
			--local "$address:$local_port")
		queue=$(set -- 0 1 1 0 2 2 1 0 && shift $((place & 7)) && echo "$1")
		echo "thread $((3 * queue + turn[queue]++ % 3)) on CPU $((queue == 1))"
	done
}
is "$(sed -n 's/.*: \(thread [0-9]* on CPU [0-9]*\)$/\1/p' <<<"$plan")" "$(flows | expected)" \
	"plan: the thread of each of 80 connections"
like "$(in_dut "$BUILD/examples/plan" lo </dev/null)" 'not spread: packets arrive on the CPU of the sender' \
	"plan: why connections over lo are not spread"
sed /^queue_cpus/d "$WORLD_DIR/policy.ini" >"$WORLD_DIR/unknown.ini"
like "$(in_dut "$BUILD/examples/plan" -c "$WORLD_DIR/unknown.ini" rss0 </dev/null)" \
	'pool 0: threads 0 to 1, to run on any CPU' "plan: a queue whose CPU nobody tells"
world_down

# --- the servers
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
upstream=${UPSTREAM4%%,*}
# First of all, while no connection of the clients has one of these ports.
head -c 8000000 /dev/urandom >"$WORLD_DIR/sent"
spawn_client upstream "$BUILD/examples/echo" 9000
spawn_client file socat "TCP-LISTEN:9001,fork,reuseaddr" "OPEN:$WORLD_DIR/sent,rdonly"
wait_port client 9000
wait_port client 9001
spawn_dut echo "$BUILD/examples/echo" 7000
ECHO=$SPAWNED
wait_port dut 7000
wait_ready 2 "$ECHO"
for family in 4 6; do
	PORT=7000 all_aligned "echo, IPv$family: every line comes back, all aligned" $family 1000 "$ECHO" \
		--numbered --concurrency 64
done
stop_pid "$ECHO"

# Its workers are interchangeable: connections go where their packets do.
spawn_dut echo env -u RSSSHIM_DISABLE "RSSSHIM_CONF=$WORLD_DIR/policy.ini" RSSSHIM_MIGRATE_MODE=epoll \
	"$BUILD/examples/echo" 7003
ECHO=$SPAWNED
wait_port dut 7003
conns_hold --to "$DUT4:7003" --from "$CLIENT4" --count 500 --numbered >/dev/null
nic_set queue_cpus="1 0"
follows() {
	conns_again >"$WORLD_DIR/again"
	[ "$(observe --json --listen 7003 "$ECHO" | jq -c '[.aligned, .total]')" = "[500,500]" ]
}
ok "echo, mode = epoll: all follow their packets to the other CPU" wait_until 20 follows
is "$(jq -c '[.ok, .failed]' "$WORLD_DIR/again")" "[500,0]" "echo, mode = epoll: and are answered"
conns_release
nic_set queue_cpus="0 1"
stop_pid "$ECHO"

spawn_dut proxy "$BUILD/examples/proxy" 7001 "$upstream" 9000 "$WORLD_DIR/policy.ini"
PROXY=$SPAWNED
wait_port dut 7001
wait_ready 2 "$PROXY"
measure() {
	SERVED=$(conns_hold --to "$DUT4:7001" --from "$CLIENT4" --count 1000 --numbered | jq -c '[.ok, .failed]')
	LEGS=$(observe --json --listen 7001 --upstream 9000 "$PROXY" |
		jq -c '[.accepted, .upstream | .aligned, .total]')
	conns_release
	wait_until 20 no_legs
	[ "$SERVED $LEGS" = "[1000,0] [1000,1000,1000,1000]" ]
}
no_legs() { [ "$(observe --json --listen 7001 --upstream 9000 "$PROXY" | jq .total)" = 0 ]; }
despite_stalls measure
is "$SERVED" "[1000,0]" "proxy: every line comes back from the server"
is "$LEGS" "[1000,1000,1000,1000]" "proxy: clients and server legs aligned"
stop_pid "$PROXY"

# More than any buffer holds, from a server that speaks first, to a client that reads slowly.
spawn_dut proxy "$BUILD/examples/proxy" 7002 "$upstream" 9001 "$WORLD_DIR/policy.ini"
wait_port dut 7002
in_client timeout 20 socat -u "TCP:$DUT4:7002" - | (sleep 0.5 && cat) >"$WORLD_DIR/got"
ok "proxy: eight megabytes arrive as sent" cmp "$WORLD_DIR/sent" "$WORLD_DIR/got"

done_testing
