#!/bin/sh
# timeout: 240
# A real RSS driver that tells nothing: all of ethtool is refused. nginx as a proxy learns from 200
# sessions where packets arrive, and has both legs of the next thousand on one CPU.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh

says() { # TEXT: in the log
	cat /tmp/rssshim.log
	grep -q "$1" /tmp/rssshim.log
}

# Before Linux 6.3 ports are bound, a part of the range for each worker, and a port that was given
# back counts for a minute.
echo "1024 65535" > /proc/sys/net/ipv4/ip_local_port_range
: > /tmp/rssshim.log
chmod 666 /tmp/rssshim.log
check "nginx starts under the shim" nginx_up refuse ethtool netlink-generic -- \
	$SHIMMED RSSSHIM_SHIM_LOG=info RSSSHIM_SHIM_LOG_FILE=/tmp/rssshim.log
for family in 4 6; do
	check "200 proxied sessions over IPv$family" batch $family 200 /$family/hold
	check "1000 more" batch $family 1000 /$family/hold
	check "accepted legs all_aligned" all_aligned accepted 1000
	check "upstream legs all_aligned" all_aligned upstream 1000
done
check "the log: learned" says "learned from"
nginx_down
