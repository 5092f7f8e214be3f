#!/bin/sh
# timeout: 120
# CPUs that come and go, and CPUs that an application may not use: what receives is followed, nobody
# waits where no worker is, and who still has a home is served there.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh
. /lab/guest/changes.sh

plug() { # CPU 0|1
	echo "$2" > "/sys/devices/system/cpu/cpu$1/online"
}
queues_are_on() { # CONDITION on the CPUs of the queues, as `rssshim nic` tells them
	rssshim nic --json eth0 | jq -ce ".queue_cpus | $1"
}
served() { # JUDGE
	batch 4 200 / && "$1" accepted 200
}
# What arrives on CPUs 0 and 1 stays there; the rest is shared out.
those_at_home() { # LEG TOTAL
	leg_is "$1" "$2" '.unknown == 0 and .table["0"]["1"] == 0 and .table["1"]["0"] == 0 and
		.aligned > 0.3 * $n and .misaligned > 0.3 * $n'
}

check "nginx starts under the shim" nginx_up $SHIMMED
check "CPU 3 is unplugged" plug 3 0
check "nic: no queue is served there any more" within 5 queues_are_on 'all(. < 3)'
sleep 3
check "200 connections, all aligned on the CPUs that are left" served all_aligned
check "CPU 3 is back" plug 3 1
restore # the driver has dealt its queues out anew, in its own way
check "nic: and so is its queue" within 5 queues_are_on '. == [0, 1, 2, 3]'
for worker in $(pgrep -P "$(master)"); do
	# The kernel took the affinity away with the CPU.
	case $(taskset -pc "$worker") in *": "[0-2]) ;; *) taskset -pc 3 "$worker" > /dev/null ;; esac
done
sleep 3
check "200 connections, all aligned on four CPUs" served all_aligned
nginx_down

echo +cpuset > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/two
echo 0-1 > /sys/fs/cgroup/two/cpuset.cpus
echo 0 > /sys/fs/cgroup/two/cpuset.mems
in_two() {
	sh -c 'echo $$ > /sys/fs/cgroup/two/cgroup.procs && exec "$@"' - "$@"
}
NGINX_WORKERS=2
check "nginx starts in a cpuset of two CPUs" nginx_up in_two $SHIMMED
check "200 connections, those of its CPUs aligned" served those_at_home
in_two rssshim doctor > /tmp/doctor
check "doctor: the other CPUs receive in vain" \
	grep "CPUs 2-3 receive, but no thread may run there" /tmp/doctor
nginx_down
