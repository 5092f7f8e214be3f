#!/usr/bin/env bash
# timeout: 300
# Outgoing connections of any program, upstreams that move, other NICs, wrong policies.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"

LIB=$(cd "$(dirname "$0")/../lib" && pwd)
world_up clients=4 upstreams=2
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
IFS=, read -ra UP4 <<<"$UPSTREAM4"
IFS=, read -ra UP6 <<<"$UPSTREAM6"
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 "${UP4[@]}" "${UP6[@]}"
wait_port client 9000

# aligned COMMAND...: what a program that prints packet CPUs of its connections, pinned to CPU 1,
# says: "ALL of TOTAL". The CPU is the kernel's SO_INCOMING_CPU, not the shim's.
python_connects() { # COUNT ADDRESS PREFIX...
	local count=$1 address=$2
	shift 2
	in_dut taskset -c 1 "$@" python3 - "$address" "$count" <<-'EOF'
		import socket, sys
		host, count = sys.argv[1], int(sys.argv[2])
		family = socket.AF_INET6 if ":" in host else socket.AF_INET
		held, right = [], 0
		for i in range(count):
		    s = socket.socket(family)
		    s.connect((host, 9000))
		    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
		    s.recv(100)
		    right += s.getsockopt(socket.SOL_SOCKET, 49) == 1  # SO_INCOMING_CPU
		    assert s.getpeername()[:2] == (host, 9000)
		    held.append(s)
		print(right, "of", count)
	EOF
}

for address in "${UP4[0]}" "${UP6[0]}" "${UP4[1]}"; do
	is "$(python_connects 500 "$address" "${SHIM[@]}")" "500 of 500" "python to $address: aligned"
done
between "$(python_connects 500 "${UP4[0]}" env | cut -d' ' -f1)" 150 350 \
	"python without the shim: about half"

# Programs that end: who keeps their connections is the upstream, so look while they are at it.
spawn_dut wrk taskset -c 1 "${SHIM[@]}" wrk -t1 -c200 -d4 "http://${UP4[0]}:9000/"
sleep 1.5
is "$(observe --json --upstream 9000 "$SPAWNED" | jq -c '[.aligned, .total]')" "[200,200]" "wrk: aligned"
stop_pid "$SPAWNED"
# An upstream that lets its clients wait.
spawn_client patient python3 "$LIB/slow_upstream.py" 9002 600 "${UP4[0]}" "${UP6[0]}"
wait_port client 9002
established() { (($(in_dut ss -Htn state established "dport = :$1" | wc -l) >= $2)); }
for address in "${UP4[0]}" "[${UP6[0]}]"; do
	curls=()
	for _ in {1..20}; do
		spawn_dut curl taskset -c 1 "${SHIM[@]}" curl -s "http://$address:9002/"
		curls+=("$SPAWNED")
	done
	wait_until 20 established 9002 20
	is "$(observe --json --upstream 9002 "${curls[@]}" | jq -c '[.aligned, .total]')" "[20,20]" \
		"twenty times curl to $address: aligned"
	for pid in "${curls[@]}"; do stop_pid "$pid"; done
done

# HAProxy's runtime moves a server: the next connects are aligned, nothing is computed anew: two
# options of the socket a connect, and the way to an address is asked for once.
cat >"$WORLD_DIR/haproxy.cfg" <<-EOF
	global
	  nbthread 2
	  cpu-map auto:1/1-2 0-1
	  tune.listener.multi-queue off
	  stats socket $WORLD_DIR/haproxy.sock mode 600 level admin
	defaults
	  mode tcp
	  timeout client 60s
	  timeout server 60s
	  timeout connect 5s
	frontend f
	  bind :8080
	  default_backend b
	backend b
	  server s ${UP4[0]}:9000
EOF
spawn_dut haproxy "${SHIM[@]}" haproxy -f "$WORLD_DIR/haproxy.cfg"
proxy=$SPAWNED
wait_port dut 8080
wait_ready 2 "$proxy"
# traced COMMAND...: what all threads of the proxy do about sockets meanwhile, in $WORLD_DIR/trace.
traced() {
	strace -f -qq -e trace=setsockopt,sendto,connect -o "$WORLD_DIR/trace" -p "$proxy" 2>/dev/null &
	TRACER=$!
	wait_until 20 eval '! grep -q "^TracerPid:.0$" /proc/$proxy/task/*/status' || bench_die "strace does not attach"
	"$@"
	kill -INT "$TRACER"
	wait "$TRACER" 2>/dev/null
	TRACER=
}
TRACER=
end_trace() { [ -z "$TRACER" ] || kill "$TRACER" 2>/dev/null; }
at_exit end_trace
counted() { grep -c "$1" "$WORLD_DIR/trace"; }
asked=1 probed=1 # at its first connect the process asks whether the kernel has that option
for address in "${UP4[0]}" "${UP4[1]}" "${UP4[0]}"; do
	echo "set server b/s addr $address port 9000" | socat - "UNIX-CONNECT:$WORLD_DIR/haproxy.sock" >/dev/null
	traced conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 300 --concurrency 50 --request / >/dev/null
	is "$(observe --json --upstream 9000 "$proxy" | jq -c '[.aligned, .total]')" "[300,300]" \
		"HAProxy, set server addr $address: aligned"
	conns_release
	tries=$(counted 'connect(.*htons(9000)')
	between "$tries" 300 330 "by $tries calls of connect()"
	# Set for each try, taken back once.
	is "$(counted "setsockopt(.*SOL_IP, \(0x33\|IP_LOCAL_PORT_RANGE\|51\)")" $((tries + 300 + probed)) \
		"and two options of the socket each"
	# Two threads may ask at the same time.
	between "$(counted RTM_GETROUTE)" 0 $((asked * 2)) "the way is asked for once"
	probed=0
	[ "$address" = "${UP4[0]}" ] || asked=0
done
stop_pid "$proxy"

# Other NICs: keys, tables, transforms.
for nic in "table=equal 2:512" "table=equal 3:2048 queue_cpus=0 1 0" "table=0 0 0 1 0 0 0 1" \
	"transform=symmetric-xor key=$(openssl rand -hex 40)" \
	"transform=symmetric-or-xor key=$(openssl rand -hex 52)"; do
	words=()
	for word in key table queue_cpus transform; do
		value=$(sed -nE "s/.*\b$word=(([^=]|$)*)( [a-z_]+=.*|$)/\1/p" <<<"$nic")
		[ -z "$value" ] || words+=("$word=$value")
	done
	nic_set "${words[@]}"
	world_conf >"$WORLD_DIR/policy.ini"
	for address in "${UP4[0]}" "${UP6[0]}"; do
		is "$(python_connects 300 "$address" "${SHIM[@]}")" "300 of 300" "$nic, $address: aligned"
	done
done
nic_set table="equal 2" queue_cpus="0 1" transform=none
world_conf >"$WORLD_DIR/policy.ini"

# A policy with a wrong key: noticed, said, no longer believed.
world_conf | sed 's/^hash_key.*/hash_key = '"$(openssl rand -hex 40 | sed 's/../&:/g; s/:$//')"'/' \
	>"$WORLD_DIR/wrong.ini"
log=$WORLD_DIR/wrong.log
in_dut taskset -c 1 env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/wrong.ini" \
	RSSSHIM_SHIM_LOG_FILE="$log" python3 - "${UP4[0]}" <<-'EOF'
	import socket, sys
	for i in range(600):
	    s = socket.socket()
	    s.connect((sys.argv[1], 9000))
	    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
	    s.recv(100)
	    s.close()
EOF
is "$(grep -c rss0 "$log")" 1 "a wrong key: one line names the NIC"
diag "$(cat "$log")"

done_testing
