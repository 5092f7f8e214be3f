#!/usr/bin/env bash
# connect(), plain and under the shim, with a part of the local ports taken by connections to the same
# destination: by plain connects, or at random. Runs of the two take turns; printed are medians over
# the pairs. The shim's calls are timed twice: when its process is new, and when it has met the
# taken ports.
#
#	tests/bench/connect.sh [PAIRS] [PORTS]
. "$(dirname "$0")/../lib/bench.sh"

# By default the kernel's range. The hard limit of descriptors wants several processes to fill it.
PAIRS=${1:-11} PORTS=${2:-28232} CALLS=200 EACH=14000
why=$(bench_lacks) && { echo "connect: skipped: $why" && exit 0; }

[ -e "$BUILD/librssshim.so" ] || bench_die "no $BUILD/librssshim.so"
LO=32768 HI=$((32768 + PORTS - 1))
world_up clients=1 upstreams=1
world_conf >"$WORLD_DIR/policy.ini"
in_dut sysctl -qw net.ipv4.ip_local_port_range="$LO $HI"
in_dut sysctl -qw net.core.netdev_max_backlog=10000
# Held connections never ask for anything.
upstream_up http="client_header_timeout 3600;" main="worker_rlimit_nofile 1;" 2>/dev/null || true
