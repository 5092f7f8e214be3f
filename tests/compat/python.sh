#!/usr/bin/env bash
# timeout: 900
# also in make test
# CPython's own tests of sockets, event loops and processes, with and without the shim, compared
# test by test:
#
#	tests/compat/python.sh [MODULE]...	such as test_socket test_select
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/compare.sh"
why=$(bench_lacks) && skip_all "$why"
/usr/bin/python3 -c 'import test.test_socket' 2>/dev/null ||
	skip_all "libpython3.11-testsuite is not installed"

if [ $# -eq 0 ]; then
	set -- test_select test_epoll test_fork1
	[ -n "${QUICK:-}" ] || set -- "$@" test_poll test_selectors test_socket test_subprocess test_asyncio
fi
compare_up
# These suites talk over loopback only, which nothing steers by itself: here it is said to be a NIC with
# two queues.
{
	world_conf | sed '/queue_cpus/d; s/rss0/lo/'
	echo "queue_cpus = 0 1"
} >>"$WORLD_DIR/policy.ini"

# Without a hypervisor that answers, the one VSOCK connection of test_socket waits for ever.
run() { # plain|shim MODULE
	local quiet=()
	# It looks at every descriptor its children have, and would find the one of the log.
	[ "$2" = test_subprocess ] && quiet=(env RSSSHIM_SHIM_LOG=error RSSSHIM_SHIM_LOG_FILE=)
	(cd "$WORLD_DIR" && in_way "$1" "${quiet[@]}" timeout -k 5 400 /usr/bin/python3 \
		"$BENCH_ROOT/tests/compat/unittest_verdicts.py" "test.$2" ThreadedVSOCK "$WORLD_DIR/$1.v") \
		</dev/null >"$WORLD_DIR/$1" 2>&1
	sort -o "$WORLD_DIR/$1.v" "$WORLD_DIR/$1.v"
}

for module; do
	for way in $WAYS; do run $way "$module"; done
	# The reason, while the world is still there.
	cmp -s "$WORLD_DIR/plain.v" "$WORLD_DIR/shim.v" ||
		diag "$(grep -A 25 -E '^(FAIL|ERROR):' "$WORLD_DIR/shim")"
	same "$module: $(wc -l <"$WORLD_DIR/plain.v") tests, the same with and without" \
		"$WORLD_DIR/plain.v" "$WORLD_DIR/shim.v"
done
# And so are connections of theirs, where client and server share a CPU.
in_way shim taskset -c 1 /usr/bin/python3 - "$BUILD/rssshim" >"$WORLD_DIR/members" <<'EOF'
import json, os, selectors, socket, subprocess, sys
server = socket.create_server(("127.0.0.1", 0))
server.setblocking(False)
selector = selectors.DefaultSelector()
selector.register(server, selectors.EVENT_READ)
selector.select(0.01)
for _ in range(50):
    client = socket.create_connection(server.getsockname())
    assert selector.select(5)
    server.accept()[0].close()
    client.close()
print(json.loads(subprocess.check_output([sys.argv[1], "stat", str(os.getpid()), "--json"]))["accept"]["member"])
EOF
between "$(cat "$WORLD_DIR/members")" 40 50 "over loopback, too, connections come by way of members"
between "$(steered_listeners)" 1 99999999 "$(steered_listeners) listeners of theirs were steered"
done_testing
