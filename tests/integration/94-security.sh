#!/usr/bin/env bash
# timeout: 120
# What others may learn of an application under the shim, or take from it: its source ports cannot be
# guessed, and its memory and its door are closed to other users; a set-id program is left alone. (What
# it takes from the environment, and policy files that others may write: 20-policy.sh.)
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

LIB=$(cd "$(dirname "$0")/../lib" && pwd)
world_up clients=4 upstreams=1
world_conf >"$WORLD_DIR/policy.ini"
chmod 755 "$WORLD_DIR"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 "$UPSTREAM4"
wait_port client 9000

# unguessable NAME COMMAND...: evenly spread, and a process does not tell of the next. Where one is on
# its walk the other side of its connections may know (RFC 6056), nobody else. Of even ones in 16 parts
# one in a million has more than 4 by degree of freedom; of unrelated 400 numbers hardly any
# correlates by 0.25.
unguessable() {
	local name=$1 again=${AGAIN:-0} got
	shift
	got=$(in_dut taskset -c 1 "$@" /usr/bin/python3 "$LIB/ports_statistics.py" "$UPSTREAM4" 9000 400)
	diag "$name: $got"
	between "$(jq .processes.chi <<<"$got")" 0 4 "$name: first ports of 400 processes are spread evenly"
	between "$(jq .processes.correlation <<<"$got")" -0.25 0.25 "$name: one does not tell of the next"
	between "$(jq .processes.again <<<"$got")" 0 40 "$name: hardly one comes twice"
	between "$(jq .one.chi <<<"$got")" 0 4 "$name: 400 ports of one process are spread evenly"
	between "$(jq .one.again <<<"$got")" 0 "$again" "$name: none comes again"
}
unguessable "ports" "${SHIM[@]}"
unguessable "ports without getrandom()" "$BUILD/refuse" getrandom -- "${SHIM[@]}" PYTHONHASHSEED=0
# Ports that are chosen to teach are drawn one by one: of 50 among 28,000 two may be the same.
AGAIN=4 unguessable "ports that teach" "${SHIM[@]}" RSSSHIM_NIC_RSS0_HASH=learn
for _ in 1 2 3; do
	in_dut taskset -c 1 "$BUILD/refuse" getrandom -- "${SHIM[@]}" PYTHONHASHSEED=0 \
		/usr/bin/python3 -c 'import socket, sys
s = socket.create_connection((sys.argv[1], 9000)); print(s.getsockname()[1])' "$UPSTREAM4"
done | sort -u | wc -l >"$WORLD_DIR/different"
is "$(cat "$WORLD_DIR/different")" 3 "ports without getrandom(): started anew, it begins elsewhere"

# A server of root, and what another user can do about it.
nginx_conf workers=2 port=8080
nginx_up "${SHIM[@]}"
sleep 0.5
as_other() { in_dut setpriv --reuid 65533 --regid 65533 --clear-groups "$@"; }
memory=
for fd in /proc/"$NGINX_PID"/fd/*; do
	[[ $(readlink "$fd") = */memfd:rssshim-* ]] && memory+=" $fd"
done
[ -n "$memory" ]
is $? 0 "its memory is where it is looked for"
for fd in $memory; do
	is "$(as_other sh -c 'exec 3<>"$1" && echo opened' - "$fd" 2>/dev/null)" "" \
		"another user cannot open $(readlink "$fd" | sed 's/ .*//')"
done
is "$(as_other "$BUILD/rssshim" stat "$NGINX_PID" 2>/dev/null | head -1)" "" \
	"another user cannot see its statistics"
ok "another user cannot switch it off" eval '! as_other "$BUILD/rssshim" off "$NGINX_PID"'
doors=$(in_dut ss -xlH | awk '/@rssshim-/ { print $5 }')
is "$(wc -l <<<"$doors")" 2 "a door for each of its addresses"
# A right message, and a socket of its own.
cat >"$WORLD_DIR/knock.py" <<'EOF'
import array, socket, struct, sys
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
door.settimeout(3)
own = socket.socket()
own.bind(("127.0.0.1", 0))
own.listen()
got = "nothing"
try:
    door.connect("\0" + sys.argv[1][1:])
    door.sendmsg([struct.pack("III", 0x52535364, int(sys.argv[2]), 0)],
                 [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [own.fileno()]))])
    data, control, flags, _ = door.recvmsg(100, 2000)
    if control:
        got = "descriptors"
except OSError as error:
    got = "nothing"
print(got)
EOF
abi=$(sed -n 's/^#define LEDGER_ABI *//p' "$BENCH_ROOT/shim/group/ledger.h")
for door in $doors; do
	is "$(as_other /usr/bin/python3 "$WORLD_DIR/knock.py" "$door" "$abi")" nothing \
		"another user gets nothing at $door"
	is "$(in_dut /usr/bin/python3 "$WORLD_DIR/knock.py" "$door" "$abi")" nothing \
		"nor does the same user who does not hold the address"
done
all_aligned "and the server is none the worse for it" 4 200 "$NGINX_PID" --request /
nginx_down

# A set-id program gets the library from /etc/ld.so.preload only: what it opens and listens to is what
# it does without.
cp "$BUILD/librssshim.so" "$BUILD/serve" "$WORLD_DIR"
cp "$BUILD/serve" "$WORLD_DIR/serve-set-id"
chmod u+s "$WORLD_DIR/serve-set-id"
# looks PROGRAM PRELOAD: a server started by nobody: is the library in it, its descriptors, how many
# sockets listen on its port.
looks() {
	local fd
	# shellcheck disable=SC2016
	spawn_dut serve unshare --mount sh -c 'mount -t tmpfs none /etc && mkdir /etc/rssshim &&
		cp "$1/policy.ini" /etc/rssshim/default.ini && echo "$3" >/etc/ld.so.preload &&
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$1/$2" --port 8080 --cpus "0 1"' \
		- "$WORLD_DIR" "$1" "$2"
	wait_port dut 8080
	wait_ready 2 "$SPAWNED"
	grep -q librssshim.so "/proc/$SPAWNED/maps" && echo "library"
	for fd in "/proc/$SPAWNED"/fd/*; do
		echo "${fd##*/} $(readlink "$fd" | sed 's/[0-9].*//')"
	done
	in_dut ss -Hltn "sport = :8080" | wc -l
	stop_pid "$SPAWNED"
	wait_free dut 8080
}
plain=$(looks serve "")
steered=$(looks serve "$WORLD_DIR/librssshim.so")
is "$(tail -1 <<<"$plain")" 1 "without the library one socket listens"
between "$(tail -1 <<<"$steered")" 2 99 "with it its members do, too"
is "$(looks serve-set-id "$WORLD_DIR/librssshim.so")" "library
$plain" "but a set-id program has what it has without"
done_testing
