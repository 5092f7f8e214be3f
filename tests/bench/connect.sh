#!/usr/bin/env bash
# connect(), plain and under the shim, where a part of the range of ports is taken by plain connects
# to the same destination. Runs of the two take turns; printed are medians of the pairs' ratios.
#
#	tests/bench/connect.sh [PAIRS]
. "$(dirname "$0")/../lib/bench.sh"

PAIRS=${1:-15} CALLS=300 PORTS=8000
why=$(bench_lacks) && { echo "connect: skipped: $why" && exit 0; }

[ -e "$BUILD/librssshim.so" ] || bench_die "no $BUILD/librssshim.so"
world_up clients=1 upstreams=1
world_conf >"$WORLD_DIR/policy.ini"
in_dut sysctl -qw net.ipv4.ip_local_port_range="20000 $((20000 + PORTS - 1))"
# Held connections never ask for anything.
upstream_up http="client_header_timeout 3600;"

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
timed() { in_dut taskset -c 1 "$@" "$BUILD/bench_connect" time "$UPSTREAM4" 9000 $CALLS; }
shim() { timed env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/policy.ini"; }

# over_pairs EXPRESSION: median over the pairs (plain p50 and p99, then the shim's).
over_pairs() { awk "{ print $1 }" "$WORLD_DIR/pairs" | median; }

printf 'connect(), %d ports, %d pairs of %d calls; ratio: shim / plain\n' "$PORTS" "$PAIRS" "$CALLS"
printf '%-8s %12s %12s %10s %12s %12s %10s\n' taken "plain p50" "shim p50" ratio "plain p99" "shim p99" ratio
for percent in 0 50 90; do
	filler=
	if ((percent)); then
		spawn_dut "fill$percent" "$BUILD/bench_connect" fill "$UPSTREAM4" 9000 \
			$((PORTS * percent / 100))
		filler=$SPAWNED
		wait_until 60 grep -q ready "$WORLD_DIR/fill$percent.log" ||
			bench_die "not filled: $(cat "$WORLD_DIR/fill$percent.log")"
	fi
	: >"$WORLD_DIR/pairs"
	for ((pair = 0; pair < PAIRS; pair++)); do
		# Each goes first every other time.
		if ((pair % 2)); then
			plain=$(timed env) && shim=$(shim) || bench_die "a run failed"
		else
			shim=$(shim) && plain=$(timed env) || bench_die "a run failed"
		fi
		echo "$plain $shim" >>"$WORLD_DIR/pairs"
	done
	printf '%-8s %9d ns %9d ns %10.3f %9d ns %9d ns %10.3f\n' "$percent %" \
		"$(over_pairs '$1')" "$(over_pairs '$3')" "$(over_pairs '$3 / $1')" \
		"$(over_pairs '$2')" "$(over_pairs '$4')" "$(over_pairs '$4 / $2')"
	[ -z "$filler" ] || stop_pid "$filler"
done
