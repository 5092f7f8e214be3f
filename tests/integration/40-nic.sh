#!/bin/bash
# `rssshim nic` and `rssshim doctor` in the namespace of the soft RSS NIC: what it is by itself, what
# a [nic] section makes of it, what stands on it, what is wrong with it.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

shim() { in_dut "$BUILD/rssshim" "$@"; }
fact() { # DEV JQ-EXPRESSION [ARG]...: of rssshim nic DEV --json
	shim nic "$1" "${@:3}" --json | jq -r "$2"
}
doctor() { # sets FOUND and STATUS
	FOUND=$(shim doctor "$@")
	STATUS=$?
}

world_up table="equal 3" queue_cpus="0 1 0"
conf=$WORLD_DIR/nic.ini
world_conf >"$conf"

# --- a container's veth --------------------------------------------------------------------------
is "$(fact rss0 '[.kind, .spreads_not, .predictable_not_ipv4] | join(" ")')" \
	"veth local-link local-link" "by itself the NIC is a veth like any other"
doctor
is "$STATUS" 2 "the doctor calls a namespace without NIC a problem"
like "$FOUND" "problem: no network card is in view, only rss0 \(veth\)" "and says what is there instead"
like "$FOUND" "\[nic rss0\]" "and the section that helps"

# --- with its section ----------------------------------------------------------------------------
is "$(fact rss0 '[.spreads, .predictable_ipv4, .predictable_ipv6] | join(" ")' --conf "$conf")" \
	"true true true" "its section makes it spread, and ports predictable"
is "$(fact rss0 '.queue_cpus | join(" ")' --conf "$conf")" "0 1 0" "with the CPUs of the section"
is "$(fact rss0 '.key' --conf "$conf")" "$WORLD_KEY" "the key"
is "$(fact rss0 '.table | [length, .[0], .[1], .[2], .[3]] | join(" ")' --conf "$conf")" "128 0 1 2 0" \
	"the table"
is "$(fact rss0 '.origins.key' --conf "$conf")" policy "and their origin"
is "$(in_dut env RSSSHIM_CONF="$conf" "$BUILD/rssshim" nic rss0 --json | jq .spreads)" true \
	"RSSSHIM_CONF names the policy as well"
is "$(in_dut env RSSSHIM_CONF="$conf" RSSSHIM_NIC_RSS0_QUEUE_CPUS="1 0 1" "$BUILD/rssshim" nic rss0 \
	--json | jq -c .queue_cpus)" "[1,0,1]" "a variable overrides one value of the section"
text=$(shim nic --conf "$conf")
like "$text" "listening +steered by CPU: packets are spread over CPUs 0-1" "the table says so in words"
like "$text" "connecting +source ports can be chosen" "of both halves"
like "$text" "table +128 entries, equal 3 +\(policy\)" "with a table in one word"
like "$text" "NET_RX SOFTIRQS" "the softirq share of each CPU"
is "$(fact rss0 '.net_rx_softirq_share | add | . > 0.99 and . < 1.01')" true "all shares make one"
like "$text" "lo: loopback: " "and has a line for each other interface"
doctor --conf "$conf"
[[ $FOUND != *problem:* && $STATUS -lt 2 ]] && pass "no problem is left" || not_ok "no problem is left" "$FOUND"

# --- what stands on it ---------------------------------------------------------------------------
in_dut ip link add link rss0 name over0 type macvlan mode private
in_dut ip link set over0 up
in_dut ip link add tunnel0 type vxlan id 3 dev rss0 dstport 4789
is "$(fact over0 '[.kind, .spreads, .predictable_ipv4, .lowers[0], .origins.key] | map(tostring) |
	join(" ")' --conf "$conf")" "macvlan true true rss0 interface below" "a macvlan takes it over"
is "$(fact tunnel0 '[.kind, .spreads_not] | join(" ")' --conf "$conf")" "tunnel tunnel" \
	"a tunnel does not: the outer packets are hashed"
in_dut ip link set tunnel0 up
doctor --conf "$conf"
like "$FOUND" "warning: tunnel0: a tunnel: the NIC hashes the outer packets" "and has a line of the doctor's"
in_dut sh -c "$(sed -n '/tunnel0: a tunnel/{n;p}' <<<"$FOUND")"
doctor --conf "$conf"
[[ $FOUND != *tunnel0* ]] && pass "whose command mends it" || not_ok "whose command mends it" "$FOUND"
in_dut ip link del over0
in_dut ip link del tunnel0

# --- RPS -----------------------------------------------------------------------------------------
in_dut sh -c 'echo 3 > /sys/class/net/rss0/queues/rx-0/rps_cpus'
is "$(fact rss0 '[.spreads, .predictable_not_ipv4, .cpus] | map(tostring) | join(" ")')" \
	"true rps-hash 0-1" "RPS spreads a veth's packets, by a hash of the kernel's own"
in_dut sh -c 'echo 0 > /sys/class/net/rss0/queues/rx-0/rps_cpus'

# --- findings ------------------------------------------------------------------------------------
sed 's/^fields.*/fields = addresses/' "$conf" >"$WORLD_DIR/fields.ini"
doctor --conf "$WORLD_DIR/fields.ini"
is "$STATUS" 2 "fields without ports are a problem"
like "$FOUND" "ethtool -N rss0 rx-flow-hash tcp4 sdfn" "with the command that mends it"

sed 's/^transform.*/transform = symmetric-xor/; s/^hash_key.*/hash_key = '"$(printf '6d:5a:%.0s' {1..20} |
	sed 's/:$//')"'/' "$conf" >"$WORLD_DIR/rank.ini"
doctor --conf "$WORLD_DIR/rank.ini"
like "$FOUND" "a source port changes 0 of the 7 hash bits" "a key that ports cannot change is found"
like "$FOUND" "ethtool -X rss0 hkey" "with a command for another"

sed 's/^queue_cpus.*/queue_cpus = 1 1 1/' "$conf" >"$WORLD_DIR/one.ini"
is "$(fact rss0 .spreads_not --conf "$WORLD_DIR/one.ini")" one-cpu "queues on one CPU do not spread"

in_dut sysctl -qw net.ipv4.ip_local_port_range="40000 40999" net.ipv4.tcp_migrate_req=0
doctor --conf "$conf"
like "$FOUND" "source ports 40000-40999 leave 500" "too few source ports"
like "$FOUND" "sysctl -w net.ipv4.tcp_migrate_req=1" "tcp_migrate_req off"
is "$STATUS" 1 "both are warnings"
in_dut sysctl -qw net.ipv4.ip_local_port_range="32768 60999" net.ipv4.tcp_migrate_req=1
doctor --conf "$conf"
[[ $FOUND != *"source ports"* && $FOUND != *migrate_req* ]] && pass "both gone when mended" ||
	not_ok "both gone when mended" "$FOUND"
# Among no other processes than its own: what these do is not this test's.
is "$(in_dut unshare -pf --mount-proc "$BUILD/rssshim" doctor --conf "$conf" 2>&1; echo "status $?")" \
	"$(printf 'nothing works against alignment\nstatus 0')" "nothing found: status 0"

# The source address of what leaves is rewritten: the hash is of another address than the socket's.
if command -v nft >/dev/null && [ -e /proc/net/nf_conntrack ]; then
	upstream_up
	in_dut ip addr add 10.99.0.77/32 dev rss0
	in_dut nft -f - <<-END
		table ip t {
			chain c { type nat hook postrouting priority 100; ip daddr ${UPSTREAM4%,*} snat to 10.99.0.77; }
		}
	END
	conns_hold dut --to "${UPSTREAM4%,*}:9000" --count 4 --request / >/dev/null
	doctor --conf "$conf"
	like "$FOUND" "connections to ${UPSTREAM4%,*} leave as 10.99.0.77 instead of $DUT4 \(SNAT\)" "SNAT"
	conns_release
	in_dut nft delete table ip t
	in_dut ip addr del 10.99.0.77/32 dev rss0
else
	skip "SNAT" "no nft, or a kernel without /proc/net/nf_conntrack"
fi

# The doctor knows irqbalance by its name; it need not be the program.
cp /bin/sleep "$WORLD_DIR/irqbalance"
spawn_dut irqbalance "$WORLD_DIR/irqbalance" 60
wait_until 20 grep -qx irqbalance "/proc/$SPAWNED/comm"
doctor --conf "$conf"
like "$FOUND" "warning: irqbalance moves receive queues" "irqbalance"
stop_pid "$SPAWNED"

# A shimmed process pinned where nothing is received.
sed 's/^queue_cpus.*/queue_cpus = 0 5 0/' "$conf" >"$WORLD_DIR/five.ini"
spawn_dut pinned env LD_PRELOAD="$BUILD/librssshim.so" taskset -c 1 sleep 60
wait_until 20 grep -q librssshim /proc/"$SPAWNED"/maps
doctor --conf "$WORLD_DIR/five.ini"
like "$FOUND" "sleep \(pid $SPAWNED\) is pinned to CPU 1, where no receive queue is served" \
	"a worker pinned to a CPU without a queue"
like "$FOUND" "CPUs 5 receive, but no thread may run there" "a queue on a CPU outside the cpuset"
# Each is sent to a CPU of its own: on all that receive it would be at home nowhere.
first=$SPAWNED
spawn_dut second env LD_PRELOAD="$BUILD/librssshim.so" taskset -c 1 sleep 60
wait_until 20 grep -q librssshim /proc/"$SPAWNED"/maps
doctor --conf "$WORLD_DIR/five.ini"
is "$(sed -nE "s/^ *taskset -pc ([0-9]+) ($first|$SPAWNED)$/\1/p" <<<"$FOUND" | sort | tr '\n' ' ')" \
	"0 5 " "the commands send two workers to two CPUs that receive"
stop_pid "$SPAWNED"
doctor --conf "$WORLD_DIR/five.ini"
eval "$(grep -E "^ *taskset -pc [0-9]+ $first$" <<<"$FOUND")" >/dev/null
doctor --conf "$WORLD_DIR/five.ini"
[[ $FOUND != *"(pid $first) is pinned"* ]] && pass "which mends it" || not_ok "which mends it" "$FOUND"
stop_pid "$first"

echo 1 >"$WORLD_DIR/isolated"
FOUND=$(in_dut unshare -m sh -c 'mount --bind "$1" /sys/devices/system/cpu/isolated &&
	exec taskset -c 0 "$2" doctor --conf "$3"' - "$WORLD_DIR/isolated" "$BUILD/rssshim" "$conf")
like "$FOUND" "CPUs 1 receive, but are isolated" "a queue on an isolated CPU"
FOUND=$(in_dut taskset -c 0 "$BUILD/rssshim" doctor --conf "$conf")
like "$FOUND" "CPUs 1 receive, but no thread may run there" "and on one that only this shell may not use"

# Two NICs under one bridge that place flows differently.
in_dut sh -c 'for n in a b; do ip link add ${n}0 type veth peer name ${n}1; ip link set ${n}0 up; done
	ip link add br0 type bridge; ip link set br0 up
	ip link set a0 master br0; ip link set b0 master br0'
for dev in a0 b0; do sed "s/rss0/$dev/" "$conf"; done >"$WORLD_DIR/two.ini"
is "$(fact br0 '[.kind, .spreads, .predictable_ipv4] | map(tostring) | join(" ")' \
	--conf "$WORLD_DIR/two.ini")" "bridge true true" "two NICs alike under a bridge are as good as one"
sed -i '/\[nic b0\]/,$s/^queue_cpus.*/queue_cpus = 1 0 1/' "$WORLD_DIR/two.ini"
doctor --conf "$WORLD_DIR/two.ini"
like "$FOUND" "br0: replies may come in by any of several" "two NICs unlike are a problem"
like "$FOUND" "ethtool -X b0 hkey $WORLD_KEY equal 3" "with the command that makes them alike"
in_dut sh -c 'ip link del br0; ip link del a0; ip link del b0'

# --- wrong questions -----------------------------------------------------------------------------
shim nic nosuch0 >/dev/null 2>"$WORLD_DIR/err"
is "$? $(cat "$WORLD_DIR/err")" \
	"1 rssshim nic: nosuch0: no such interface, and no [nic nosuch0] section" "an unknown interface"
shim nic --nosuch >/dev/null 2>&1
is "$?" 2 "an unknown option"
shim doctor rss0 >/dev/null 2>&1
is "$?" 2 "an argument too many"
is "$(shim nic --json | jq -r 'map(.name) | sort | join(" ")')" "lo rss0" "without DEV, all of them"

done_testing
