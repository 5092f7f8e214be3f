#!/bin/sh
# timeout: 200
# What the command says of a real NIC, against ethtool and /proc read apart from it, and against
# where packets then arrive.
. /lab/guest/lib.sh
. /lab/guest/changes.sh

# Slurped, because of an empty input jq would say that all is well.
nic_says() { # CONDITION on the JSON and on $want, what was read here
	rssshim nic --json eth0 > /tmp/nic.json
	jq -se --argjson want "$(rss show)" ".[0] | $1" /tmp/nic.json ||
		{ cat /tmp/nic.json; return 1; }
}

# Flows as the kernel saw them arrive, with the CPU; predicted as one batch, in the same order.
predict_agrees() { # in|out 4|6
	rss flows 1000 "$1" "$2" > /tmp/flows
	cut -d' ' -f1,2 /tmp/flows | rssshim predict --nic eth0 > /tmp/said
	paste -d' ' /tmp/flows /tmp/said | awk '
		$3 == $4 { right++ }
		$3 != $4 && ++wrong <= 10 { print $1, $2 ": arrived on CPU " $3 ", predicted " $4 }
		{ cpus[$3] }
		END { print right + 0 " of " NR " right"; exit !(right == 1000 && NR == 1000 && length(cpus) > 1) }'
}

# A quarter of all ports belongs to each CPU; which 100 of them are tried is left to chance.
ports_lead_home() { # 4|6
	if [ "$1" = 4 ]; then remote=$HOST4 local=$GUEST4; else remote="[$HOST6]" local=$GUEST6; fi
	for cpu in 0 1 2 3; do
		rssshim ports --nic eth0 --remote "$remote:8001" --local "$local" --cpu $cpu \
			> /tmp/ports.$cpu
		shuf -n 100 /tmp/ports.$cpu
	done > /tmp/ports
	wc -l /tmp/ports.?
	rss from "$1" < /tmp/ports | awk '
		{ wrong += $1 != int((NR - 1) / 100) }
		END { print NR " ports, " wrong + 0 " led elsewhere"; exit !(NR == 400 && !wrong) }'
}

check "nic: virtio_net, several queues, Toeplitz" \
	nic_says '.driver == "virtio_net" and .multi_queue and .function == "toeplitz"'
check "nic: the fields of ethtool -n, addresses and ports" \
	nic_says '[.fields_ipv4, .fields_ipv6] == ($want.fields |
		map({"2": "addresses", "4": "4-tuple"}["\(.)"])) and $want.fields == [4, 4]'
check "nic: the key of ethtool -x" nic_says '.key == $want.key'
check "nic: the table of ethtool -x" nic_says '.table == $want.table'
check "nic: the queues of ethtool -l, each with the CPU that /proc tells" \
	nic_says '.queues == $want.queues and .queues == 4 and .queue_cpus == $want.queue_cpus'
check "nic: and the four transmit queues" nic_says '.tx_queues == 4 and .tx_cpus == $want.tx_cpus'
check "nic: XPS, a queue for each CPU" nic_says '.xps == $want.xps and (.xps | length) == 4'
check "nic: spreads packets, predictably" \
	nic_says '.spreads and .predictable_ipv4 and .predictable_ipv6'

same_for_nobody() {
	rssshim nic --json eth0 | jq 'del(.net_rx_softirq_share)' > /tmp/root.json
	setpriv --reuid=65534 --regid=65534 --clear-groups rssshim nic --json eth0 |
		jq 'del(.net_rx_softirq_share)' | diff /tmp/root.json - && test -s /tmp/root.json
}
check "nic: an unprivileged user is told the same" same_for_nobody

for family in 4 6; do
	check "predict: 1,000 inbound IPv$family flows" predict_agrees in $family
	check "predict: 1,000 outbound IPv$family flows" predict_agrees out $family
	check "ports: 400 outbound IPv$family flows arrive on the CPU asked for" ports_lead_home $family
done

# Receive flow steering moves packets to where the application reads: nothing is to be chosen then.
plan_deals_in_turn() {
	for port in 1 2 3 4 5 6 7 8 9; do echo "$HOST4 $port $GUEST4 80"; done |
		LD_LIBRARY_PATH=/lab/bin plan -k 2 eth0 | tee /tmp/plan
	grep -q "connections go round robin" /tmp/plan &&
		test "$(sed -n 's/.*: thread \([0-9]*\) on .*/\1/p' /tmp/plan | tr '\n' ' ')" = "0 1 2 3 4 5 6 7 0 "
}
check "RFS on" rfs 32768 2048
check "nic: replies follow, ports are left alone" \
	nic_says '.rfs and .predictable_not_ipv4 == "follows-flow" and .spreads'
check "plan: eight threads in turn" plan_deals_in_turn
check "RFS off" rfs 0 0
check "nic: ports can be chosen again" nic_says '(.rfs | not) and .predictable_ipv4'

# On x86 without interrupt remapping a new affinity is carried out at the next interrupt.
check "interrupts of queues 0 and 3 change places" swap_interrupts 0 3
check "nic: the new CPUs, though no interrupt came yet" \
	nic_says '.queue_cpus == $want.queue_cpus and .queue_cpus[0] == 3'
check "RPS over CPUs 1, 2 and 3" rps e
check "nic: RPS by an unknown hash spreads, but not predictably" \
	nic_says '.rps_cpus == [1, 2, 3] and (.rx_hash or .predictable_ipv4 | not) and .spreads'
check "ethtool -K: the device delivers its hash" ethtool -K eth0 rxhash on
check "nic: RPS by the device's hash is predictable" \
	nic_says '.rps_cpus == [1, 2, 3] and .rx_hash and .predictable_ipv4'
check "predict: 1,000 inbound IPv4 flows, RPS on" predict_agrees in 4
check "predict: 1,000 outbound IPv4 flows, RPS on" predict_agrees out 4
check "predict: 1,000 inbound IPv6 flows, RPS on" predict_agrees in 6
