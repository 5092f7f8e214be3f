#!/bin/sh
# timeout: 400
# What changes under a running proxy is followed: five seconds after each change, and under load all
# the while, both legs of new sessions are aligned again, and no request fails.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh
. /lab/guest/changes.sh

# The families take turns. The upstream leg is judged only where its CPU can be told in advance.
# Under load on this slow machine a worker may be kept from its member until another drains it, hence
# not quite all.
family=6
judge() { # WHAT [accepted only]
	sleep 5
	family=$((10 - family))
	check "$1: 200 sessions over IPv$family" batch $family 200 /$family/hold
	check "$1: accepted legs aligned" share_is accepted 200 95 100
	[ "$2" ] || check "$1: upstream legs aligned" share_is upstream 200 95 100
}
# Two CPUs receive, and the workers of the other two are given a share all the same.
judge_half() { # WHAT
	sleep 5
	family=$((10 - family))
	check "$1: 200 sessions over IPv$family" batch $family 200 /$family/hold
	check "$1: half of the workers are at home" share_is accepted 200 30 70
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
judge_half "table of two queues"
check "ethtool -X: unequal weights" ethtool -X eth0 weight 1 2 3 4
judge "table by weights"
check "ethtool -X: another key" another_key
judge "another key"

check "ethtool -L: two queues, RSS off" rss_off 2
judge_half "RSS off"
check "ethtool -L and -X: four queues, RSS on" rss_on
judge "RSS on again"

check "RPS over all CPUs" rps f
judge "RPS by a hash of the kernel's own" accepted-only
check "ethtool -K: the device delivers its hash" ethtool -K eth0 rxhash on
judge "RPS by the device's hash"
check "RPS off" rps 0
judge "RPS off again"

check "no request failed in all that time" lossless
nginx_down
