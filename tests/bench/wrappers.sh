#!/usr/bin/env bash
# What intercepted calls cost, in a world with a soft RSS NIC; see bench_wrappers.c.
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && bench_die "$why"

world_up clients=1
world_conf >"$WORLD_DIR/policy.ini"
[ "${1:-}" = accepts ] || in_dut "$BUILD/bench_wrappers" "$BUILD/librssshim.so"
in_dut env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/policy.ini" \
	RSSSHIM_LISTEN_PORTS=7002 "$BUILD/bench_wrappers" --accepts "$CLIENT" "$DUT4"
