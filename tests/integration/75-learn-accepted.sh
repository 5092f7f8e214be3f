#!/usr/bin/env bash
# timeout: 400
# A server that only accepts learns, too, over which CPUs its connections are spread, and has them
# aligned: nothing is reported, no [nic] section, a random key. Once learned, connections cost it no
# system call more, whatever else comes along now and then; and where there is no memory to learn in,
# or no page left, none either.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

RSSSHIM=$BUILD/rssshim
random_key() { od -An -v -N40 -tx1 /dev/urandom | tr -d '\n' | sed 's/^ //; s/ /:/g'; }
world_up clients=4 key="$(random_key)"
diag "key $WORLD_KEY"
LOG=$WORLD_DIR/shim.log
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" RSSSHIM_SHIM_LOG=info "RSSSHIM_SHIM_LOG_FILE=$LOG")

up() { # COMMAND...
	rm -f "$LOG"
	nginx_conf workers=2 port=8080
	nginx_up "$@"
}
sessions() { # NAME COUNT: one after the other
	local counts
	counts=$(conns_hold --to "$TO" --from "$FROM" --count "$2" --concurrency 1 --request /)
	is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[$2,0]" "$1: $2 sessions served"
	conns_release
}
for family in 4 6; do
	up "${SHIM[@]}"
	TO=$DUT4:8080 FROM=$CLIENT4
	[ $family = 4 ] || TO="[$DUT6]:8080" FROM=$CLIENT6
	sessions "IPv$family" 200
	all_aligned "IPv$family: 1,000 more are aligned" $family 1000 "$NGINX_PID" --request /
	lesson=$(in_dut "$RSSSHIM" nic --json rss0)
	is "$(jq -c '[.spreads, .predictable_ipv4, .predictable_ipv6]' <<<"$lesson")" \
		"[true,false,false]" "IPv$family: connections are steered by CPU, ports are not chosen"
	is "$(jq -r .learned.ipv$family <<<"$lesson")" "spread by CPU, source ports not known" \
		"IPv$family: rssshim nic says so"
	nic_set key="$(random_key)"
	sessions "IPv$family, another key" 300
	all_aligned "IPv$family, another key: 1,000 more are aligned" $family 1000 "$NGINX_PID" --request /
	nginx_down
done

# --- system calls, once learned

# A second interface that may be learned, with hardly anything coming by it.
ip -n "$DUT" link add rare0 type veth peer name rare1 netns "$CLIENT"
ip -n "$DUT" addr add 10.98.0.1/24 dev rare0
ip -n "$CLIENT" addr add 10.98.0.2/24 dev rare1
ip -n "$DUT" link set rare0 up
ip -n "$CLIENT" link set rare1 up

traced() { # FILE COMMAND...: what the workers call meanwhile
	local file=$1 attach=() pid tracer
	shift
	for pid in $(pgrep -P "$NGINX_PID"); do attach+=(-p "$pid"); done
	strace -f -qq -o "$file" "${attach[@]}" 2>/dev/null &
	tracer=$!
	wait_until 20 is_traced "$pid" || bench_die "strace does not attach"
	"$@" >"$WORLD_DIR/traced.out"
	kill -INT "$tracer"
	wait "$tracer" 2>/dev/null
}
is_traced() { ! grep -q '^TracerPid:.0$' "/proc/$1/status"; }
# What looking at a connection takes.
looks() { grep -cE '(getsockopt\(.*(SO_INCOMING_CPU|IPV6_MULTICAST_IF)|getpeername\()' "$1"; }

COUNT=640
load() { # [TO FROM COUNT]
	conns_hold --to "${1:-$DUT4:8080}" --from "${2:-$CLIENT4}" --count "${3:-$COUNT}" \
		--concurrency 1 --request /
	conns_release
}

up "${SHIM[@]}"
load >/dev/null
load >/dev/null # what comes late is news, and looked at for a while
traced "$WORLD_DIR/steady" load
steady=$(looks "$WORLD_DIR/steady")
diag "$steady calls for looks at $COUNT connections"
between "$steady" 20 $((COUNT / 2)) "learned: a connection in so many is looked at"
for _ in {1..40}; do
	load "[$DUT6]:8080" "$CLIENT6" 2
	load 10.98.0.1:8080 10.98.0.2 2
done >/dev/null
is "$(in_dut "$RSSSHIM" nic --json rare0 | jq '.learned.connections > 0')" true \
	"a second interface is being learned"
load >/dev/null # what the odd ones were worth is spent
traced "$WORLD_DIR/rare" load
rare=$(looks "$WORLD_DIR/rare")
between "$rare" 20 $COUNT \
	"another family and interface now and then: $rare calls for as many connections"
nginx_down
ip -n "$DUT" link del rare0

# Nowhere to write down what is seen: memory for it is refused.
up prlimit --fsize=500000 "${SHIM[@]}"
is "$(grep -c 'nothing is learned' "$LOG")" 1 "no memory: said"
traced "$WORLD_DIR/none" load
is "$(looks "$WORLD_DIR/none")" 0 "no memory: no connection is looked at for that"
nginx_down

# Programs that connect.
cat >"$WORLD_DIR/connects.py" <<-'END'
	import socket, sys
	for address in sys.argv[2:]:
	    for _ in range(int(sys.argv[1])):
	        socket.create_connection((address, 9000)).close()
END
LIB=$(cd "$(dirname "$0")/../lib" && pwd)
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 0.0.0.0
wait_port client 9000
connects() { # FILE COMMAND...: 300 of them, beside what interpreters do
	local file=$1
	shift
	in_dut taskset -c 1 strace -f -qq -e trace=setsockopt,getsockopt,getpeername -o "$file" \
		"$@" /usr/bin/python3 "$WORLD_DIR/connects.py" 300 "${UPSTREAM4%,*}"
	grep -cE 'getpeername|INCOMING_CPU|PORT_RANGE' "$file"
}
between "$(connects "$WORLD_DIR/connects" "${SHIM[@]}")" 100 9999 "connections that teach are looked at"
between "$(connects "$WORLD_DIR/connects" prlimit --fsize=500000 "${SHIM[@]}")" 0 40 \
	"no memory: they are neither probed nor looked at"

done_testing
