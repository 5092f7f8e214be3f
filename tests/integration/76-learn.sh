#!/usr/bin/env bash
# timeout: 500
# Nobody tells how the NIC hashes: no [nic] section, a random key. By watching, proxies have both
# legs of all sessions aligned within 200 sessions of their start; within 300 after another key, another
# table, interrupts that moved, under load that goes on and of which nothing fails.
# Usage: 76-learn.sh [WORD]: only the cases with that word in their names.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

ONLY=${1:-}
LIB=$(cd "$(dirname "$0")/../lib" && pwd)
random_key() { od -An -v -N40 -tx1 /dev/urandom | tr -d '\n' | sed 's/^ //; s/ /:/g'; }
world_up clients=4 upstreams=2 key="$(random_key)"
diag "key $WORLD_KEY"
IFS=, read -ra UP4 <<<"$UPSTREAM4"
IFS=, read -ra UP6 <<<"$UPSTREAM6"
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 1.5 "${UP4[@]}" "${UP6[@]}"
wait_port client 9000

# sessions NAME COUNT: one after the other, answered at once; then they are closed.
sessions() {
	local counts
	counts=$(conns_hold --to "$TO" --from "$FROM" --count "$2" --concurrency 1 --request /now)
	is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[$2,0]" "$1: $2 sessions served"
	conns_release
}

# judged NAME: 1,000 sessions at once, from outside. Of what a proxy keeps open behind them none is
# left of earlier ones.
judged() {
	despite_stalls measure
	is "$SERVED" "[1000,0]" "$1: 1000 sessions served"
	is "$ACCEPTED" "[1000,1000]" "$1: aligned, --listen"
	is "$UPSTREAM" "[1000,1000]" "$1: aligned, --upstream"
}
measure() {
	wait_until 20 no_upstream || diag "connections to the servers are left open"
	SERVED=$(conns_hold --to "$TO" --from "$FROM" --count 1000 --concurrency 1000 --request / |
		jq -c '[.ok, .failed]')
	ACCEPTED=$(observe --json --listen 8080 "$PROXY" | jq -c '[.total, .aligned]')
	UPSTREAM=$(observe --json --upstream 9000 "$PROXY" | jq -c '[.total, .aligned]')
	conns_release
	[ "$SERVED $ACCEPTED $UPSTREAM" = "[1000,0] [1000,1000] [1000,1000]" ]
}

# changed NAME WHAT: connections come and go meanwhile, and until 300 more were accepted.
changed() {
	local load before
	ip netns exec "$CLIENT" "$BUILD/conns" --to "$TO" --from "$FROM" --churn 60 --concurrency 6 \
		--timeout 20 --request /now/soon >"$WORLD_DIR/load" &
	load=$!
	before=$(accepted)
	wait_until 10 has_accepted $((before + 50)) || diag "$1: the load does not start"
	before=$(accepted)
	nic_set "$2"
	wait_until 30 has_accepted $((before + 300)) || diag "$1: the load does not go on"
	kill -TERM "$load"
	wait "$load"
	diag "$1: $(($(accepted) - before)) sessions from the change to the end of the load"
	is "$(jq '[.ok > 300, .failed]' -c "$WORLD_DIR/load")" "[true,0]" "$1: under load, nothing failed"
	judged "$1"
}
accepted() { in_dut "$BUILD/rssshim" stat --json "$PROXY" | jq '[.accept[]] | add'; }
has_accepted() { (($(accepted) >= $1)); }

no_upstream() { [ "$(observe --json --upstream 9000 "$PROXY" | jq .total)" = 0 ]; }

proxy_up() { # FAMILY COMMAND...
	TO=$DUT4:8080 FROM=$CLIENT4
	[ "$1" = 4 ] || TO="[$DUT6]:8080" FROM=$CLIENT6
	shift
	spawn_dut proxy env "LD_PRELOAD=$BUILD/librssshim.so" \
		"RSSSHIM_SHIM_LOG_FILE=$WORLD_DIR/shim.log" RSSSHIM_SHIM_LOG=info "$@"
	PROXY=$SPAWNED
	wait_port dut 8080
	wait_ready 2 "$PROXY"
}

# learns NAME FAMILY COMMAND...: from its start, and after the key was changed.
learns() {
	local name="$1, IPv$2"
	shift
	proxy_up "$@"
	sessions "$name" 200
	judged "$name"
	judged "$name, on and on"
	changed "$name, another key" key="$(random_key)"
	if [ "$name" = "nginx stream, IPv4" ]; then
		changed "$name, another table" table="0 0 1 1"
		changed "$name, interrupts moved" queue_cpus="1 0"
	fi
	stop_pid "$PROXY"
	nic_set table="equal 2" queue_cpus="0 1"
	diag "$(grep -c learned "$WORLD_DIR/shim.log") times: $(grep -m 1 'learned from' "$WORLD_DIR/shim.log")"
	rm -f "$WORLD_DIR/shim.log"
}

# needed: sessions until both legs of all later ones are aligned, of 60; a few are looked at at a time.
FEW=6
needed() {
	local n misses=0
	for ((n = FEW; n <= 60; n += FEW)); do
		conns_hold --to "$TO" --from "$FROM" --count $FEW --concurrency 1 --request /now >/dev/null
		[ "$(observe --json --listen 8080 --upstream 9000 "$PROXY" | jq -c '[.total, .aligned]')" = \
			"[$((2 * FEW)),$((2 * FEW))]" ] || misses=$n
		conns_release
		wait_until 15 no_upstream || diag "connections to the servers are left open"
	done
	echo "$misses"
}

servers() { # FAMILY PREFIX SUFFIX: a line for each upstream address
	local address
	if [ "$1" = 4 ]; then
		for address in "${UP4[@]}"; do echo "$2$address:9000$3"; done
	else
		for address in "${UP6[@]}"; do echo "$2[$address]:9000$3"; done
	fi
}

nginx_text() { # http|stream FAMILY
	cat <<-END
		daemon off;
		worker_processes 2;
		worker_cpu_affinity auto;
		worker_rlimit_nofile 20000;
		pid $WORLD_DIR/nginx.pid;
		error_log $WORLD_DIR/nginx.error.log;
		$([ "$1" = stream ] && echo "load_module /usr/lib/nginx/modules/ngx_stream_module.so;")
		events { worker_connections 9000; }
	END
	if [ "$1" = stream ]; then
		cat <<-END
			stream {
				upstream u { $(servers "$2" "server " ";") }
				server {
					listen 8080 backlog=4096;
					listen [::]:8080 backlog=4096 ipv6only=on;
					proxy_pass u;
				}
			}
		END
		return
	fi
	# What is kept open can be judged; of what is closed each session makes one.
	cat <<-END
		http {
			access_log off;
			client_body_temp_path $WORLD_DIR/t1; proxy_temp_path $WORLD_DIR/t2;
			fastcgi_temp_path $WORLD_DIR/t3; uwsgi_temp_path $WORLD_DIR/t4;
			scgi_temp_path $WORLD_DIR/t5;
			upstream closed { $(servers "$2" "server " ";") }
			upstream kept {
				$(servers "$2" "server " ";")
				keepalive 4000;
				keepalive_timeout 6s;
			}
			server {
				listen 8080 backlog=4096;
				listen [::]:8080 backlog=4096 ipv6only=on;
				keepalive_timeout 300s;
				proxy_http_version 1.1;
				location / { proxy_set_header Connection ''; proxy_pass http://kept; }
				location /now { proxy_pass http://closed; }
			}
		}
	END
}

haproxy_text() { # http|tcp FAMILY
	cat <<-END
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
		  $([ "$1" = http ] && echo "http-reuse never")
		  $(n=0; servers "$2" "" "" | while read -r a; do n=$((n + 1)); echo "server s$n $a"; done)
	END
}

# A few dozen connections from its start, whatever the key.
if [[ "fast start" == *"$ONLY"* ]]; then
	nginx_text stream 4 >"$WORLD_DIR/proxy.conf"
	for _ in {1..5}; do
		nic_set key="$(random_key)"
		proxy_up 4 nginx -p "$WORLD_DIR" -c "$WORLD_DIR/proxy.conf" -e "$WORLD_DIR/nginx.error.log"
		needed
		stop_pid "$PROXY"
	done >"$WORLD_DIR/needed"
	rm -f "$WORLD_DIR/shim.log"
	sessions=$(grep -v '^#' "$WORLD_DIR/needed" | sort -n | xargs)
	is "$(wc -w <<<"$sessions")" 5 "fast start: five keys"
	between "$(cut -d' ' -f3 <<<"$sessions")" $FEW 36 \
		"fast start: both legs aligned after so many sessions: $sessions"
fi

for family in 4 6; do
	for mode in stream http; do
		[[ "nginx $mode, IPv$family" == *"$ONLY"* ]] || continue
		nginx_text $mode $family >"$WORLD_DIR/proxy.conf"
		learns "nginx $mode" $family nginx -p "$WORLD_DIR" -c "$WORLD_DIR/proxy.conf" \
			-e "$WORLD_DIR/nginx.error.log"
	done
	for mode in tcp http; do
		[[ "HAProxy $mode, IPv$family" == *"$ONLY"* ]] || continue
		haproxy_text $mode $family >"$WORLD_DIR/proxy.cfg"
		learns "HAProxy $mode" $family haproxy -f "$WORLD_DIR/proxy.cfg"
	done
done

done_testing
