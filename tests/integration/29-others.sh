#!/usr/bin/env bash
# timeout: 200
# A group that another process has: which does not answer so far, is in another pid name space, or has
# a library of another version. Its connections are served all the same, and no member stays open
# that nobody watches.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"

# --- an instance that listens, and then does something else for a while -------------------------

(printf '[listen]\nshare = yes\n' && cat "$WORLD_DIR/policy.ini") >"$WORLD_DIR/share.ini"
LOG=$WORLD_DIR/rssshim.log
SHARE=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/share.ini" RSSSHIM_SHIM_LOG=info
	"RSSSHIM_SHIM_LOG_FILE=$LOG")

# share_ways WAIT: the second instance starts while the first does not answer.
share_way() {
	local first second
	: >"$LOG"
	spawn_dut first "${SHARE[@]}" "$BUILD/serve" --port 8080 --cpus 0 --wait "$1" --doze 3
	first=$SPAWNED
	wait_port dut 8080
	spawn_dut second "${SHARE[@]}" "$BUILD/serve" --port 8080 --cpus 1 --wait "$1"
	second=$SPAWNED
	ok "$1: said that nobody answers" wait_until 3 grep -q "8080: who has its group does not answer" "$LOG"
	ok "$1: until somebody does" wait_until 20 grep -q "8080: 2 members, at last" "$LOG"
	wait_ready 1 "$first"
	all_aligned "$1: then all is where its packets arrive" 4 300 "$first $second" --numbered
	stop_pid "$first"
	stop_pid "$second"
	wait_free dut 8080
}
for wait in epoll poll accept; do share_way $wait; done

# --- instances in pid name spaces of their own, as containers have them ---------------------------
# There the numbers of the other's threads are nobody's.

spawn_dut first "${SHARE[@]}" "$BUILD/serve" --port 8080 --cpus 0 --wait epoll
first=$SPAWNED
wait_port dut 8080
spawn_dut second unshare --pid --fork --kill-child "${SHARE[@]}" "$BUILD/serve" --port 8080 --cpus 1 --wait epoll
contained() { second=$(pgrep -P "$SPAWNED"); }
wait_until 20 contained || bench_die "no process in a pid name space of its own"
wait_ready 1 "$first"
wait_ready 1 "$second"
all_aligned "another pid name space: all is where its packets arrive" 4 300 "$first $second" --numbered
# Who takes the other for dead attaches a program without it. The one that is looked at is stopped
# meanwhile, so that it is not the one who looks, nor says that it lives.
worker=$(pgrep -P "$second")
strace -qq -e trace=setsockopt,tgkill -o "$WORLD_DIR/strace" -p "$worker" 2>/dev/null &
tracer=$!
is_traced() { ! grep -q "^TracerPid:.0$" "/proc/$worker/status"; }
looked_twice() { [ "$(grep -c tgkill "$WORLD_DIR/strace")" -ge 2 ]; }
wait_until 20 is_traced || bench_die "strace does not attach"
pkill -STOP -P "$first"
ok "another pid name space: looks at the workers" wait_until 20 looked_twice
pkill -CONT -P "$first"
kill "$tracer"
wait "$tracer"
is "$(grep -c setsockopt "$WORLD_DIR/strace")" 0 "another pid name space: nobody takes the other for dead"
kill -KILL "$second"
wait_until 20 bench_gone "$second"
counts=$(in_client timeout 20 "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --count 100 --concurrency 8 \
	--numbered)
is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[100,0]" "another pid name space: and the dead are replaced"
stop_pid "$first"
wait_free dut 8080

# --- a binary upgrade to a library of another version -------------------------------------------

make -C "$BENCH_ROOT" -s -j2 BUILD="$WORLD_DIR/other" CFLAGS="-O1 -DLEDGER_ABI=9999" \
	"$WORLD_DIR/other/librssshim.so" || bench_die "no library of another version"
cp "$BUILD/librssshim.so" "$WORLD_DIR/shim.so"
nginx_conf workers=2 port=8080
nginx_up env "LD_PRELOAD=$WORLD_DIR/shim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini"
members=$(in_dut ss -Hltn "sport = :8080" | wc -l)
is "$members" 6 "two listeners, with two members each"
mv "$WORLD_DIR/other/librssshim.so" "$WORLD_DIR/shim.so"
old=$NGINX_PID
kill -USR2 "$old"
wait_until 20 test -s "$WORLD_DIR/nginx.pid.oldbin" || bench_die "no upgrade"
wait_until 20 test -s "$WORLD_DIR/nginx.pid"
NGINX_PID=$(cat "$WORLD_DIR/nginx.pid")
wait_ready 2 "$NGINX_PID"
# shellcheck disable=SC2046
kill -KILL "$old" $(pgrep -P "$old" | grep -vx "$NGINX_PID")
wait_until 20 bench_gone "$old"
is "$(in_dut ss -Hltn "sport = :8080" | wc -l)" 2 "another version: members went with the old generation"
counts=$(in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --count 200 --concurrency 8 --request /)
is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[200,0]" "another version: the new generation serves all"
kill -QUIT "$NGINX_PID"

done_testing
