#!/usr/bin/env bash
# timeout: 200
# Every way a program can make a connection: aligned or left alone, and counted as what it was.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/connects.sh"
why=$(bench_lacks) && skip_all "$why"

COUNT=200
world_up clients=1 upstreams=1
world_conf >"$WORLD_DIR/policy.ini"
# Connections of the cases before are in TIME_WAIT.
in_dut sysctl -qw net.ipv4.tcp_tw_reuse=1
# Addresses that no route would choose.
OTHER4=10.99.0.9 OTHER6=fd99::9
ip -n "$DUT" addr add $OTHER4/24 dev rss0
ip -n "$DUT" addr add $OTHER6/64 dev rss0 nodad preferred_lft 0
for address in $OTHER4 $OTHER6; do ip -n "$CLIENT" neigh replace $address lladdr $BENCH_MAC_DUT dev cli0; done
in_client sysctl -qw net.ipv4.tcp_fastopen=$((0x403)) # every listener takes data with the SYN
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 "$UPSTREAM4" "$UPSTREAM6"
wait_port client 9000

# aligned NAME ADDRESS WORD...: all of them are.
aligned() {
	connects 1 -- "$2" $COUNT "${@:3}"
	is "$SEEN" "$COUNT $COUNT" "$1: aligned"
	is "$(counted)" "{\"steered\":$COUNT}" "$1: counted as steered"
}
# alone NAME COUNTER ADDRESS WORD...: left to the kernel.
alone() {
	connects 1 -- "$3" $COUNT "${@:4}"
	between "${SEEN% *}" 60 140 "$1: about half aligned"
	is "$(counted)" "{\"$2\":$COUNT}" "$1: counted as $2"
}

aligned "IPv4" "$UPSTREAM4"
is "$(jq '.connect.tries >= 200 and .connect.tries < 260' <<<"$STAT")" true "and few ports tried for it"
is "$(jq -c '.connect_seen | [.looked_at >= 64, .misaligned, .unpinned]' <<<"$STAT")" "[true,0,0]" \
	"a sample was looked at: all aligned"
aligned "IPv6" "$UPSTREAM6"
aligned "IPv4-mapped" "$UPSTREAM4" mapped
aligned "non-blocking" "$UPSTREAM4" nonblocking
aligned "TCP_FASTOPEN_CONNECT" "$UPSTREAM4" fastopen
is "$(in_dut nstat -asz TcpExtTCPFastOpenActive | awk '/Active/ { print ($2 > 100) }')" 1 \
	"and the kernel did send data with the SYN"
aligned "a socket that the shim did not see made" "$UPSTREAM4" inherited
aligned "such a one bound to an address" "$UPSTREAM4" inherited no-port "bind=$DUT4"
aligned "SO_BINDTODEVICE" "$UPSTREAM4" device=rss0
aligned "SO_MARK" "$UPSTREAM4" mark=7
aligned "bind without a port, IP_BIND_ADDRESS_NO_PORT" "$UPSTREAM4" no-port "bind=$DUT4"
aligned "bind without a port" "$UPSTREAM4" "bind=$DUT4"
aligned "bind without a port, IPv6" "$UPSTREAM6" "bind=$DUT6"
for own in "bind=" "no-port bind="; do
	# shellcheck disable=SC2086
	aligned "${own%bind=}another local address" "$UPSTREAM4" $own$OTHER4
	# shellcheck disable=SC2086
	aligned "${own%bind=}another local address, IPv6" "$UPSTREAM6" $own$OTHER6
done
for address in "$DUT4" "$DUT6"; do
	is "$(in_dut python3 "$LIB/late_port.py" "$address")" "" "what bind() to $address and port 0 promises"
	is "$(in_dut taskset -c 1 env LD_PRELOAD="$BUILD/librssshim.so" \
		RSSSHIM_CONF="$WORLD_DIR/policy.ini" python3 "$LIB/late_port.py" "$address" 2>&1)" "" \
		"is kept under the shim"
done
alone "own ports" bound "$UPSTREAM4" "bind=$DUT4-20000"
is "$(grep -c 'rss0: .*source ports that the application chose.*range' "$WORLD_DIR/log")" 1 \
	"own ports: one line says what to write instead"
alone "IP_LOCAL_PORT_RANGE" bound "$UPSTREAM4" range=20000-29999
is "$(grep -c 'source ports that the application chose' "$WORLD_DIR/log")" 1 \
	"IP_LOCAL_PORT_RANGE: the same line"
aligned "a range that was taken back" "$UPSTREAM4" range-reset

connects 0,1 -- "$UPSTREAM4" $COUNT
is "$(counted)" "{\"unpinned\":$COUNT}" "a thread without a home: counted as unpinned"
connects 1 RSSSHIM_SHIM_ENABLED=observe -- "$UPSTREAM4" $COUNT
between "${SEEN% *}" 60 140 "observe: about half aligned, as without the shim"
is "$(counted)" "{\"steered\":$COUNT}" "observe: all could be"
is "$(jq -c '.connect_seen | [.looked_at, .aligned, .would_be_aligned]' <<<"$STAT")" \
	"[$COUNT,${SEEN% *},$COUNT]" "observe: it saw each, and says what the kernel says"
connects 1 RSSSHIM_NIC_RSS0_HASH=none -- "$UPSTREAM4" $COUNT
is "$(counted)" "{\"unpredictable\":$COUNT}" "a NIC that is not known: counted as unpredictable"
connects 1 RSSSHIM_CONNECT_STEER=no -- "$UPSTREAM4" $COUNT
is "$(counted)" "{}" "steer = no: nothing counted"

done_testing
