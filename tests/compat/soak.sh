#!/usr/bin/env bash
# timeout: 1500
# An nginx proxy under load with reloads, crashes and changes of the NIC at random, without and with
# the shim: the same seed, the same actions. Nothing may fail with it that does not fail without it,
# and neither memory nor descriptors may grow.
#
#	SOAK_SECONDS (600) of load each; SOAK_SEED to have a run again
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

: "${SOAK_SECONDS:=600}" "${SOAK_SEED:=$RANDOM}"
CONCURRENCY=16
TABLES=("equal 2:128" "0 1 1 0" "1 0" "0 0 0 1")
diag "seed $SOAK_SEED, $SOAK_SECONDS s"
world_up clients=4 upstreams=2
# The policy says what is true at the start; afterwards predictions are to be found wrong.
world_conf >"$WORLD_DIR/policy.ini"
upstream_up
IFS=, read -ra UP4 <<<"$UPSTREAM4"
nginx_conf workers=2 port=8080 location='proxy_pass http://up;' http="upstream up {
	server ${UP4[0]}:9000; server ${UP4[1]}:9000; keepalive 8; }"

workers() { pgrep -P "$NGINX_PID"; }
descriptors() { # PID: how many; a number each on a line where it is still there
	local all=(/proc/"$1"/fd/*)
	echo "${#all[@]}"
}
memory() { awk '/^Private_Dirty/ { kb += $2 } END { print kb }' "/proc/$1/smaps_rollup"; }

# act: one of what happens to servers. Counts crashes.
act() {
	local pids
	case $((RANDOM % 4)) in
	0 | 1) kill -HUP "$NGINX_PID" ;;
	2)
		mapfile -t pids < <(workers)
		kill -KILL "${pids[RANDOM % ${#pids[@]}]}" && CRASHES=$((CRASHES + 1))
		;;
	3) nic_set table="${TABLES[RANDOM % ${#TABLES[@]}]}" ;;
	esac
}

# All workers are of the last reload: descriptors and memory can be compared.
settle() {
	nic_set table="${TABLES[0]}"
	kill -HUP "$NGINX_PID"
	wait_until 10 two_workers
	sleep 1
}
two_workers() { [ "$(workers | wc -l)" = 2 ]; }
worker_descriptors() {
	local pid
	for pid in $(workers); do descriptors "$pid"; done | sort -n | tail -1
}

# soak NAME COMMAND...: leaves counts in $WORLD_DIR/NAME.
soak() {
	local name=$1 end load before after
	shift
	RANDOM=$SOAK_SEED CRASHES=0
	nginx_up "$@"
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --count 200 --concurrency 8 \
		--request / </dev/null >/dev/null
	settle
	before=("$(descriptors "$NGINX_PID")" "$(worker_descriptors)" "$(memory "$NGINX_PID")")
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --churn "$SOAK_SECONDS" \
		--concurrency $CONCURRENCY --request / >"$WORLD_DIR/$name" &
	load=$!
	end=$((SECONDS + SOAK_SECONDS - 1))
	while ((SECONDS < end)); do
		sleep "0.$((RANDOM % 7 + 2))"
		act
	done
	wait "$load"
	settle
	after=("$(descriptors "$NGINX_PID")" "$(worker_descriptors)" "$(memory "$NGINX_PID")")
	diag "$name: $CRASHES crashes; descriptors of master and worker, private KB of master: \
${before[*]} -> ${after[*]}" "$(cat "$WORLD_DIR/$name")"
	aligned "$name"
	FAILED_MOST=$((CRASHES * CONCURRENCY))
	GREW=$((after[0] - before[0])) GREW_WORKER=$((after[1] - before[1])) GREW_KB=$((after[2] - before[2]))
	nginx_down
}

# aligned NAME: of 200 connections to what is left after all that, in $WORLD_DIR/NAME.aligned.
aligned() {
	conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 200 --concurrency 1 --request / >/dev/null
	observe --json --listen 8080 "$NGINX_PID" | jq -c '[.aligned, .total]' >"$WORLD_DIR/$1.aligned"
	conns_release
}
of() { jq "$2" "$WORLD_DIR/$1"; }

soak plain
plain_kb=$GREW_KB
soak shim env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/policy.ini" \
	RSSSHIM_SHIM_LOG_FILE="$WORLD_DIR/rssshim.log"
between "$(of shim .ok)" $((SOAK_SECONDS * 100)) 100000000 "it was under load"
for kind in refused timeout bad local; do
	between "$(of shim ".$kind")" 0 "$(of plain ".$kind")" "$kind: no more than without the shim"
done
between "$(of shim '.reset + .short')" 0 "$FAILED_MOST" \
	"reset or cut short: no more than the killed workers can have held"
is "$GREW" 0 "the master has as many descriptors as before"
between "$GREW_WORKER" -100 2 "and so have the workers"
between "$GREW_KB" -100000 $((plain_kb > 0 ? plain_kb + 512 : 512)) "and the master no more memory"
is "$(cat "$WORLD_DIR/shim.aligned")" "[200,200]" "what is left serves every connection on its CPU"
# Each worker says when predictions fail and when they hold again, and here they do all the time.
between "$(wc -l <"$WORLD_DIR/rssshim.log")" 0 $((20 + SOAK_SECONDS * 3)) "the log stays short"
diag "$(sed 's/^rssshim\[[0-9]*\]/rssshim/' "$WORLD_DIR/rssshim.log" | sort | uniq -c | sort -rn | head -20)"
done_testing
