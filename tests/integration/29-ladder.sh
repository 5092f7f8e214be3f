#!/usr/bin/env bash
# timeout: 200
# The ladder where something is refused: the program of a group, else SO_INCOMING_CPU, else the
# common queue with hand-over, else nothing is touched. Each step down is one line in the log, and
# no connection is lost on any.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

LOG=
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"

# server_up REFUSALS ENVIRONMENT...: nginx, which is refused that.
server_up() {
	local refused=$1
	shift
	LOG=$WORLD_DIR/rssshim.log
	: >"$LOG"
	chmod 666 "$LOG"
	nginx_conf workers=2 port=8080
	# shellcheck disable=SC2086
	nginx_up "$BUILD/refuse" $refused -- env LD_PRELOAD="$BUILD/librssshim.so" \
		RSSSHIM_CONF="$WORLD_DIR/policy.ini" RSSSHIM_SHIM_LOG_FILE="$LOG" "$@"
}

# share FAMILY: opens 400 connections, prints [all answered, aligned in 1000].
share() {
	local to=$DUT4:8080 from=$CLIENT4 counts
	[ "$1" = 4 ] || to="[$DUT6]:8080" from=$CLIENT6
	counts=$(conns_hold --to "$to" --from "$from" --count 400 --concurrency 1 --request /)
	jq -c --argjson seen "$(observe --json --listen 8080 "$NGINX_PID")" \
		'[.failed, $seen.total, ($seen.aligned * 1000 / $seen.total | floor)]' <<<"$counts"
	conns_release
}

judge() { # NAME WANTED
	local family
	for family in 4 6; do
		despite_stalls measure $family "$2"
		is "$SHARE" "$2" "$1, IPv$family: $2"
	done
}
measure() { # FAMILY WANTED
	SHARE=$(share "$1")
	[ "$SHARE" = "$2" ]
}

# said NAME REGEX: a line a listener says it (there is one an address family), and nothing else.
said() {
	is "$(grep -cE "$2" "$LOG")" "${3:-2}" "$1: said once a listener"
	is "$(grep -cvE "$2" "$LOG")" 0 "$1: and nothing else"
}

# reload_under_load NAME: nothing may be lost by it.
reload_under_load() {
	local pid _
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --churn 4 --concurrency 16 \
		--request / >"$WORLD_DIR/load" &
	pid=$!
	for _ in 1 2 3 4 5; do
		sleep 0.5
		kill -HUP "$NGINX_PID"
	done
	wait "$pid"
	is "$(jq .failed "$WORLD_DIR/load")" 0 "$1: five reloads lose nothing of $(jq .ok "$WORLD_DIR/load")"
	wait_renewed 2 2 "$NGINX_PID"
}

server_up ""
judge "nothing refused" "[0,400,1000]"
said "nothing refused" "never said" 0
nginx_down

server_up cbpf
judge "no program" "[0,400,1000]"
said "no program" "port 8080: SO_ATTACH_REUSEPORT_CBPF refused \(error 1\): SO_INCOMING_CPU steers"
reload_under_load "no program"
judge "no program, after five reloads" "[0,400,1000]"
# Nobody is home on one CPU any more: its connections must not wait for ever at its member.
kill -STOP "$(pgrep -P "$NGINX_PID" | head -1)"
served_in_time "no program, a worker is stuck" "--request /"
kill -CONT "$(pgrep -P "$NGINX_PID" | head -1)"
nginx_down

# The kernel spreads what no member prefers over all of them, those nobody watches too.
serve_up() { # ARGUMENT...
	wait_free dut 8080
	spawn_dut serve "$BUILD/refuse" cbpf -- env LD_PRELOAD="$BUILD/librssshim.so" \
		RSSSHIM_CONF="$WORLD_DIR/policy.ini" RSSSHIM_SHIM_LOG=error "$BUILD/serve" --port 8080 "$@"
	wait_port dut 8080
	wait_ready "$WAITING" "$SPAWNED"
}
for wait in epoll accept poll; do
	WAITING=1 serve_up --cpus 1 --wait $wait
	served_in_time "no program, $wait, fewer workers than queues"
	stop_pid "$SPAWNED"
	WAITING=2 serve_up --cpus "0 1" --wait $wait
	kill -KILL "$(pgrep -P "$SPAWNED" | head -1)"
	served_in_time "no program, $wait, a worker is killed and not replaced"
	stop_pid "$SPAWNED"
done

server_up "cbpf incoming-cpu"
judge "no program, no SO_INCOMING_CPU" "[0,400,1000]"
said "no program, no SO_INCOMING_CPU" \
	"port 8080: SO_ATTACH_REUSEPORT_CBPF refused \(error 1\): its connections come over the common queue and are handed over"
reload_under_load "no program, no SO_INCOMING_CPU"
nginx_down

server_up reuseport
judge "no group at all" "[0,400,1000]"
said "no group at all" "port 8080: SO_REUSEPORT refused \(error 1\): .* handed over"
nginx_down

server_up "cbpf incoming-cpu" RSSSHIM_MIGRATE_MODE=off
for family in 4 6; do
	got=$(share $family)
	is "$(jq -c '.[:2]' <<<"$got")" "[0,400]" "nor hand-over, IPv$family: all served"
	between "$(jq '.[2]' <<<"$got")" 100 900 "nor hand-over, IPv$family: as without the shim"
done
said "nor hand-over" "port 8080 is not steered: SO_ATTACH_REUSEPORT_CBPF refused \(error 1\)"
reload_under_load "nor hand-over"
nginx_down

done_testing
