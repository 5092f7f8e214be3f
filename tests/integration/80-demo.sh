#!/bin/bash
# alone
# make demo as a test: it shows what it promises, fails where nothing is aligned, leaves nothing behind.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"
unset "${!RSSSHIM_@}" LD_PRELOAD
demo=$BENCH_ROOT/tests/demo/demo.sh
dir=$(mktemp -d)
at_exit rm -rf "$dir"

# left PID: namespaces, files and processes of the world a demo made.
left() {
	ip netns list | grep -- "rssbench-$1-"
	ls -d "${TMPDIR:-/tmp}/rssbench-$1".* 2>/dev/null
	pgrep -f -- "rssbench-$1\."
}

# run_demo SIGNAL-AFTER ENVIRONMENT...: its status in STATUS, its pid in PID, its output in $dir/out
run_demo() {
	local after=$1
	shift
	env DEMO_ROUNDS=1 DEMO_CONNECTIONS=400 "$@" "$demo" >"$dir/out" 2>&1 &
	PID=$!
	[ "$after" = 0 ] || { sleep "$after" && kill -TERM "$PID"; }
	wait "$PID"
	STATUS=$?
}

start=$SECONDS
run_demo 0
is "$STATUS" 0 "the demo succeeds"
[ "$STATUS" = 0 ] || diag "$(cat "$dir/out")"
between $((SECONDS - start)) 0 30 "a round of it takes seconds"
is "$(grep -cE '^  aligned +[1-8][0-9]\.[0-9] % +100\.0 %' "$dir/out")" 2 \
	"both tables: about half aligned before, all after"
is "$(grep -cE '^  (requests|CPU a request) .* [0-9.]+  \([0-9.]+ to [0-9.]+\)' "$dir/out")" 4 \
	"ratios with their spread"
is "$(left "$PID")" "" "nothing is left behind"

run_demo 0 RSSSHIM_DISABLE=1
is "$STATUS" 1 "it fails where the shim does nothing"
is "$(left "$PID")" "" "nothing is left behind then"

run_demo 3
is "$STATUS" 143 "interrupted"
is "$(left "$PID")" "" "nothing is left behind when interrupted"
done_testing
