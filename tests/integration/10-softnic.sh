#!/bin/bash
# The bench itself: packets arrive where an independent Toeplitz says, whatever the key and table;
# a server that knows nothing of it is aligned by chance only; the observer sees that.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

predicted() { # reads `observe --list`; "TOTAL RIGHT"
	python3 "$BENCH_ROOT/tests/lib/toeplitz.py" check "$WORLD_KEY" "$(softnic_table)" \
		"$WORLD_QUEUE_CPUS" "$WORLD_TRANSFORM" "$WORLD_FIELDS"
}

inbound() { # COUNT per family
	local family to from
	for family in 4 6; do
		if [ $family = 4 ]; then to=$DUT4 from=$CLIENT4; else to=[$DUT6] from=$CLIENT6; fi
		conns_hold --to "$to:8080" --from "$from" --count "$1" --request / >/dev/null
		observe --list --listen 8080 "$NGINX_PID"
		conns_release
	done
}

outbound() { # COUNT per family, to two upstream addresses each
	local to
	for to in "${UPSTREAM4%,*}" "${UPSTREAM4#*,}" "[${UPSTREAM6%,*}]" "[${UPSTREAM6#*,}]"; do
		conns_hold dut --to "$to:9000" --count $(($1 / 2)) --request / >/dev/null
		observe --list --upstream 9000 "$(conns_pid)"
		conns_release
	done
}

skewed=
for ((i = 0; i < 512; i++)); do skewed+="$((i * i % 7 == 1)) "; done
random_key=$(od -An -v -tx1 -N52 /dev/urandom | tr -d ' \n')

# The second opinion is itself held against Microsoft's published vectors.
is "$(PYTHONPATH=$BENCH_ROOT/tests/lib python3 -c "
from toeplitz import *
key = bytes.fromhex('${MICROSOFT_KEY//:/}')
print(*('%08x' % toeplitz(key, flow_bytes(*flow)) for flow in (
    (('66.9.149.187', 2794), ('161.142.100.80', 1766)),
    (('3ffe:2501:200:1fff::7', 2794), ('3ffe:2501:200:3::1', 1766)))))")" \
	"51ccc178 40207d3d" "the test's own Toeplitz gives the published hashes"

world_up
nginx_conf
nginx_up
upstream_up

for shape in "equal 2|0 1|$MICROSOFT_KEY" "equal 3:128|0 1 0|$random_key" "$skewed|1 0|$random_key"; do
	IFS='|' read -r table queue_cpus key <<<"$shape"
	nic_set key="$key" table="$table" queue_cpus="$queue_cpus"
	name="table ${table:0:14}, queues on CPUs $queue_cpus"
	is "$(inbound 100 | predicted)" "200 200" "200 inbound connections arrive as predicted: $name"
	is "$(outbound 100 | predicted)" "200 200" "200 outbound connections too: $name"
done

nic_set key="$random_key" table="equal 2" queue_cpus="0 1"
conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 100 --request / >/dev/null
nic_set key="$MICROSOFT_KEY"
conns_again >/dev/null
is "$(observe --list --listen 8080 "$NGINX_PID" | predicted)" "100 100" \
	"a new key moves open connections with their next packet"
conns_release

for family in 4 6; do
	if [ $family = 4 ]; then to=$DUT4 from=$CLIENT4; else to=[$DUT6] from=$CLIENT6; fi
	# One after another: in a crowd the worker that happens to be awake takes the connection, and
	# that is more often the one on the CPU of the packets.
	counts=$(conns_hold --to "$to:8080" --from "$from" --count 1000 --request / --concurrency 1)
	is "$(jq -c '[.ok, .failed, .held]' <<<"$counts")" "[1000,0,1000]" "1000 connections over IPv$family"
	between "$(observe --json --listen 8080 "$NGINX_PID" | jq .share)" 10 90 \
		"plain nginx serves a part of them where they arrive, by chance"
	conns_release
done

world_down
for shape in "symmetric-xor 4-tuple" "symmetric-or-xor 4-tuple" "none addresses"; do
	read -r transform fields <<<"$shape"
	world_up key="$random_key" transform="$transform" fields="$fields" table="equal 4:64" \
		queue_cpus="0 1 1 0"
	nginx_conf
	nginx_up
	is "$(inbound 40 | predicted)" "80 80" "transform $transform, fields $fields: as predicted"
	world_down
done

world_up spray=flow
nginx_conf
nginx_up
is "$(for pid in $(nic_threads); do taskset -pc "$pid"; done | sed 's/.*: //' | sort | xargs)" "0 1" \
	"a kernel thread bound to its CPU runs each queue"
conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 200 --request / >/dev/null
observe --list "$NGINX_PID" | awk '{ print $6, $7 }' | sort >"$WORLD_DIR/before"
conns_again >/dev/null
observe --list "$NGINX_PID" | awk '{ print $6, $7 }' | sort >"$WORLD_DIR/after"
is "$(diff "$WORLD_DIR/before" "$WORLD_DIR/after")" "" "spray=flow: a flow stays where it is"
read -r total right < <(observe --list "$NGINX_PID" | predicted 2>/dev/null)
between "$((100 * right / total))" 30 70 "and the hash says nothing of where"
in_dut "$BUILD/softnic" set rss0 --spray packet
conns_again >/dev/null
observe --list "$NGINX_PID" | awk '{ print $6, $7 }' | sort >"$WORLD_DIR/after"
between "$(diff "$WORLD_DIR/before" "$WORLD_DIR/after" | grep -c '^>')" 60 140 \
	"spray=packet: no flow has a place"
conns_release

# Without it a veth delivers on the CPU of the sender. (No exchange: the acknowledgement of an answer
# would be sent from the CPU the answer came on.)
in_dut "$BUILD/softnic" off rss0
for cpu in 0 1; do
	(
		taskset -pc $cpu $BASHPID >/dev/null
		conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 100 >/dev/null
	)
	between "$(observe --json "$NGINX_PID" | jq ".table[\"$cpu\"] | add")" 95 100 \
		"off: connections of a client on CPU $cpu arrive there"
	conns_release
done

world_down
is "$(ip netns list | grep -c "rssbench-$$-"; ls -d "${TMPDIR:-/tmp}/rssbench-$$".* 2>/dev/null)" 0 \
	"nothing is left behind"
done_testing
