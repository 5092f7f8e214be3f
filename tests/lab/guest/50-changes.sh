#!/bin/sh
# timeout: 400
# What changes under a running proxy, and under load, is followed within five seconds: both legs of
# every session that begins later are aligned again, and no request fails all the while.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh
. /lab/guest/changes.sh

# The families take turns.
family=6
sessions() { # JUDGE LEG...: 200 new sessions
	batch $family 200 /$family/hold || return
	_judge=$1
	shift
	for leg; do
		"$_judge" "$leg" 200 || return
	done
}
# What begins after five seconds is judged, and but once: the sessions themselves take long here.
followed() { # JUDGE LEG...
	sleep 5
	sessions "$@"
}
change() { # WHAT JUDGE LEGS CHANGE...
	_what=$1 _how=$2 _legs=$3
	shift 3
	check "$_what" "$@"
	family=$((10 - family))
	check "$_what: sessions over IPv$family: $_legs $_how" followed $_how $_legs
}
both="accepted upstream"

weights_and_key() {
	ethtool -X eth0 weight 1 2 3 4 && another_key
}
lossless() {
	rss peer stop | tee /dev/stderr | jq -se '.[0] | .errors == {} and .requests > 100' > /dev/null
}

check "nginx starts under the shim" nginx_up $SHIMMED
check "load begins" rss peer load to=$GUEST4 port=$NGINX_PORT path=/4/ clients=2

check "before any change" sessions all_aligned $both
change "interrupts of queues 0 and 3 change places" all_aligned "$both" swap_interrupts 0 3
change "ethtool -X: unequal weights, another key" all_aligned "$both" weights_and_key
change "ethtool -X: two queues of four" half_aligned "$both" ethtool -X eth0 equal 2
# Which port leads where cannot be told then.
change "ethtool -L: two queues, RSS off" half_aligned accepted rss_off 2
change "ethtool -L and -X: four queues, RSS on" all_aligned "$both" rss_on
change "RPS by a hash of the kernel's own" all_aligned accepted rps f
change "ethtool -K: RPS by the device's hash" all_aligned "$both" ethtool -K eth0 rxhash on
change "RPS off" all_aligned "$both" rps 0

check "no request failed in all that time" lossless
nginx_down
