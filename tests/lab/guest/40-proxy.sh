#!/bin/sh
# timeout: 180
# nginx as a proxy: 1,000 sessions over each family, both legs held. This kernel has no
# IP_LOCAL_PORT_RANGE, so the ports of the upstream leg come by the fallback.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh

proxy_and_judge() { # WHO LOW HIGH
	for family in 4 6; do
		check "$1: 1,000 proxied sessions over IPv$family" batch $family 1000 /$family/hold
		check "$1: $2 to $3 % of the accepted legs aligned" share_is accepted 1000 "$2" "$3"
		check "$1: $2 to $3 % of the upstream legs aligned" share_is upstream 1000 "$2" "$3"
	done
}

echo '[shim]' > /tmp/empty.ini

check "plain nginx starts" nginx_up env
proxy_and_judge plain 15 60
nginx_down

check "nginx starts under the shim" \
	nginx_up env LD_PRELOAD=/lab/bin/librssshim.so RSSSHIM_CONF=/tmp/empty.ini
proxy_and_judge shim 100 100
nginx_down
