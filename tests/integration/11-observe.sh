#!/bin/bash
# The observer against servers that say themselves which thread serves which connection.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

world_up

# Connections whose server told which thread serves them: "REMOTE PID TID" in $WORLD_DIR/NAME.asked.
ask() { # NAME PORT COUNT
	mkfifo "$WORLD_DIR/$1.in"
	: >"$WORLD_DIR/$1.asked"
	ip netns exec "$CLIENT" python3 "$BENCH_ROOT/tests/lib/ask.py" "$DUT4" "$2" "$3" <>"$WORLD_DIR/$1.in" \
		>"$WORLD_DIR/$1.asked" &
	disown
	wait_until 20 grep -qx held "$WORLD_DIR/$1.asked" || bench_die "$1: no answers"
}

try() { # KIND PORT COUNT
	spawn_dut "$1" python3 "$BENCH_ROOT/tests/lib/servers.py" "$1" "$2" 0 1
	server=$SPAWNED
	[ "$1" = epoll ] && epoll_server=$server
	wait_port dut "$2"
	ask "$@"
	observe --list --listen "$2" "$server" >"$WORLD_DIR/$1.list"
	observe --json --listen "$2" "$server" >"$WORLD_DIR/$1.json"
	awk '$4 == "accepted" { print $6, $1, $2 }' "$WORLD_DIR/$1.list" | sort >"$WORLD_DIR/$1.seen"
}

truth() { grep -v '^held' "$WORLD_DIR/$1.asked" | sort; }

port=8100
for kind in epoll nested poll select block fork; do
	try "$kind" $((port += 1)) 40
	is "$(diff <(truth "$kind") "$WORLD_DIR/$kind.seen" && wc -l <"$WORLD_DIR/$kind.seen")" 40 \
		"$kind: the thread of each of 40 connections is found"
	# Its own verdicts, worked out again from the list.
	is "$(jq -c '[.aligned, .misaligned, .unknown]' "$WORLD_DIR/$kind.json")" \
		"$(awk '$4 == "accepted" { n[$7 == $8]++ } END { printf "[%d,%d,0]", n[1], n[0] }' \
			"$WORLD_DIR/$kind.list")" "$kind: aligned where packet and thread CPU are the same"
done
between "$(jq .share "$WORLD_DIR/epoll.json")" 10 90 "connections dealt out in turn are not all aligned"

# Where CPU 1 has no queue, the thread pinned to it is no home.
is "$("$BUILD/observe" --cpus 0,2 --json "$epoll_server" | jq -c '[.total, .aligned + .misaligned, .unpinned]')" \
	"[40,20,20]" "a thread pinned to a CPU without a queue counts as unpinned"

try shared $((port += 1)) 40
is "$(jq -c '[.total, .aligned, .unknown]' "$WORLD_DIR/shared.json")" "[40,0,40]" \
	"an epoll instance that two threads wait on is nobody's"

is "$(observe --json "$server" | jq -c '[.accepted.total, .upstream.total]')" "[40,0]" \
	"connections on a port somebody listens on are accepted ones"

spawn_dut unpinned python3 "$BENCH_ROOT/tests/lib/servers.py" fork $((port += 1)) 0
server=$SPAWNED
wait_port dut $port
ask unpinned $port 20
taskset -apc 0,1 "$server" >/dev/null
is "$(observe --json "$server" | jq -c '[.total, .aligned, .unpinned]')" "[20,0,20]" \
	"an unpinned thread is never counted as aligned"
ok "no such process is an error" bash -c '! "$1" 4194303 >/dev/null 2>&1' - "$BUILD/observe"
done_testing
