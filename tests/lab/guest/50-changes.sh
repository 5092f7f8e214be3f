#!/bin/sh
# What changes under a running proxy is followed: five seconds after each change, and under load all
# the while, both legs of new sessions are aligned again, and no request fails.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh

interrupt_of() { # QUEUE
	sed -n "s/^ *\([0-9]*\):.*virtio0-input\.$1\$/\1/p" /proc/interrupts
}
swap_interrupts() { # QUEUE QUEUE
	_a=/proc/irq/$(interrupt_of "$1")/smp_affinity_list
	_b=/proc/irq/$(interrupt_of "$2")/smp_affinity_list
	_cpu=$(cat "$_a")
	cat "$_b" > "$_a" && echo "$_cpu" > "$_b"
}
rps() { # MASK for all receive queues
	for queue in /sys/class/net/eth0/queues/rx-*; do
		echo "$1" > "$queue/rps_cpus"
	done
}

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
	rss peer stop | tee /dev/stderr | jq -e '.errors == {} and .requests > 100' > /dev/null
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
check "ethtool -X: another key" ethtool -X eth0 hkey "$(
	od -An -v -tx1 -N40 /dev/urandom | tr -s ' \n' ':' | sed 's/^://; s/:$//')"
judge "another key"

# After this the device's RSS is off, although ethtool -x still shows key and table.
check "ethtool -L: two queues" ethtool -L eth0 combined 2
judge "RSS off" in-only
check "ethtool -L and -X: four queues again" sh -c 'ethtool -L eth0 combined 4 && ethtool -X eth0 equal 4'
judge "RSS on again"

check "RPS over all CPUs" rps f
judge "RPS"
check "RPS off" rps 0
judge "RPS off again"

check "no request failed in all that time" lossless
nginx_down
