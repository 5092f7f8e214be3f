#!/bin/sh
# timeout: 150
# What the command says of a real NIC, against ethtool and /proc read apart from it, and against
# where packets then arrive.
. /lab/guest/lib.sh

# The facts are looked for by value, wherever the JSON has them. (Slurped: of an empty input jq would
# say that all is well.)
nic_says() { # JQ-CONDITION over $all, every value in the JSON, and $want, what was read here
	rssshim nic --json eth0 | jq -es --argjson want "$(rss show)" "[..] as \$all | $1"
}

# One process a flow, so not many: 10-sanity and the ports below have the hundreds.
predict_agrees() { # in|out 4|6
	rss flows 20 "$1" "$2" > /tmp/flows
	while read -r remote local cpu; do
		said=$(rssshim predict --nic eth0 --remote "$remote" --local "$local" |
			sed -n 's/^cpu *//p')
		[ "$said" = "$cpu" ] || echo "$remote $local: arrived on CPU $cpu, predicted $said"
	done < /tmp/flows > /tmp/wrong
	cat /tmp/wrong
	[ "$(wc -l < /tmp/flows)" = 20 ] && [ ! -s /tmp/wrong ]
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

check "nic: the key of ethtool -x" \
	nic_says 'any($all[] | strings | gsub(":"; ""); . == ($want.key | gsub(":"; "")))'
check "nic: the table of ethtool -x" nic_says 'any($all[]; . == $want.table)'
check "nic: the CPU of each queue, as in /proc" nic_says 'any($all[]; . == $want.queue_cpus)'

for family in 4 6; do
	check "predict: 40 inbound IPv$family flows" predict_agrees in $family
	check "predict: 40 outbound IPv$family flows" predict_agrees out $family
	check "ports: 400 outbound IPv$family flows arrive on the CPU asked for" ports_lead_home $family
done
