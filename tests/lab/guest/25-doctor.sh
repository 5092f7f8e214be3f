#!/bin/sh
# timeout: 120
# What is put out of order on a real NIC is found by the doctor, whose own command mends it; and what
# stands on the NIC takes its queues over.
. /lab/guest/lib.sh
. /lab/guest/changes.sh

finding() { # TEXT: the finding with that text and the commands below it, to /tmp/finding
	rssshim doctor > /tmp/doctor
	awk -v text="$1" '/^[^ ]/ { on = index($0, text) } on' /tmp/doctor > /tmp/finding
	[ -s /tmp/finding ] || { cat /tmp/doctor; return 1; }
}
is_gone() { # TEXT
	! finding "$1" > /dev/null
}
found_and_mended() { # TEXT
	check "found: $1" finding "$1"
	grep '^  ' /tmp/finding > /tmp/commands
	check "mended by $(head -n 1 /tmp/commands | sed 's/^ *//')" sh -e /tmp/commands
	check "not found again" is_gone "$1"
}

check "nothing is found on a NIC in order" is_gone "eth0: "

rps e
found_and_mended "RPS moves packets on after RSS has spread them"
check "ethtool -N: addresses only" ethtool -N eth0 rx-flow-hash tcp4 sd
found_and_mended "tcp4: only addresses are hashed"
for queue in 0 1 2 3; do echo 2 > "/proc/irq/$(interrupt_of $queue)/smp_affinity_list"; done
found_and_mended "one CPU serves all receive queues"
for queue in 0 1 2 3; do echo $queue > "/proc/irq/$(interrupt_of $queue)/smp_affinity_list"; done
for queue in 0 1 2 3; do echo 1 > /sys/class/net/eth0/queues/tx-$queue/xps_cpus; done
echo f > /sys/class/net/eth0/queues/tx-2/xps_cpus
found_and_mended "XPS: CPU "
check "ethtool -X: a key of nothing but its first byte" \
	ethtool -X eth0 hkey "01$(printf ':00%.0s' $(seq 39))"
found_and_mended "a source port changes 0 of the 7 hash bits"
echo 1 > /sys/class/net/eth0/threaded
found_and_mended "the CPUs of the receive queues are unknown"
check "ethtool -L: two queues" rss_off 2
found_and_mended "RSS is off in the device"
check "ethtool -L: one queue" rss_off 1
found_and_mended "one receive queue, and no RPS behind it"
check "all queues and RSS on" rss_on
echo 0 > /proc/sys/net/ipv4/tcp_migrate_req
found_and_mended "net.ipv4.tcp_migrate_req is off"

says() { # DEV CONDITION
	rssshim nic "$1" --json > /tmp/nic.json
	jq -se ".[0] | $2" /tmp/nic.json || { cat /tmp/nic.json; return 1; }
}
over='.spreads and .predictable_ipv4 and .queue_cpus == [0, 1, 2, 3] and
	.origins.key == "interface below"'

modprobe bonding max_bonds=0
for module in 8021q bridge veth; do modprobe $module; done
for id in 7 8 9; do
	ip link add link eth0 name eth0.$id type vlan id $id
	ip link set eth0.$id up
done
check "a VLAN takes the queues over" says eth0.7 ".kind == \"vlan\" and $over"
ip link add bond0 type bond mode active-backup
for id in 7 8; do
	ip link set eth0.$id down
	ip link set eth0.$id master bond0
done
ip link set bond0 up
check "a bond of VLANs, two storeys up" says bond0 ".kind == \"bond\" and $over"
ip link add br0 type bridge
ip link set bond0 master br0
ip link set br0 up
check "a bridge of that bond, three storeys up" says br0 ".kind == \"bridge\" and $over"
ip link add v0 type veth peer name v1
ip link set v0 master br0
ip link set v0 up
check "with a container on it: not steered when listening, ports as before" \
	says br0 '.spreads_not == "local-link" and .predictable_ipv4'
for dev in br0 bond0 v0 eth0.7 eth0.8 eth0.9; do ip link del $dev; done
