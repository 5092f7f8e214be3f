#!/bin/sh
# timeout: 120
# What an older kernel lacks, refused to this one: the next best takes its place, with a line in the
# log, and the half that does not need it goes on.
. /lab/guest/lib.sh
. /lab/guest/nginx.sh

says() { # TEXT: once for each listener
	cat /tmp/rssshim.log
	test "$(grep -c "$1" /tmp/rssshim.log)" = "$(wc -l < /tmp/rssshim.log)" && test -s /tmp/rssshim.log
}
refused() { # WORD
	: > /tmp/rssshim.log
	chmod 666 /tmp/rssshim.log
	nginx_up refuse "$1" -- $SHIMMED RSSSHIM_SHIM_LOG_FILE=/tmp/rssshim.log
}
serves() { # LEG JUDGE PATH
	batch 4 500 "$3" && "$2" "$1" 500
}

heeded=$(rss incoming)
echo "# SO_INCOMING_CPU is heeded among listeners that share a port: $heeded"
check "nginx starts, the program of a group refused" refused cbpf
if [ "$heeded" = yes ]; then
	check "the log: SO_INCOMING_CPU steers" says "SO_INCOMING_CPU steers"
else
	check "the log: handed over, not left to SO_INCOMING_CPU" says "are handed over"
fi
check "500 connections, all aligned" serves accepted all_aligned /
nginx_down

check "nginx starts, IP_LOCAL_PORT_RANGE refused" refused port-range
check "500 proxied sessions, accepted legs all aligned" serves accepted all_aligned /4/hold
check "upstream legs by chance" by_chance upstream 500
check "the log: ports are left to the kernel" says "no IP_LOCAL_PORT_RANGE"
nginx_down
