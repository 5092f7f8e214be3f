#!/usr/bin/env bash
# timeout: 240
# also in make test
# redis with I/O threads, driven by its own benchmark and its own client, with and without the shim.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/compare.sh"
why=$(bench_lacks) && skip_all "$why"
command -v redis-server redis-benchmark >/dev/null || skip_all "redis is not installed"

REQUESTS=60000
[ -n "${QUICK:-}" ] && REQUESTS=500
PORT=6379
compare_up clients=2

# What the benchmark says, without its figures: "PING_INLINE" a line, and every complaint.
tests_of() { sed -nE 's/^"([^"]+)","[0-9.]+".*/\1/p; /[Ee]rror|refused|reset/p' "$1"; }

cli() { in_client redis-cli -h "$1" -p $PORT "${@:2}"; }
info() { cli "$DUT4" info stats clients | sed -nE "s/^$1:([0-9]+).*/\1/p"; }

commands() { # replies to a few of each kind of command, over both families
	local host
	for host in "$DUT4" "$DUT6"; do
		cli "$host" <<-END
			SET greeting hello
			APPEND greeting " world"
			GET greeting
			RPUSH list a b c
			LRANGE list 0 -1
			MULTI
			INCR counter
			INCR counter
			EXEC
			WAIT 0 10
			DEL greeting list counter
		END
		seq 2000 | sed 's/.*/SET key:& &/' | cli "$host" --pipe | tail -1
		cli "$host" DBSIZE
		cli "$host" FLUSHALL
	done
}

for way in $WAYS; do
	spawn_way $way redis-server --port $PORT --bind "$DUT4" "$DUT6" --protected-mode no --save "" \
		--appendonly no --io-threads 2 --io-threads-do-reads yes --server_cpulist 0 \
		--dir "$WORLD_DIR" --daemonize no
	REDIS=$SPAWNED
	wait_port dut $PORT
	in_client redis-benchmark -h "$DUT4" -p $PORT -n $REQUESTS -c 50 --csv >"$WORLD_DIR/$way.csv" 2>&1
	echo "status $?" >>"$WORLD_DIR/$way.csv"
	in_client redis-benchmark -h "$DUT4" -p $PORT -n $((REQUESTS / 10)) -c 20 -k 0 -t get --csv \
		>"$WORLD_DIR/$way.single.csv" 2>&1
	{
		tests_of "$WORLD_DIR/$way.csv"
		tests_of "$WORLD_DIR/$way.single.csv"
		grep ^status "$WORLD_DIR/$way.csv"
	} >"$WORLD_DIR/$way.tests"
	commands >"$WORLD_DIR/$way.replies" 2>&1
	echo "rejected $(info rejected_connections), left $(info connected_clients)" >"$WORLD_DIR/$way.info"
	[ $way = shim ] && is_awake "redis" "$REDIS" $((REQUESTS / 10))
	cli "$DUT4" shutdown nosave >/dev/null 2>&1
	wait_until 5 bench_gone "$REDIS" || not_ok "redis ends when told to ($way)"
done
same "redis-benchmark: $(wc -l <"$WORLD_DIR/plain.tests") lines, the same tests done" \
	"$WORLD_DIR/plain.tests" "$WORLD_DIR/shim.tests"
same "redis-cli: the same replies" "$WORLD_DIR/plain.replies" "$WORLD_DIR/shim.replies"
same "the same connections refused and left: $(cat "$WORLD_DIR/plain.info")" \
	"$WORLD_DIR/plain.info" "$WORLD_DIR/shim.info"
for test in PING_INLINE GET LPUSH; do
	rate() { sed -nE "s/^\"$test\",\"([0-9.]+)\".*/\1/p" "$WORLD_DIR/$1.csv"; }
	diag "$test: $(rate plain) requests a second without, $(rate shim) with"
done
done_testing
