#!/bin/sh
# timeout: 120
# Flows over a bond that stands on a real NIC arrive where the NIC below is predicted to put them, and
# both legs of a proxy are aligned.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh
. /lab/guest/changes.sh
ARRIVE_ON=4

# The addresses move from the NIC to the bond; its RSS is off after it was down.
bond_up() {
	ip addr flush dev eth0
	ip link set eth0 down
	ip link add bond0 type bond mode active-backup
	ip link set eth0 master bond0
	ip addr add $GUEST4/24 dev bond0
	ip addr add $GUEST6/64 dev bond0 nodad
	ip link set bond0 up
	for host in 10.77.0.1 10.77.0.102 10.77.0.103 10.77.0.104 fd77::1 fd77::102 fd77::103 fd77::104; do
		ip neigh replace $host dev bond0 lladdr 52:54:00:77:00:01 nud permanent
	done
	rss_on
	within 10 ping -q -c 1 -W 1 $HOST4
}
predict_agrees() { # in|out 4|6
	rss flows 200 "$1" "$2" > /tmp/flows
	cut -d' ' -f1,2 /tmp/flows | rssshim predict --nic bond0 > /tmp/said
	paste -d' ' /tmp/flows /tmp/said | awk '
		$3 == $4 { right++ }
		{ cpus[$3] }
		END { print right + 0 " of " NR " right"; exit !(right == 200 && NR == 200 && length(cpus) == 4) }'
}

modprobe bonding max_bonds=0
check "a bond over the NIC" bond_up
for family in 4 6; do
	check "200 inbound IPv$family flows arrive where predicted for the bond" predict_agrees in $family
	check "200 outbound IPv$family flows arrive where predicted for the bond" predict_agrees out $family
done
check "nginx starts under the shim" nginx_up $SHIMMED
for family in 4 6; do
	check "200 proxied sessions over IPv$family" batch $family 200 /$family/hold
	check "accepted legs all aligned" all_aligned accepted 200
	check "upstream legs all aligned" all_aligned upstream 200
done
nginx_down
ip link del bond0
