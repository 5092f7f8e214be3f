#!/bin/sh
# timeout: 240
# What changes under a running proxy is followed: five seconds after each change, and under load all
# the while, both legs of new sessions are aligned again, and no request fails.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh
. /lab/guest/changes.sh

# The upstream leg is judged only where its CPU can be told in advance.
judge() { # WHAT [in-only]
	sleep 5
	for family in 4 6; do
		check "$1: 400 sessions over IPv$family" batch $family 400 /$family/hold
		check "$1: accepted legs aligned" share_is accepted 400 100 100
		[ "$2" ] || check "$1: upstream legs aligned" share_is upstream 400 100 100
	done
}

lossless() {
	rss peer stop | tee /dev/stderr | jq -se '.[0] | .errors == {} and .requests > 100' > /dev/null
}

echo '[shim]' > /tmp/empty.ini
check "nginx starts under the shim" \
	nginx_up env LD_PRELOAD=/lab/bin/librssshim.so RSSSHIM_CONF=/tmp/empty.ini
check "load begins" rss peer load to=$GUEST4 port=$NGINX_PORT path=/4/ clients=2

judge "before any change"

check "interrupts of queues 0 and 3 change places" swap_interrupts 0 3
judge "interrupts moved"

check "ethtool -X: two queues of four" ethtool -X eth0 equal 2
judge "table of two queues"
check "ethtool -X: unequal weights" ethtool -X eth0 weight 1 2 3 4
judge "table by weights"
check "ethtool -X: another key" another_key
judge "another key"

check "ethtool -L: two queues, RSS off" rss_off 2
judge "RSS off" in-only
check "ethtool -L and -X: four queues, RSS on" rss_on
judge "RSS on again"

check "RPS over CPUs 1, 2 and 3" rps e
judge "RPS by a hash of the kernel's own" in-only
check "ethtool -K: the device delivers its hash" ethtool -K eth0 rxhash on
judge "RPS by the device's hash"
check "RPS off" rps 0
judge "RPS off again"

check "no request failed in all that time" lossless
nginx_down
