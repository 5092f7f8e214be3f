#!/bin/sh
# timeout: 180
# nginx as Debian ships it, four pinned workers, no [nic] section: all of 2,000 connections over each
# family are served on the CPU where their packets arrive; without the shim about a
# quarter, or more in a crowd, where the worker woken by the packet's CPU is often the one on it.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh

serve_and_judge() { # WHO LOW HIGH
	for family in 4 6; do
		check "$1: 2,000 connections over IPv$family" batch $family 2000 /
		check "$1: $2 to $3 % of them aligned" share_is accepted 2000 "$2" "$3"
	done
}

echo '[shim]' > /tmp/empty.ini

check "plain nginx starts" nginx_up env
serve_and_judge plain 15 60
nginx_down

check "nginx starts under the shim" \
	nginx_up env LD_PRELOAD=/lab/bin/librssshim.so RSSSHIM_CONF=/tmp/empty.ini
serve_and_judge shim 100 100
nginx_down
