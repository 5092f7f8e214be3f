#!/usr/bin/env bash
# timeout: 180
# also in make test
# iperf3 both ways, over both families, in parallel and with what it can do to its sockets: how it
# ends and how many streams carried how much, with the server under the shim, and with the client.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/compare.sh"
why=$(bench_lacks) && skip_all "$why"
command -v iperf3 >/dev/null || skip_all "iperf3 is not installed"

compare_up clients=2 upstreams=1

# What a run of a fixed size comes to: streams, and whether all bytes arrived that were sent.
verdict='[(.end.streams | length), ([.end.streams[] | (.receiver // .udp).bytes > 0] | all),
	.end.sum_received.bytes > 0, .error]'
calls() { # COMMAND ARG...: hosts in turn from host_of
	local options i=0
	while read -r options; do
		# What the soft NIC sends to a CPU is TCP.
		[[ $options = -u* && ${host_of[0]} != "$DUT4" ]] && continue
		# shellcheck disable=SC2086 # options are words
		"$@" -c "${host_of[$((++i % 2))]}" -J $options >"$WORLD_DIR/json" 2>&1
		echo "$options: status $? $(jq -c "$verdict" "$WORLD_DIR/json" 2>&1)"
	done <<-END
		-n 40M -P 8
		-n 40M -P 8 -R
		-n 20M
		-n 20M
		-n 20M --bidir
		-k 200 -l 4K -N
		-n 10M -w 64K -M 1000
		-n 10M -Z
		-n 10M --cport 23456
		-u -b 50M -n 2M
		-n 10M --no-such-option
	END
}

for way in $WAYS; do
	spawn_way $way iperf3 -s -p 5201
	SERVER=$SPAWNED
	wait_port dut 5201
	host_of=("$DUT4" "$DUT6")
	# The first call meets a server that waits already; each makes it listen anew.
	sleep 0.6
	calls in_client timeout 30 iperf3 >"$WORLD_DIR/$way.server"
	[ $way = shim ] && is_awake "iperf3's server" "$SERVER" 5
	stop_pid "$SERVER"
done
same "an iperf3 server: $(grep -c 'status 0' "$WORLD_DIR/plain.server") of $(wc -l <"$WORLD_DIR/plain.server") calls succeed" \
	"$WORLD_DIR/plain.server" "$WORLD_DIR/shim.server"

spawn_client iperf3 iperf3 -s -p 5201
SERVER=$SPAWNED
wait_port client 5201
for way in $WAYS; do
	host_of=("$UPSTREAM4" "$UPSTREAM6")
	calls in_way $way timeout 30 taskset -c 1 iperf3 >"$WORLD_DIR/$way.client"
done
same "an iperf3 client: $(grep -c 'status 0' "$WORLD_DIR/plain.client") of $(wc -l <"$WORLD_DIR/plain.client") calls succeed" \
	"$WORLD_DIR/plain.client" "$WORLD_DIR/shim.client"

# Its streams come from ports that lead the replies to the client's CPU.
in_way shim taskset -c 1 iperf3 -c "$UPSTREAM4" -J -n 20M -P 12 |
	jq '.start.connected[].local_port' | sort >"$WORLD_DIR/used"
fitting=$(grep -cxFf <("$BUILD/rssshim" ports --nic rss0 --conf "$WORLD_DIR/policy.ini" \
	--remote "$UPSTREAM4:5201" --local "$DUT4" --cpu 1) "$WORLD_DIR/used")
is "$fitting" 12 "with: all 12 streams have a source port that leads the replies to its CPU"
done_testing
