#!/bin/bash
# timeout: 200
# The policies of conf/ as they are, with the servers configured as those say: every connection of both
# legs is aligned.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"
unset "${!RSSSHIM_@}" LD_PRELOAD
COUNT=500

for policy in "$BENCH_ROOT"/conf/*.ini; do
	ok "${policy##*/} has no mistake" "$BUILD/rssshim" check "$policy"
done

# The kernel has nothing to say of the soft NIC: its section is what a test adds.
world_up clients=4
policy() { # NAME
	{
		cat "$BENCH_ROOT/conf/$1.ini"
		echo
		world_conf
	} >"$WORLD_DIR/$1.ini"
	SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/$1.ini")
}
UPSTREAM=${UPSTREAM4%%,*}
upstream_up port=9000

# judge NAME PID KIND...: connections one by one to port 8080, each leg of each aligned.
judge() {
	local name=$1 kind
	shift
	despite_stalls measure "$@"
	is "$SERVED" "[$COUNT,0]" "$name: all served"
	for kind in "${@:2}"; do is "$(seen $kind)" "[$COUNT,$COUNT]" "$name: $kind"; done
}
measure() { # PID KIND...
	local kind right=0
	SERVED=$(conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count $COUNT --concurrency 1 --request / |
		jq -c '[.ok, .failed]')
	SEEN=$(observe --json --listen 8080 --upstream 9000 "$1")
	conns_release
	for kind in "${@:2}"; do [ "$(seen $kind)" = "[$COUNT,$COUNT]" ] || right=1; done
	[ "$SERVED $right" = "[$COUNT,0] 0" ]
}
seen() { jq -c "[.$1.aligned, .$1.total]" <<<"$SEEN"; }

module=/usr/lib/nginx/modules/ngx_stream_module.so
stream="load_module $module; stream { server { listen 8080 OPTIONS; proxy_pass $UPSTREAM:9000; } }"
# As many idle connections as there are, so that each request's own is seen afterwards.
http="upstream u { server $UPSTREAM:9000; keepalive $COUNT; }"
pass='proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";'

policy nginx
for reuseport in "" reuseport; do
	nginx_conf listen=$reuseport
	nginx_up "${SHIM[@]}"
	judge "nginx, http ${reuseport:-as shipped}" "$NGINX_PID" accepted
	nginx_down
	nginx_conf port=8079 main="${stream/OPTIONS/$reuseport}"
	nginx_up "${SHIM[@]}"
	judge "nginx, stream ${reuseport:-as shipped}" "$NGINX_PID" accepted upstream
	nginx_down
done
# Upstream connections are kept, so only as many as were under way at a time: whichever there are.
nginx_conf http="$http" location="$pass"
nginx_up "${SHIM[@]}"
conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count $COUNT --concurrency 100 --request / >/dev/null
seen=$(observe --json --upstream 9000 --listen 8080 "$NGINX_PID")
is "$(jq '.upstream.total > 1 and .upstream.aligned == .upstream.total' <<<"$seen")" true \
	"nginx, http proxy: every kept upstream connection ($(jq .upstream.total <<<"$seen"))"
conns_release
nginx_down

haproxy_conf() { # BIND-OPTIONS SOURCE
	cat >"$WORLD_DIR/haproxy.cfg" <<-END
		global
		    nbthread 2
		    cpu-map auto:1/1-2 0-1
		    tune.listener.multi-queue off
		    maxconn 4000
		defaults
		    mode tcp
		    timeout client 60s
		    timeout server 60s
		    timeout connect 5s
		listen l
		    bind :8080 $1
		    $2
		    server s $UPSTREAM:9000
	END
}
policy haproxy
for options in "" "shards by-thread"; do
	haproxy_conf "$options" "source $DUT4"
	spawn_dut haproxy "${SHIM[@]}" haproxy -f "$WORLD_DIR/haproxy.cfg"
	HAPROXY=$SPAWNED
	wait_port dut 8080
	wait_ready 2 "$HAPROXY"
	judge "HAProxy ${options:-as shipped}" "$HAPROXY" accepted upstream
	stop_pid "$HAPROXY"
done
done_testing
