#!/usr/bin/env bash
# timeout: 2400
# An nginx proxy under load with reloads, crashes and changes of the NIC at random, without and with
# the shim: the same seed, the same actions. Nothing may fail with it that does not fail without it,
# and neither memory nor descriptors may grow.
#
#	SOAK_SECONDS (600) of load each, and a third of that without reloads and crashes; SOAK_SEED to have a run again
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

: "${SOAK_SECONDS:=600}" "${SOAK_SEED:=$RANDOM}"
CONCURRENCY=16 KEPT_ALIVE=8
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
	3) remap ;;
	esac
}
remap() { nic_set table="${TABLES[RANDOM % ${#TABLES[@]}]}"; }

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
workers_memory() {
	local pid kb=0
	for pid in $(workers); do kb=$((kb + $(memory "$pid"))); done
	echo $kb
}

# load NAME SECONDS ACTION: a request a connection by conns, which tells one failure from another, and
# connections kept alive by wrk, while ACTION happens now and then. Counts in $WORLD_DIR/NAME(.wrk).
load() {
	local name=$1 seconds=$2 action=$3 jobs=() end
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --churn "$seconds" \
		--concurrency $CONCURRENCY --request / >"$WORLD_DIR/$name" &
	jobs+=($!)
	in_client wrk -t1 -c$KEPT_ALIVE -d"$seconds" "http://$DUT4:8080/" >"$WORLD_DIR/$name.wrk" 2>&1 &
	jobs+=($!)
	end=$((SECONDS + seconds - 1))
	while ((SECONDS < end)); do
		sleep "0.$((RANDOM % 7 + 2))"
		"$action"
	done
	wait "${jobs[@]}"
}

# soak NAME COMMAND...: leaves counts in files of that name, and in GREW what grew: descriptors of the
# master and of a worker, KB of the master; KB of both workers in a load without reloads and crashes.
soak() {
	local name=$1 before after
	shift
	RANDOM=$SOAK_SEED CRASHES=0
	nginx_up "$@"
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --count 200 --concurrency 8 \
		--request / </dev/null >/dev/null
	settle
	before=("$(descriptors "$NGINX_PID")" "$(worker_descriptors)" "$(memory "$NGINX_PID")")
	load "$name" "$SOAK_SECONDS" act
	settle
	after=("$(descriptors "$NGINX_PID")" "$(worker_descriptors)" "$(memory "$NGINX_PID")")
	# Some of what a worker needs it takes when it first meets a thing.
	load "$name.calm" $((SOAK_SECONDS / 10 + 2)) remap
	nic_set table="${TABLES[0]}"
	before[3]=$(workers_memory)
	load "$name.calm" $((SOAK_SECONDS / 4 + 2)) remap
	nic_set table="${TABLES[0]}"
	after[3]=$(workers_memory)
	diag "$name: $CRASHES crashes; descriptors of master and worker, private KB of master and workers: \
${before[*]} -> ${after[*]}" "$(cat "$WORLD_DIR/$name" "$WORLD_DIR/$name.wrk")"
	aligned "$name"
	GREW=()
	for i in "${!before[@]}"; do GREW[i]=$((after[i] - before[i])); done
	nginx_down
}

# aligned NAME: of 200 connections to what is left after all that, in $WORLD_DIR/NAME.aligned.
aligned() {
	conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 200 --concurrency 1 --request / >/dev/null
	observe --json --listen 8080 "$NGINX_PID" | jq -c '[.aligned, .total]' >"$WORLD_DIR/$1.aligned"
	conns_release
}
of() { jq "$2" "$WORLD_DIR/$1"; }

# Connections that wrk saw fail: refused, reset while in use, without an answer, answered with an error.
wrk_failed() {
	awk '/Socket errors/ { gsub(/[^0-9]+/, " "); n += $1 + $2 + $3 + $4 }
		/Non-2xx/ { n += $NF } END { print n + 0 }' "$WORLD_DIR/$1.wrk"
}
# What a killed worker held differs from kill to kill.
by_kills() { echo $(($1 * 3 / 2 + 2 * CONCURRENCY)); }

soak plain
plain_grew=("${GREW[@]}")
soak shim env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/policy.ini" \
	RSSSHIM_SHIM_LOG_FILE="$WORLD_DIR/rssshim.log"
between "$(of shim .ok)" $((SOAK_SECONDS * 100)) 100000000 "it was under load"
for kind in refused timeout bad local; do
	between "$(of shim ".$kind")" 0 "$(of plain ".$kind")" "$kind: no more than without the shim"
done
between "$(of shim '.reset + .short')" 0 "$(by_kills "$(of plain '.reset + .short')")" \
	"reset or cut short: what killed workers held, as without the shim"
between "$(wrk_failed shim)" 0 "$(by_kills "$(wrk_failed plain)")" \
	"kept alive: failed no more often than without the shim"
is "$(of shim.calm '[.refused, .timeout, .bad, .local, .reset, .short]' | jq -c .),$(wrk_failed shim.calm)" \
	"[0,0,0,0,0,0],0" "nothing fails while only the NIC changes"
is "${GREW[0]}" 0 "the master has as many descriptors as before"
between "${GREW[1]}" -100 2 "and so have the workers"
between "${GREW[2]}" -100000 $((plain_grew[2] > 0 ? plain_grew[2] + 256 : 256)) "and the master no more memory"
between "${GREW[3]}" -100000 $((plain_grew[3] > 0 ? plain_grew[3] + 256 : 256)) "nor have workers that live on"
is "$(cat "$WORLD_DIR/shim.aligned")" "[200,200]" "what is left serves every connection on its CPU"
# Each worker says when predictions fail and when they hold again, and here they do all the time.
between "$(wc -l <"$WORLD_DIR/rssshim.log")" 0 $((20 + SOAK_SECONDS * 4)) "the log stays short"
diag "$(sed 's/^rssshim\[[0-9]*\]/rssshim/' "$WORLD_DIR/rssshim.log" | sort | uniq -c | sort -rn | head -20)"
done_testing
