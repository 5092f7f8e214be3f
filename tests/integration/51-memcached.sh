#!/usr/bin/env bash
# alone
# The single acceptor: memcached, whose main thread accepts and deals descriptors out to its workers.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

PORT=11211
world_up clients=4
# Apart from the ports that bursts.py chooses.
in_client sysctl -qw net.ipv4.ip_local_port_range="1024 19999"
(cat "$BENCH_ROOT/conf/memcached.ini"; world_conf) >"$WORLD_DIR/policy.ini"
is "$("$BUILD/rssshim" check "$WORLD_DIR/policy.ini" 2>&1)" "" "the example policy has no mistakes"

memcached_up() { # THREADS [VARIABLE=VALUE]...
	local threads=$1
	shift
	spawn_dut memcached env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini" \
		"$@" memcached -u nobody -t "$threads" -l "$DUT4" -p $PORT -c 8192
	MEMCACHED=$SPAWNED
	wait_port dut $PORT
	wait_ready "$((threads + 1))" "$MEMCACHED"
}

# Its last thread closes the listener, after the first is gone.
memcached_down() {
	stop_pid "$MEMCACHED"
	wait_until 20 is_silent || bench_die "memcached still listens"
}
is_idle() { [ "$(in_dut ss -Htn state established "sport = :$PORT" | wc -l)" = 0 ]; }
is_silent() { ! bench_listens "$DUT" $PORT; }

# open NAME COUNT SIZE OPTION...: all are answered; SHARE says how many were on their CPU, in percent.
open() {
	local name=$1 pid judged
	shift
	rm -f "$WORLD_DIR/bursts.in" "$WORLD_DIR/bursts.out"
	mkfifo "$WORLD_DIR/bursts.in"
	ip netns exec "$CLIENT" python3 "$BENCH_ROOT/tests/lib/bursts.py" "$DUT4" $PORT "$CLIENT4" "$@" \
		<>"$WORLD_DIR/bursts.in" >"$WORLD_DIR/bursts.out" &
	pid=$!
	disown $pid
	wait_until 60 test -s "$WORLD_DIR/bursts.out"
	is "$(cat "$WORLD_DIR/bursts.out")" "{\"ok\": $1, \"failed\": 0}" "$name: each is answered"
	judged=$(observe --json --listen $PORT "$MEMCACHED")
	is "$(jq .total <<<"$judged")" "$1" "$name: all are seen from outside"
	SHARE=$(jq .share <<<"$judged")
	stop_pid $pid KILL
	wait_until 20 is_idle || bench_die "memcached keeps connections"
}

cpus_of_threads() { sed -n 's/^Cpus_allowed_list:\t//p' /proc/"$MEMCACHED"/task/*/status; }

memcached_up 2
is "$(cpus_of_threads | sort | uniq -c | awk '$2 ~ /^[0-9]+$/ && $2 < 2 { print $2 }' | paste -sd ' ')" \
	"0 1" "there are threads on both CPUs"
open "to learn" 32 1
is "$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$MEMCACHED/status")" \
	"$(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)" "the acceptor is not taken for a worker"
is "$(cpus_of_threads | grep -cx 0),$(cpus_of_threads | grep -cx 1)" "1,1" "the two workers have a CPU each"

open "bursts, as many for each CPU" 1280 64 stop="$MEMCACHED" balance="$WORLD_KEY"
between "$SHARE" 95 100 "at least 95 % are on their CPU: $SHARE"
# What turns allow: of a burst of 64 random flows all but half of the difference, 95 % on average.
open "bursts as they fall" 1280 64 stop="$MEMCACHED"
between "$SHARE" 90 100 "as many as taking turns allows: $SHARE"
open "64 at a time, the acceptor awake" 1280 64
diag "64 at a time, the acceptor awake: $SHARE % (it takes them as they come, mostly singly)"
open "singly" 640 1
diag "singly: $SHARE % (whoever is next gets it)"
memcached_down

memcached_up 4
open "to learn, four workers" 64 1
is "$(cpus_of_threads | grep -cx 0),$(cpus_of_threads | grep -cx 1)" "2,2" "four workers: two on each CPU"
open "four workers" 1280 64 stop="$MEMCACHED" balance="$WORLD_KEY" first=30000
between "$SHARE" 90 100 "four workers on two CPUs: $SHARE"
memcached_down

memcached_up 2 RSSSHIM_MIGRATE_MODE=off
open "without learning" 1280 64 stop="$MEMCACHED" balance="$WORLD_KEY" first=40000
between "$SHARE" 35 65 "without learning about half: $SHARE"
memcached_down

done_testing
