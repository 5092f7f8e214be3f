#!/usr/bin/env bash
# alone
# timeout: 500
# Both legs of every proxied session on one CPU: nginx and HAProxy, http and plain TCP, with and
# without an address of their own, over IPv4 and IPv6, to several upstream addresses.
# Usage: 31-proxies.sh [WORD]: only the cases with that word in their names.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"

ONLY=${1:-}
COUNT=${COUNT:-2000} # all at once
LIB=$(cd "$(dirname "$0")/../lib" && pwd)
world_up clients=4 upstreams=2 ${WORLD:-}
# Two dozen proxies one after another leave two thirds of a range in TIME_WAIT to one upstream: then 16
# tries are too few now and then.
in_dut sysctl -q -w net.ipv4.tcp_tw_reuse=1
world_conf >"$WORLD_DIR/policy.ini"
# Addresses that no route would choose.
OTHER4=10.99.0.9 OTHER6=fd99::9
ip -n "$DUT" addr add $OTHER4/24 dev rss0
ip -n "$DUT" addr add $OTHER6/64 dev rss0 nodad preferred_lft 0
for address in $OTHER4 $OTHER6; do ip -n "$CLIENT" neigh replace $address lladdr $BENCH_MAC_DUT dev cli0; done
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
IFS=, read -ra UP4 <<<"$UPSTREAM4"
IFS=, read -ra UP6 <<<"$UPSTREAM6"
# No connection of the proxies may fail for want of descriptors here: 2,000 sessions are 4,000 legs.
spawn_client upstream env PAIRS="$WORLD_DIR/pairs" python3 "$LIB/slow_upstream.py" 9000 2 "${UP4[@]}" "${UP6[@]}"
wait_port client 9000

# sessions NAME EXACT PID...: COUNT sessions at once; accepted and upstream legs, from outside.
sessions() {
	local name=$1 exact=$2
	shift 2
	despite_stalls measure "$exact" "$@"
	is "$SERVED" "[$COUNT,0]" "$name: all served"
	if [ "$exact" = exact ]; then
		is "$ACCEPTED" "[$COUNT,$COUNT]" "$name: accepted legs aligned"
		is "$UPSTREAM" "[$COUNT,$COUNT]" "$name: upstream legs aligned"
		[[ $name != *" http"* ]] || is "$BOTH" "[$COUNT,$COUNT]" "$name: both legs of each session"
	else
		between "$(jq '.[1] * 1000 / .[0] | floor' <<<"$UPSTREAM")" 350 650 \
			"$name: about half of the upstream legs aligned"
		# A quarter, more or less: where connections come in a crowd, whoever is awake on the CPU of the
		# packets takes some more, and nearly all where the other CPU is busy.
		between "$(jq '.[1] * 1000 / ([.[0], 1] | max) | floor' <<<"$BOTH")" 50 475 \
			"$name: less than half of the sessions with both legs on the worker's CPU"
		diag "$name: of sessions, and both legs aligned: $BOTH; accepted ones: $ACCEPTED"
	fi
}
measure() { # EXACT PID...
	local exact=$1 right
	shift
	wait_until 20 no_legs "$@" || diag "connections of before are left open"
	: >"$WORLD_DIR/pairs"
	SERVED=$(conns_hold --to "$TO" --from "$FROM" --count "$COUNT" --concurrency "$COUNT" --request / |
		jq -c '[.ok, .failed]')
	ACCEPTED=$(observe --json --listen 8080 "$@" | jq -c '[.total, .aligned]')
	UPSTREAM=$(observe --json --upstream 9000 "$@" | jq -c '[.total, .aligned]')
	BOTH=$(both_legs "$@")
	right=0
	if [ "$exact" = exact ]; then
		[ "$ACCEPTED $UPSTREAM" = "[$COUNT,$COUNT] [$COUNT,$COUNT]" ] || { right=1 && astray "$@"; }
	fi
	conns_release
	[ "$SERVED $right" = "[$COUNT,0] 0" ]
}
no_legs() { [ "$(observe --json --listen 8080 --upstream 9000 "$@" | jq .total)" = 0 ]; }

# both_legs PID...: [OF, BOTH]: of how many sessions the upstream said whose they are, and how many of
# these have both legs on the CPU of the worker.
both_legs() {
	observe --list --listen 8080 --upstream 9000 "$@" | awk -v pairs="$WORLD_DIR/pairs" '
		BEGIN { while ((getline <pairs) > 0) client[$1 $2] = $3 }
		$4 == "accepted" { home[$6] = $9 == "aligned" }
		$4 == "upstream" && (session = client[$5 $6]) in home { total++; both += $9 == "aligned" && home[session] }
		END { printf "[%d,%d]\n", total, both }'
}

# astray PID: some that are not aligned, and what the shim says.
astray() {
	{
		observe --list --listen 8080 --upstream 9000 "$@" | grep -v ' aligned' | head -8
		"$BUILD/rssshim" stat "$1"
	} | while IFS= read -r line; do diag "$line"; done
}

# case_of NAME FAMILY EXACT COMMAND...: the proxy as COMMAND, which leaves its pid file.
run_case() {
	local name=$1 family=$2 exact=$3 pid
	shift 3
	TO=$DUT4:8080 FROM=$CLIENT4
	[ "$family" = 4 ] || TO="[$DUT6]:8080" FROM=$CLIENT6
	rm -f "$WORLD_DIR/proxy.pid"
	spawn_dut proxy "$@"
	wait_port dut 8080
	wait_ready 2 "$SPAWNED"
	sessions "$name, IPv$family" "$exact" "$SPAWNED"
	stop_pid "$SPAWNED"
}

servers() { # FAMILY PREFIX SUFFIX: a line for each upstream address
	local address
	if [ "$1" = 4 ]; then
		for address in "${UP4[@]}"; do echo "$2$address:9000$3"; done
	else
		for address in "${UP6[@]}"; do echo "$2[$address]:9000$3"; done
	fi
}

nginx_text() { # http|stream FAMILY DIRECTIVE
	cat <<-EOF
		daemon off;
		worker_processes 2;
		worker_cpu_affinity auto;
		worker_rlimit_nofile 20000;
		pid $WORLD_DIR/nginx.pid;
		error_log $WORLD_DIR/nginx.error.log;
		$([ "$1" = stream ] && echo "load_module /usr/lib/nginx/modules/ngx_stream_module.so;")
		events { worker_connections 9000; }
		$1 {
		  $([ "$1" = http ] && echo "access_log off; client_body_temp_path $WORLD_DIR/t1;
		    proxy_temp_path $WORLD_DIR/t2; fastcgi_temp_path $WORLD_DIR/t3;
		    uwsgi_temp_path $WORLD_DIR/t4; scgi_temp_path $WORLD_DIR/t5;")
		  upstream u {
		    $(servers "$2" "server " ";")
		    $([ "$1" = http ] && echo "keepalive 4000; keepalive_timeout 6s;")
		  }
		  server {
		    listen 8080 backlog=4096;
		    listen [::]:8080 backlog=4096 ipv6only=on;
		    $([ "$1" = http ] && echo "keepalive_timeout 300s; location / {
		      proxy_http_version 1.1; proxy_set_header Connection '';
		      proxy_set_header X-Session $([ "$2" = 4 ] && echo "\$remote_addr" || echo "[\$remote_addr]"):\$remote_port;")
		    $3
		    proxy_pass $([ "$1" = http ] && echo http://)u;
		    $([ "$1" = http ] && echo "}")
		  }
		}
	EOF
}

nginx_case() { # NAME http|stream DIRECTIVE4 DIRECTIVE6
	local family directive=$3
	[[ $1 == *"$ONLY"* ]] || return
	for family in 4 6; do
		[ $family = 4 ] || directive=$4
		nginx_text "$2" $family "$directive" >"$WORLD_DIR/proxy.conf"
		[ -n "$5" ] && run_case "$1, plain" $family half \
			nginx -p "$WORLD_DIR" -c "$WORLD_DIR/proxy.conf" -e "$WORLD_DIR/nginx.error.log"
		run_case "$1" $family exact "${SHIM[@]}" \
			nginx -p "$WORLD_DIR" -c "$WORLD_DIR/proxy.conf" -e "$WORLD_DIR/nginx.error.log"
	done
}

haproxy_text() { # http|tcp FAMILY SOURCE
	cat <<-EOF
		global
		  nbthread 2
		  cpu-map auto:1/1-2 0-1
		  tune.listener.multi-queue off
		  tune.pool-low-fd-ratio 90
		  tune.pool-high-fd-ratio 95
		  maxconn 6000
		defaults
		  mode $1
		  timeout client 300s
		  timeout server 300s
		  timeout connect 5s
		  $([ "$1" = http ] && echo "timeout http-keep-alive 300s")
		frontend f
		  bind :8080 backlog 4096
		  bind :::8080 v6only backlog 4096
		  default_backend b
		backend b
		  $3
		  $([ "$1" = http ] && echo "http-reuse never
		  http-request set-header X-Session $([ "$2" = 4 ] && echo "%[src]" || echo "[%[src]]"):%[src_port]")
		  $(n=0; servers "$2" "" "" | while read -r a; do n=$((n + 1)); echo "server s$n $a"; done)
	EOF
}

haproxy_case() { # NAME http|tcp SOURCE4 SOURCE6
	local family source=$3
	[[ $1 == *"$ONLY"* ]] || return
	for family in 4 6; do
		[ $family = 4 ] || source=$4
		haproxy_text "$2" $family "$source" >"$WORLD_DIR/proxy.cfg"
		[ -n "$5" ] && run_case "$1, plain" $family half haproxy -f "$WORLD_DIR/proxy.cfg"
		run_case "$1" $family exact "${SHIM[@]}" haproxy -f "$WORLD_DIR/proxy.cfg"
	done
}

nginx_case "nginx http" http "" "" plain
nginx_case "nginx http, proxy_bind" http "proxy_bind $DUT4;" "proxy_bind $DUT6;" ""
nginx_case "nginx stream" stream "" "" ""
nginx_case "nginx stream, proxy_bind of another address" stream "proxy_bind $OTHER4;" "proxy_bind $OTHER6;" ""
haproxy_case "HAProxy http" http "" "" plain
haproxy_case "HAProxy http, source of another address" http "source $OTHER4" "source [$OTHER6]" ""
haproxy_case "HAProxy tcp" tcp "" "" ""
haproxy_case "HAProxy tcp, source" tcp "source $DUT4" "source [$DUT6]" ""

done_testing
