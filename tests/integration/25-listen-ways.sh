#!/usr/bin/env bash
# alone
# timeout: 600
# Every way a server listens: each connection must be served on the CPU where its packets arrive,
# judged from outside, and about half of them without the shim.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

# Usage: 25-listen-ways.sh [WORD]: only the ways with that word in their names.
ONLY=${1:-}
LIB=$(cd "$(dirname "$0")/../lib" && pwd)
WANTED=${COUNT:-2000}
COUNT=$WANTED
CONCURRENCY=1
SERVE_OPTIONS=()
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
echo hello >"$WORLD_DIR/hello"

# What share is served there by chance, in tenths of a percent: half of what a hash spreads over
# sockets; of what workers compete for more or less than that, as it is one or the other of them who
# has the shorter way, or a busy CPU.
SPREAD=(350 650) COMPETED=(100 900)

is_chosen() { [[ $1 == *"$ONLY"* ]]; }

# judge WAY LOW HIGH EXCHANGE PID...: opens COUNT connections over each family and looks.
judge() {
	local way=$1
	shift
	judge_family "$way" 4 "$@"
	judge_family "$way" 6 "$@"
}

# judge_family WAY FAMILY LOW HIGH EXCHANGE PID...: aligned is what is served where its packets arrive,
# in tenths of a percent.
judge_family() {
	local way="$1, IPv$2" family=$2 low=$3 high=$4 to=$DUT4:8080 from=$CLIENT4
	shift 4
	[ "$family" = 4 ] || to="[$DUT6]:8080" from=$CLIENT6
	despite_stalls measure "$@"
	is "$SERVED" "[$COUNT,0]" "$way: all served"
	is "$SEEN" "$COUNT" "$way: all seen from outside"
	between "$SHARE" "$low" "$high" "$way: aligned between $low and $high in 1000"
}

# measure EXCHANGE PID...: with what judge_family() set
measure() {
	local exchange=$1 seen
	shift
	# shellcheck disable=SC2086
	SERVED=$(conns_hold --to "$to" --from "$from" --count "$COUNT" --concurrency "$CONCURRENCY" \
		$exchange | jq -c '[.ok, .failed]')
	seen=$(observe --json --listen 8080 "$@")
	conns_release
	SEEN=$(jq .total <<<"$seen")
	SHARE=$(jq '.aligned * 1000 / .total | floor' <<<"$seen")
	[ "$SERVED $SEEN" = "[$COUNT,0] $COUNT" ] && ((SHARE >= low && SHARE <= high))
}

nginx_way() { # NAME LISTEN-OPTIONS
	local chance=("${COMPETED[@]}")
	is_chosen "$1" || return
	[ "$2" != reuseport ] || chance=("${SPREAD[@]}")
	nginx_conf workers=2 port=8080 ${2:+listen="$2"}
	nginx_up
	judge "$1, plain" "${chance[@]}" "--request /" "$NGINX_PID"
	nginx_down
	nginx_up "${SHIM[@]}"
	judge "$1" 1000 1000 "--request /" "$NGINX_PID"
	CONCURRENCY=64
	judge_family "$1, 64 at a time" 4 1000 1000 "--request /" "$NGINX_PID"
	CONCURRENCY=1
	nginx_down
}

haproxy_conf() { # BIND-OPTIONS
	cat >"$WORLD_DIR/haproxy.cfg" <<-EOF
		global
		  nbthread 2
		  cpu-map auto:1/1-2 0-1
		  tune.listener.multi-queue off
		  maxconn 4000
		defaults
		  mode http
		  timeout client 60s
		  timeout http-keep-alive 60s
		frontend f
		  bind :8080 $1
		  bind :::8080 v6only $1
		  http-request return status 200 content-type text/plain string hello
	EOF
}

haproxy_way() { # NAME BIND-OPTIONS
	is_chosen "$1" || return
	haproxy_conf "$2"
	spawn_dut haproxy-plain haproxy -f "$WORLD_DIR/haproxy.cfg"
	wait_port dut 8080
	wait_ready 2 "$SPAWNED"
	judge "$1, plain" "${COMPETED[@]}" "--request /" "$SPAWNED"
	kill "$SPAWNED"
	wait_gone "$SPAWNED"
	spawn_dut haproxy "${SHIM[@]}" haproxy -f "$WORLD_DIR/haproxy.cfg"
	wait_port dut 8080
	wait_ready 2 "$SPAWNED"
	judge "$1" 1000 1000 "--request /" "$SPAWNED"
	kill "$SPAWNED"
	wait_gone "$SPAWNED"
}

wait_gone() {
	wait_until 20 bench_gone "$1" || bench_die "pid $1 does not end"
	wait_free dut 8080
}

# judge_server NAME FAMILY LOW HIGH COMMAND...: that is, or starts, the small server.
judge_server() {
	local name=$1 family=$2 low=$3 high=$4
	shift 4
	: >"$WORLD_DIR/server.log"
	spawn_dut server "$@"
	wait_port dut 8080
	wait_ready 2 "$SPAWNED"
	judge_family "$name" "$family" "$low" "$high" --numbered "$SPAWNED"
	kill "$SPAWNED"
	wait_gone "$SPAWNED"
}
six() { [ "$1" = 4 ] || echo --ipv6; }

serve_way() { # NAME SERVE-OPTIONS...
	local name=$1 family
	is_chosen "$name" || return
	shift
	for family in 4 6; do
		judge_server "$name" $family 1000 1000 \
			"${SHIM[@]}" "$BUILD/serve" --port 8080 --cpus "0 1" $(six $family) "$@"
	done
}

# plain_way NAME SERVE-OPTIONS...: the same without the shim.
plain_way() {
	local name=$1 family
	is_chosen "$name" || return
	shift
	for family in 4 6; do
		judge_server "$name, plain" $family "${SPREAD[@]}" \
			"$BUILD/serve" --port 8080 --cpus "0 1" $(six $family) "$@"
	done
}

# passed_way NAME HOW ENVIRONMENT...: a listener that listened before the server, without the shim,
# began, and has it from --passed 3 or --received 3.
passed_way() {
	local name=$1 how=$2 family
	is_chosen "$name" || return
	shift 2
	# Another user must be able to read what it runs.
	cp --remove-destination "$BUILD/serve" "$BUILD/librssshim.so" "$WORLD_DIR"
	chmod 755 "$WORLD_DIR"
	local pass=("$@" python3 "$LIB/pass_listener.py")
	local serve=("$WORLD_DIR/serve" --port 8080 --cpus "0 1" "--$how" 3 "${SERVE_OPTIONS[@]}")
	for family in 4 6; do
		# Plain once a way the listener comes, not once a way to wait for it.
		[ ${#SERVE_OPTIONS[@]} -gt 0 ] ||
			judge_server "$name, plain" $family "${COMPETED[@]}" "${pass[@]}" $family 8080 "${serve[@]}"
		judge_server "$name" $family 1000 1000 "${pass[@]}" $family 8080 \
			"${SHIM[@]}" "LD_PRELOAD=$WORLD_DIR/librssshim.so" "${serve[@]}"
	done
}

# other_user_way NAME: of a listener that belongs to another user.
other_user_way() {
	is_chosen "$1" || return
	passed_way "$1" passed env PASS_AS_USER=65534
	between "$(grep -c "a listener belongs to user 0, .* common queue and are handed over" "$WORLD_DIR/server.log")" \
		1 2 "$1: the log says so, once a process"
}

# Independent instances, each pinned to its CPU, on one address.
instances() { # NAME FAMILY LOW HIGH COMMAND...
	local name=$1 family=$2 low=$3 high=$4 cpu pid pids=()
	shift 4
	for cpu in 0 1; do
		spawn_dut instance "$@" --port 8080 --cpus $cpu $(six "$family")
		pids+=("$SPAWNED")
		wait_port dut 8080
		wait_ready 1 "$SPAWNED"
	done
	judge_family "$name" "$family" "$low" "$high" --numbered "${pids[@]}"
	kill "${pids[@]}"
	for pid in "${pids[@]}"; do wait_gone "$pid"; done
}
share_way() {
	local family
	is_chosen "independent instances" || return
	(echo "[listen]"; echo "share = yes"; cat "$WORLD_DIR/policy.ini") >"$WORLD_DIR/share.ini"
	for family in 4 6; do
		# Without the shim they have to bring SO_REUSEPORT themselves.
		instances "independent instances, plain" $family "${SPREAD[@]}" "$BUILD/serve" --own
		instances "independent instances that share" $family 1000 1000 \
			"${SHIM[@]}" "RSSSHIM_CONF=$WORLD_DIR/share.ini" "$BUILD/serve"
	done
}

nginx_way "one inherited listener (nginx)" ""
nginx_way "a listener a worker (nginx reuseport)" reuseport
haproxy_way "one listener in two threads (HAProxy)" ""
haproxy_way "a listener a thread (HAProxy shards)" "shards by-thread"
serve_way "processes that block in accept()" --wait accept
serve_way "processes with level-triggered epoll" --wait epoll
serve_way "processes with edge-triggered epoll" --wait edge
serve_way "processes with one-shot epoll" --wait oneshot
serve_way "threads with epoll" --wait epoll --threads
serve_way "processes with poll()" --wait poll
# No more than a set holds in one process, should all go there.
COUNT=$((COUNT < 900 ? COUNT : 900))
serve_way "processes with select()" --wait select
COUNT=$WANTED
plain_way "processes with a listener each" --own
serve_way "processes with a listener each" --own
passed_way "a listener left open over exec" passed env
passed_way "socket activation" passed env PASS_LISTEN_FDS=1
passed_way "a listener that comes in a message" received env PASS_BY_MESSAGE=1
share_way

# The kernel groups sockets of one user only: hand-over in place of members.
for wait in epoll edge accept poll; do
	SERVE_OPTIONS=(--wait $wait)
	other_user_way "a listener of another user, processes with $wait"
done
SERVE_OPTIONS=(--threads)
other_user_way "a listener of another user, threads"

done_testing
