#!/bin/sh
# timeout: 120
# The changes that other tests make do what those tests take for granted: each moves flows, and after
# each the independent prediction still holds, but for "ethtool -L". No shim is involved.
. /lab/guest/lib.sh
. /lab/guest/changes.sh

# Ports and addresses are fixed, so that what moves does so by the change alone.
fingerprint() {
	seq 20000 20199 | sed 's/.*/10.77.0.1 & 10.77.0.2 80/' | rss predict | sha256sum
}
moves() { # CHANGE...
	_before=$(fingerprint)
	"$@" && test "$(fingerprint)" != "$_before"
}
judge() { # WHAT
	check "$1: 200 flows in and 200 out arrive where predicted" rss observe 200 in 4 out 6
}
unpredicted() { # WHAT
	check "$1: the prediction fails" rss observe astray 200 in 4
}

check "interrupts of queues 0 and 3 change places" moves swap_interrupts 0 3
judge "interrupts moved"
check "ethtool -X: two queues of four" moves ethtool -X eth0 equal 2
judge "table of two queues"
check "ethtool -X: unequal weights" moves ethtool -X eth0 weight 1 2 3 4
judge "table by weights"
check "ethtool -X: another key" moves another_key
judge "another key"

check "ethtool -L: two queues" rss_off 2
check "RSS off: ethtool -x shows a table all the same" test "$(rss show | jq '.table | length')" = 128
unpredicted "RSS off"
check "four queues again" rss_on
judge "RSS on again"

check "RPS over CPUs 1, 2 and 3" moves rps e
unpredicted "RPS by a hash of the kernel's own"
check "ethtool -K: the device delivers its hash" ethtool -K eth0 rxhash on
judge "RPS by the device's hash"
check "RPS off" moves rps 0
judge "RPS off again"
