#!/usr/bin/env bash
# timeout: 200
# What cannot be learned is recognised, said once, and left as without the shim; what is told and
# proves wrong is learned; who forces it has it learned; what one program learned its upgrade knows.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

LIB=$(cd "$(dirname "$0")/../lib" && pwd)
RSSSHIM=$BUILD/rssshim
random_key() { od -An -v -N40 -tx1 /dev/urandom | tr -d '\n' | sed 's/^ //; s/ /:/g'; }

world() {
	world_up clients=4 upstreams=2 "$@"
	spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 ${UPSTREAM4//,/ }
	wait_port client 9000
	cat >"$WORLD_DIR/proxy.conf" <<-END
		daemon off;
		worker_processes 2;
		worker_cpu_affinity auto;
		worker_rlimit_nofile 20000;
		pid $WORLD_DIR/nginx.pid;
		error_log $WORLD_DIR/nginx.error.log;
		load_module /usr/lib/nginx/modules/ngx_stream_module.so;
		events { worker_connections 9000; }
		stream {
			upstream u { server ${UPSTREAM4%,*}:9000; server ${UPSTREAM4#*,}:9000; }
			server { listen 8080 backlog=4096; proxy_pass u; }
		}
	END
}

# proxy VARIABLE=VALUE..: in PROXY, its log in $WORLD_DIR/shim.log
proxy() {
	rm -f "$WORLD_DIR/shim.log"
	spawn_dut proxy env "LD_PRELOAD=$BUILD/librssshim.so" RSSSHIM_SHIM_LOG=info \
		"RSSSHIM_SHIM_LOG_FILE=$WORLD_DIR/shim.log" "$@" \
		nginx -p "$WORLD_DIR" -c "$WORLD_DIR/proxy.conf" -e "$WORLD_DIR/nginx.error.log"
	PROXY=$SPAWNED
	wait_port dut 8080
	sleep 1
}

sessions() { # NAME COUNT [CONCURRENCY]
	local counts
	counts=$(conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count "$2" \
		--concurrency "${3:-1}" --request /)
	is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[$2,0]" "$1: $2 sessions served"
}
aligned() { observe --json "$1" "$2" "$PROXY" | jq -c '[.total, .aligned]'; }
said() { grep -c "$1" "$WORLD_DIR/shim.log"; }
both_aligned() { # NAME COUNT
	is "$(aligned --listen 8080) $(aligned --upstream 9000)" "[$2,$2] [$2,$2]" "$1: both legs aligned"
}

# --- sprayed at random over the queues: no function of the flow
world spray=flow
proxy
sessions "sprayed" 1500
is "$(said 'cannot be learned')" 1 "sprayed: said, and once"
like "$(grep 'cannot be learned' "$WORLD_DIR/shim.log")" "rss0: cannot be learned: " \
	"sprayed: of the right interface"
conns_release
lesson=$(in_dut "$RSSSHIM" nic --json rss0)
is "$(jq .spreads <<<"$lesson")" false "sprayed: connections are not steered by CPU"
is "$(jq .predictable_ipv4 <<<"$lesson")" false "sprayed: nor are ports chosen"
stop_pid "$PROXY"
world_down

# --- clients on this very host: packets arrive on the CPU of their sender
world softnic=no
WORLD_QUEUE_CPUS="0 1"
proxy
sessions "same host" 600
lesson=$(in_dut "$RSSSHIM" nic --json rss0)
is "$(jq .spreads <<<"$lesson")" false "same host: connections are not steered by CPU"
is "$(jq .predictable_ipv4 <<<"$lesson")" false "same host: nor are ports chosen"
conns_release
stop_pid "$PROXY"
world_down

# --- a policy with a key that is not the NIC's: disproved, and learned
world key="$(random_key)"
cat >"$WORLD_DIR/policy.ini" <<-END
	[nic rss0]
	hash_key = $(random_key)
	indirection = equal 2
	queue_cpus = 0 1
END
proxy RSSSHIM_CONF="$WORLD_DIR/policy.ini"
sessions "wrong key" 300
conns_release
# A worker that was at it already when another was done says so, too.
between "$(said 'do not arrive on the CPU')" 1 2 "wrong key: noticed"
is "$(said 'learned from')" 1 "wrong key: learned instead"
sessions "wrong key" 1000
both_aligned "wrong key" 1000
conns_release
is "$(in_dut "$RSSSHIM" nic --conf "$WORLD_DIR/policy.ini" --json rss0 | jq .learned.disproved)" true \
	"wrong key: rssshim nic says so"
stop_pid "$PROXY"

# --- hash = learn: what is told is not so much as tried
cat >>"$WORLD_DIR/policy.ini" <<-END
	hash = learn
END
proxy RSSSHIM_CONF="$WORLD_DIR/policy.ini"
sessions "hash = learn" 200
conns_release
is "$(said 'do not arrive on the CPU')" 0 "hash = learn: nothing to be disproved"
sessions "hash = learn" 1000
both_aligned "hash = learn" 1000
conns_release

# --- a steady state: a connection in so many is looked at
looks() { in_dut "$RSSSHIM" nic --conf "$WORLD_DIR/policy.ini" --json rss0 | jq .learned.connections; }
before=$(looks)
sessions "steady" 1000
between $(($(looks) - before)) 20 200 "steady: of 2,000 legs few are looked at"
conns_release
stop_pid "$PROXY"

# --- predict and ports tell of what was learned, and of nothing when nobody learns any more
proxy
sessions "told" 200
remote=${UPSTREAM4%,*}:9000
ports=$(in_dut "$RSSSHIM" ports --nic rss0 --remote "$remote" --local "$DUT4" --cpu 1)
ok "ports: some" test "$(wc -l <<<"$ports")" -gt 1000
port=$(sed -n 100p <<<"$ports")
is "$(in_dut "$RSSSHIM" predict --nic rss0 --remote "$remote" --local "$DUT4:$port" --json | jq .cpu)" 1 \
	"predict: the same"
conns_release
stop_pid "$PROXY"
ok "nobody learns: nothing is told" bash -c \
	"! ip netns exec $DUT $RSSSHIM ports --nic rss0 --remote $remote --local $DUT4 --cpu 1 2>/dev/null"

done_testing
