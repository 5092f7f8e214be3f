#!/bin/sh
# timeout: 200
# nginx as a proxy, no [nic] section: both legs of every session are on one CPU, and held while they
# are looked at.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh
ARRIVE_ON=4

proxy_and_judge() { # WHO JUDGE COUNT
	for family in 4 6; do
		check "$1: $3 proxied sessions over IPv$family" batch $family "$3" /$family/hold
		check "$1: accepted legs $2" "$2" accepted "$3"
		check "$1: upstream legs $2" "$2" upstream "$3"
	done
}

check "plain nginx starts" nginx_up env
proxy_and_judge plain by_chance 300
nginx_down

check "nginx starts under the shim" nginx_up $SHIMMED
proxy_and_judge shim all_aligned 1000
nginx_down
