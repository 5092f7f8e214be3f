#!/bin/sh
# The lab itself: the device is what the other tests take it for. Whether its packets arrive where an
# independent reading of ethtool and /proc says is for 15-changes. No shim is involved.
. /lab/guest/lib.sh

key_is_set() {
	ethtool -x eth0 | grep -Eq '^([0-9a-f]{2}:){39}[0-9a-f]{2}$'
}
toeplitz_is_on() {
	ethtool -x eth0 | grep -q 'toeplitz: on'
}
table_is_round_robin() {
	rss show | jq -se '.[0].table == [range(128) | . % 4]'
}
four_queues() {
	ethtool -l eth0 | sed -n '/Current/,$p' | grep -q '^Combined:[[:space:]]*4$'
}
ports_are_hashed() { # tcp4|tcp6
	test "$(ethtool -n eth0 rx-flow-hash "$1" | grep -Ec 'IP SA|IP DA|L4 bytes')" = 4
}
a_cpu_a_queue() {
	rss show | jq -se '.[0].queue_cpus | sort == [0, 1, 2, 3]'
}

check "four CPUs" test "$(nproc)" = 4
check "ethtool -l shows four queues" four_queues
check "ethtool -x shows a 40-byte key" key_is_set
check "ethtool -x shows Toeplitz on" toeplitz_is_on
check "ethtool -x shows a table of 128, round robin over four queues" table_is_round_robin
check "ethtool -n hashes addresses and ports of tcp4" ports_are_hashed tcp4
check "ethtool -n hashes addresses and ports of tcp6" ports_are_hashed tcp6
check "each queue has an interrupt on a CPU of its own" a_cpu_a_queue
