#!/usr/bin/env bash
# timeout: 240
# also in make test
# memcached, driven by the tools of libmemcached (memccapable is a suite of its own) and by a client
# in Python, with and without the shim.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/compare.sh"
why=$(bench_lacks) && skip_all "$why"
command -v memcached memccapable memcslap >/dev/null || skip_all "libmemcached-tools is not installed"

PORT=11211
ROUNDS=8
[ -n "${QUICK:-}" ] && ROUNDS=2
compare_up clients=2

client() { in_client "$@" --servers="$DUT4:$PORT"; }

# Files in, listed and out again.
files() {
	local name
	mkdir -p "$WORLD_DIR/in"
	for name in one two three; do head -c 70000 /dev/zero | tr '\0' "${name:0:1}" >"$WORLD_DIR/in/$name"; done
	client memccp "$WORLD_DIR"/in/* && echo stored
	for name in one two three; do client memccat "$name" | md5sum; done
	client memcexist one && echo "it is there"
	client memcrm one && echo removed
	client memcexist one || echo "it is gone"
	client memctouch --expire=1000 two && echo touched
	client memcping && echo alive
	client memcflush && echo flushed
}

load() { # what memcslap did, without its figures
	local test
	for test in set get mget; do
		client memcslap --concurrency=8 --execute-number=$((250 * ROUNDS)) --initial-load=500 \
			--test=$test | sed 's/[0-9.]* seconds.*/done/; s/[0-9.]\+$//'
	done
	client memcslap --concurrency=4 --execute-number=200 --binary --non-blocking --tcp-nodelay \
		--test=set | sed 's/[0-9.]* seconds.*/done/; s/[0-9.]\+$//'
}

python() {
	in_client timeout 60 /usr/bin/python3 "$BENCH_ROOT/tests/compat/memcache_client.py" "$DUT4" $PORT "$ROUNDS"
}

for way in $WAYS; do
	spawn_way $way memcached -u nobody -t 2 -l "$DUT4" -p $PORT -U 0 -c 4096
	MEMCACHED=$SPAWNED
	wait_port dut $PORT
	in_client timeout 100 memccapable -h "$DUT4" -p $PORT >"$WORLD_DIR/$way.capable" 2>&1
	echo "status $?" >>"$WORLD_DIR/$way.capable"
	files >"$WORLD_DIR/$way.files" 2>&1
	load >"$WORLD_DIR/$way.load" 2>&1
	python >"$WORLD_DIR/$way.python" 2>&1
	[ $way = shim ] && is_awake memcached "$MEMCACHED" 20
	stop_pid "$MEMCACHED"
done
same "memccapable: $(grep -c 'pass' "$WORLD_DIR/plain.capable") tests pass, the same with and without" \
	"$WORLD_DIR/plain.capable" "$WORLD_DIR/shim.capable"
same "memccp, memccat and their kin" "$WORLD_DIR/plain.files" "$WORLD_DIR/shim.files"
same "memcslap" "$WORLD_DIR/plain.load" "$WORLD_DIR/shim.load"
if /usr/bin/python3 -c 'import pymemcache' 2>/dev/null; then
	same "pymemcache: $(tail -1 "$WORLD_DIR/plain.python")" "$WORLD_DIR/plain.python" \
		"$WORLD_DIR/shim.python"
else
	skip pymemcache "python3-pymemcache is not installed"
fi
done_testing
