#!/usr/bin/env bash
# timeout: 600
# also in make test
# [migrate] mode = epoll for a minute of churn, the buckets given to another CPU every 100 ms: as it
# is, and with the library and the server under the thread and the address sanitizer.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/pool.sh"
why=$(bench_lacks) && skip_all "$why"

PORT=8080
LONG=${QUICK:+4} LONG=${LONG:-60}
SHORT=${QUICK:+4} SHORT=${SHORT:-20}
world_up clients=4
{
	printf '[listen]\nsteer = no\n[migrate]\nmode = epoll\n'
	world_conf
} >"$WORLD_DIR/policy.ini"
WORKERS=(--port $PORT --cpus "0 1")

# churns NAME SECONDS COMMAND...
churns() {
	pool_churn "$1" "$2" env "RSSSHIM_CONF=$WORLD_DIR/policy.ini" "${@:3}"
	pool_has_moved "$1"
}

# under SANITIZER SECONDS POOL-OPTION...: addresses not randomised, as some kernels do so more than
# the thread sanitizer's shadow allows for.
under() {
	churns "$1, ${*:3}" "$2" setarch --addr-no-randomize \
		"$BUILD/$1/pool-within" "${WORKERS[@]}" "${@:3}"
}

churns "as it is" "$LONG" "LD_PRELOAD=$BUILD/librssshim.so" "$BUILD/pool" "${WORKERS[@]}"
for sanitizer in tsan asan; do
	under $sanitizer "$LONG" --how level
	under $sanitizer "$SHORT" --how edge --readds
	under $sanitizer "$SHORT" --how oneshot --dealer --helper
	under $sanitizer "$SHORT" --how level --dups
	under $sanitizer "$SHORT" --how edge --writes --stored
	under $sanitizer "$SHORT" --how level --guests --bystander
done
# The thread sanitizer calls it a race that fclose() does not wait until a move is done.
under asan "$SHORT" --streams

done_testing
