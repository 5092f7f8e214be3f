#!/usr/bin/env bash
# connect(), plain and under the shim, with a part of the local ports taken by connections to the same
# destination: by plain connects, or at random. Runs of the two take turns; printed are medians over
# the pairs. The shim's calls are timed twice: in a process that is new, and when that has met the
# taken ports ("settled").
#
#	tests/bench/connect.sh [PAIRS] [PORTS]
. "$(dirname "$0")/../lib/bench.sh"

# The hard limit of descriptors wants several processes to fill the kernel's own range.
PAIRS=${1:-9} PORTS=${2:-28232} CALLS=200 SETTLE=2500 EACH=15000
why=$(bench_lacks) && { echo "connect: skipped: $why" && exit 0; }

[ -e "$BUILD/librssshim.so" ] || bench_die "no $BUILD/librssshim.so"
LO=32768 HI=$((32768 + PORTS - 1))
world_up clients=1 upstreams=1
world_conf >"$WORLD_DIR/policy.ini"
in_dut sysctl -qw net.ipv4.ip_local_port_range="$LO $HI"
# Held connections never ask for anything. A worker has 9,000 of them.
upstream_up workers=$((PORTS / 9000 + 1)) http="client_header_timeout 3600;"

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
timed() { in_dut taskset -c 1 "$@"; }
plain() { timed "$BUILD/bench_connect" time "$1" 9000 $CALLS; }
shim() {
	timed env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/policy.ini" \
		"$BUILD/bench_connect" time "$1" 9000 $CALLS $SETTLE
}

# over_pairs EXPRESSION: median over the pairs (p50 and p99: plain, the shim's new, settled).
over_pairs() { awk "{ print $1 }" "$WORLD_DIR/pairs" | median; }

FILLERS=()
# take HOW ADDRESS COUNT: so many ports more.
take() {
	local more=$3 some
	while ((more > 0)); do
		some=$((more < EACH ? more : EACH))
		rm -f "$WORLD_DIR/fill.log"
		spawn_dut fill "$BUILD/bench_connect" "$1" "$2" 9000 $some $LO $HI
		FILLERS+=("$SPAWNED")
		wait_until 300 grep -qs ready "$WORLD_DIR/fill.log" ||
			bench_die "not filled: $(cat "$WORLD_DIR/fill.log")"
		more=$((more - some))
	done
}

# While calls are timed their SYNs go nowhere: else the server's part would be in them, and the
# receive thread's, which the soft NIC runs on the CPU that a port leads to.
server_gone() { ip -n "$CLIENT" addr del "$1" dev cli0; }
server_back() {
	local nodad=
	[[ $1 != *:* ]] || nodad=nodad
	ip -n "$CLIENT" addr add "$1" dev cli0 $nodad
}

row() { # ADDRESS NAME
	local pair first second with_prefix=$1/24
	[[ $1 != *:* ]] || with_prefix=$1/64
	server_gone "$with_prefix"
	: >"$WORLD_DIR/pairs"
	for ((pair = 0; pair < PAIRS; pair++)); do
		# Each goes first every other time.
		if ((pair % 2)); then
			first=$(plain "$1") && second=$(shim "$1") || bench_die "a run failed"
		else
			second=$(shim "$1") && first=$(plain "$1") || bench_die "a run failed"
		fi
		echo "$first $second" >>"$WORLD_DIR/pairs"
	done
	server_back "$with_prefix"
	printf '%-26s %8.1f %8.3f %8.3f  %8.1f %8.3f %8.3f\n' "$2" \
		"$(over_pairs '$1 / 1000')" "$(over_pairs '$3 / $1')" "$(over_pairs '$5 / $1')" \
		"$(over_pairs '$2 / 1000')" "$(over_pairs '$4 / $2')" "$(over_pairs '$6 / $2')"
}

printf 'connect(), %d ports, %d pairs of %d calls; plain in microseconds, ratios: shim / plain\n' \
	"$PORTS" "$PAIRS" "$CALLS"
printf '%-26s %8s %8s %8s  %8s %8s %8s\n' "" "p50" "" "" p99 "" "" \
	"ports taken" plain new settled plain new settled
for address in "$UPSTREAM4" "$UPSTREAM6"; do
	family=IPv4
	[[ $address != *:* ]] || family=IPv6
	row "$address" "$family  0 %"
	for how in fill scatter; do
		name="by plain connects" taken=0
		[ $how = fill ] || name="at random"
		for mille in 500 510 900 990 999; do
			[ $how = fill ] || ((mille != 510)) || continue
			take $how "$address" $((PORTS * mille / 1000 - taken))
			taken=$((PORTS * mille / 1000))
			row "$address" "$family $((mille / 10)).$((mille % 10)) % $name"
		done
		for filler in "${FILLERS[@]}"; do stop_pid "$filler"; done
		FILLERS=()
		sleep 1 # until the other side has let go of them all
	done
done
