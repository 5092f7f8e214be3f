# What can change under a running application. Source it after lib.sh.

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
rfs() { # ENTRIES of the host's table, and of each queue's
	echo "$1" > /proc/sys/net/core/rps_sock_flow_entries
	for queue in /sys/class/net/eth0/queues/rx-*; do
		echo "$2" > "$queue/rps_flow_cnt"
	done
}

another_key() {
	ethtool -X eth0 hkey "$(od -An -v -tx1 -N40 /dev/urandom | tr -s ' \n' ':' | sed 's/^://; s/:$//')"
}
# The kernel refuses fewer channels while a table set by the user needs them, hence "default".
# Afterwards the device's RSS is off, although ethtool -x shows a key and a table all the same.
rss_off() { # CHANNELS
	ethtool -X eth0 default && ethtool -L eth0 combined "$1"
}
rss_on() {
	ethtool -L eth0 combined 4
	ethtool -X eth0 equal 4
}

# The device anew: nothing else turns a hash that was delivered to RPS off again. "ethtool -K rxhash
# off" leaves this device's RSS without anything to hash, and all packets come to queue 0.
device_up() {
	if [ -e /sys/class/net/eth0 ]; then modprobe -r virtio_net; fi
	modprobe virtio_net
	ip addr add 10.77.0.2/24 dev eth0
	ip addr add fd77::2/64 dev eth0 nodad
	ip link set eth0 up
	for address in 10.77.0.1 10.77.0.102 10.77.0.103 10.77.0.104 \
		fd77::1 fd77::102 fd77::103 fd77::104; do
		ip neigh replace "$address" dev eth0 lladdr 52:54:00:77:00:01 nud permanent
	done
	# RSS is off until this is done, whatever "ethtool -x" shows before. It must come after "up":
	# QEMU stops reading a host queue with a packet for a ring without buffers, and does not see
	# that another ring than that queue's own got some.
	rss_on
	until [ "$(cat /sys/class/net/eth0/operstate)" = up ] && ping -q -c 1 -W 1 10.77.0.1; do
		sleep 0.2
	done
}

# As every test finds the machine.
restore() {
	device_up
	rfs 0 0
	for queue in 0 1 2 3; do
		echo $queue > "/proc/irq/$(interrupt_of $queue)/smp_affinity_list"
		echo "$((1 << queue))" > "/sys/class/net/eth0/queues/tx-$queue/xps_cpus"
	done
	# The first interrupt after its affinity was set still comes to the CPU it was on before.
	python3 /lab/guest/rss.py flows 40 out 4
} > /dev/null
