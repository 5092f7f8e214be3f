#!/bin/sh
# timeout: 200
# nginx as Debian ships it, four pinned workers, no [nic] section: every connection is served on the
# CPU where its packets arrive; without the shim about every fourth.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh
ARRIVE_ON=4

serve_and_judge() { # WHO JUDGE COUNT
	for family in 4 6; do
		check "$1: $3 connections over IPv$family" batch $family "$3" /
		check "$1: $2" "$2" accepted "$3"
	done
}

check "plain nginx starts" nginx_up env
serve_and_judge plain by_chance 500
nginx_down

check "nginx starts under the shim" nginx_up $SHIMMED
serve_and_judge shim all_aligned 1000
nginx_down
