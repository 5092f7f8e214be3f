#!/usr/bin/env bash
# timeout: 200
# A range of ports that gets full: nobody is refused while there is a port, nor kept waiting longer
# than without the shim, and what is refused leaves no trace on the socket.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

LIB=$(cd "$(dirname "$0")/../lib" && pwd)
# A table of three: of all ports only a part fits, and many places of a walk are empty.
world_up clients=1 upstreams=5 table="0 1 0"
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
IFS=, read -ra UP4 <<<"$UPSTREAM4"
IFS=, read -ra UP6 <<<"$UPSTREAM6"
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 "${UP4[@]}" "${UP6[@]}"
wait_port client 9000

# Two processes of several threads fill one destination's whole range: as many as without the shim.
in_dut sysctl -qw net.ipv4.ip_local_port_range="20000 21999"
# fill NAME ADDRESS PREFIX...: to an address of its own each: those of before are in TIME_WAIT. How
# long it takes to be told that there is none left, in TOOK.
fill() {
	local i name=$1 address=$2
	shift 2
	: >"$WORLD_DIR/filled"
	: >"$WORLD_DIR/filled.took"
	for i in 0 1; do
		in_dut taskset -c $i "$@" python3 "$LIB/fill_range.py" "$address" 9000 4 \
			"$WORLD_DIR/filled" &
	done
	wait $(jobs -p | tail -2)
	is "$(awk '{ n += $1 } END { print n }' "$WORLD_DIR/filled")" 2000 \
		"$name: two processes fill a range of 2,000 ports"
	ok "$name: none is refused before it is full" \
		awk '{ if (NR == 1 || $2 < refused) refused = $2; if ($3 > begun) begun = $3 }
			END { print begun, refused; exit !(NR == 2 && begun < refused) }' "$WORLD_DIR/filled"
	TOOK=$(sort -n "$WORLD_DIR/filled.took" | head -1)
}
fill "without the shim" "${UP4[0]}" env
plain=$TOOK
fill "with it" "${UP4[1]}" "${SHIM[@]}"
between "$TOOK" 0 $((plain * 3 / 2 + 20000)) \
	"to be told that there is no port takes $((TOOK / 1000)) us, without the shim $((plain / 1000))"
fill "IPv6" "${UP6[1]}" "${SHIM[@]}"
# The rest of the kernel's range is the kernel's to choose from.
fill "[connect] range of 200" "${UP4[2]}" "${SHIM[@]}" RSSSHIM_CONNECT_RANGE=20600-20799
fill "[connect] range of 8, IPv6" "${UP6[2]}" "${SHIM[@]}" RSSSHIM_CONNECT_RANGE=20600-20607

# [connect] exhausted = fail: aligned, or not at all; and what failed is as good as new.
fails() { # VARIABLE...
	in_dut taskset -c 1 "${SHIM[@]}" "$@" python3 - "${UP4[3]}" "${UP4[4]}" <<-'END'
		import errno, socket, sys
		held = []
		while True:
		    s = socket.socket()
		    try:
		        s.connect((sys.argv[1], 9000))
		    except OSError as error:
		        print(errno.errorcode[error.errno], end=" ")
		        break
		    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
		    s.recv(100)
		    held.append(s)
		ports = [t.getsockname()[1] for t in held]
		right = sum(t.getsockopt(socket.SOL_SOCKET, 49) == 1 for t in held)  # SO_INCOMING_CPU
		print("aligned" if right == len(held) > 50 else f"{right} of {len(held)} aligned", end=" ")
		print("in range" if 20000 <= min(ports) and max(ports) < 20200 else ports, end=" ")
		print(s.getsockopt(socket.IPPROTO_IP, 51), s.getsockname()[1], end=" ")  # IP_LOCAL_PORT_RANGE
		s.connect((sys.argv[2], 9000))
		s.sendall(b"GET / HTTP/1.1\r\n\r\n")
		print("connects elsewhere" if s.recv(100) else "nothing")
	END
}
in_dut sysctl -qw net.ipv4.ip_local_port_range="10000 30000"
is "$(fails RSSSHIM_CONNECT_EXHAUSTED=fail RSSSHIM_CONNECT_RANGE=20000-20199)" \
	"EADDRNOTAVAIL aligned in range 0 0 connects elsewhere" "exhausted = fail"

# A connection that is refused leaves its socket as it would be without the shim.
refused() { # PREFIX...
	in_dut taskset -c 1 "$@" python3 - "${UP4[0]}" "${UP6[0]}" <<-'END'
		import errno, select, socket, sys
		for host in sys.argv[1:]:
		    for blocking in (True, False):
		        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
		        s.setblocking(blocking)
		        for port in (9001, 9001, 9000, 9000):  # nobody, somebody
		            print(errno.errorcode.get(s.connect_ex((host, port)), "connected"), end=" ")
		            if not blocking:
		                select.select([], [s], [], 5)
		                print(errno.errorcode.get(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), end=" ")
		            print(s.getsockopt(socket.IPPROTO_IP, 51), s.getsockname()[0], s.getsockname()[1] != 0,
		                  s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1), end=" ")
		        print(s.getpeername()[:2])
	END
}
is "$(refused "${SHIM[@]}")" "$(refused env)" "a socket that was refused is as without the shim"

done_testing
