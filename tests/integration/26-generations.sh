#!/usr/bin/env bash
# timeout: 500
# Who owns a listener's group across generations: reloads, upgrades and crashes under load lose no
# connection that the same test does not lose without the shim, and all is aligned again afterwards.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")

# load SECONDS [MORE]: connections all the time, in the background; counts in $WORLD_DIR/load-*.
load_start() {
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --churn "$1" --concurrency 16 \
		--request / >"$WORLD_DIR/load-close" &
	LOAD_CLOSE=$!
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --churn "$1" --concurrency 16 \
		--request / --requests 50 >"$WORLD_DIR/load-keep" &
	LOAD_KEEP=$!
}
load_end() { wait "$LOAD_CLOSE" "$LOAD_KEEP"; }
failed() { jq -s 'map(.failed) | add' "$WORLD_DIR/load-close" "$WORLD_DIR/load-keep"; }
served() { jq -s 'map(.ok) | add' "$WORLD_DIR/load-close" "$WORLD_DIR/load-keep"; }

# aligned_again NAME PID CHILDREN: every connection made from now on is where it belongs.
aligned_again() {
	wait_renewed 2 "$3" "$2"
	all_aligned "$1: aligned again, IPv4" 4 500 "$2" --request /
	all_aligned "$1: aligned again, IPv6" 6 500 "$2" --request /
}

reload_many() { # MASTER
	local i workers
	for i in $(seq 20); do
		case $((i % 4)) in
		2) workers=1 ;;
		*) workers=2 ;;
		esac
		sed -i "s/^worker_processes .*/worker_processes $workers;/" "$WORLD_DIR/nginx.conf"
		kill -HUP "$1"
		sleep 0.4
	done
}

upgrade() { # MASTER; leaves the new one in UPGRADED
	local old=$1
	kill -USR2 "$old"
	wait_until 20 test -s "$WORLD_DIR/nginx.pid.oldbin" || bench_die "no upgrade"
	sleep 1
	UPGRADED=$(bench_pid_file "$WORLD_DIR/nginx.pid")
	kill -WINCH "$old"
	sleep 1
	kill -QUIT "$old"
	sleep 1
}

kill_workers() { # MASTER
	local i
	for i in $(seq 10); do
		kill -9 "$(pgrep -P "$1" | head -1)"
		sleep 0.2
	done
}

nginx_generations() { # NAME PREFIX...
	local name=$1 lost
	shift
	nginx_conf workers=2 port=8080
	nginx_up "$@"
	load_start 10
	reload_many "$NGINX_PID"
	load_end
	is "$(failed)" 0 "$name: 20 reloads, workers 2, 1, 2, lose nothing ($(served) exchanges)"
	[ $# -eq 0 ] || aligned_again "after 20 reloads" "$NGINX_PID" 2

	load_start 5
	upgrade "$NGINX_PID"
	load_end
	is "$(failed)" 0 "$name: a binary upgrade loses nothing ($(served) exchanges)"
	NGINX_PID=$UPGRADED
	[ $# -eq 0 ] || aligned_again "after a binary upgrade" "$UPGRADED" 2

	load_start 4
	kill_workers "$UPGRADED"
	load_end
	lost=$(failed)
	if [ $# -eq 0 ]; then
		# A worker holds at most what is under way: half of 32, and again what comes at that moment.
		between "$lost" 1 320 "$name: ten times kill -9 fails $lost requests, those it held"
		LOST_PLAIN=$lost
	else
		# What a killed worker held differs from kill to kill.
		between "$lost" 0 $((LOST_PLAIN * 3 / 2 + 32)) \
			"$name: ten times kill -9 fails $lost requests, without the shim $LOST_PLAIN"
	fi
	[ $# -eq 0 ] || aligned_again "after ten times kill -9" "$UPGRADED" 2
	kill -QUIT "$UPGRADED"
	wait_until 20 bench_gone "$UPGRADED"
}

haproxy_generations() { # NAME PREFIX...
	local name=$1 i master
	shift
	cat >"$WORLD_DIR/haproxy.cfg" <<-EOF
		global
		  nbthread 2
		  cpu-map auto:1/1-2 0-1
		  tune.listener.multi-queue off
		  stats socket $WORLD_DIR/haproxy.sock mode 600 level admin expose-fd listeners
		defaults
		  mode http
		  timeout client 60s
		frontend f
		  bind :8080
		  bind :::8080 v6only
		  http-request return status 200 content-type text/plain string hello
	EOF
	spawn_dut haproxy "$@" haproxy -W -f "$WORLD_DIR/haproxy.cfg" -p "$WORLD_DIR/haproxy.pid"
	wait_port dut 8080
	wait_ready 2 "$SPAWNED"
	master=$(bench_pid_file "$WORLD_DIR/haproxy.pid")
	load_start 10
	for i in 1 2 3 4 5; do
		kill -USR2 "$master"
		sleep 1.5
	done
	load_end
	is "$(failed)" 0 "$name: five seamless reloads lose nothing ($(served) exchanges)"
	[ $# -eq 0 ] || aligned_again "after five seamless reloads" "$master" 1
	kill "$master"
	wait_until 20 bench_gone "$master"
}

nginx_generations "nginx, plain"
nginx_generations "nginx" "${SHIM[@]}"
haproxy_generations "HAProxy, plain"
haproxy_generations "HAProxy" "${SHIM[@]}"

done_testing
