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
refused() { # WORD...: what that kernel refuses
	: > /tmp/rssshim.log
	chmod 666 /tmp/rssshim.log
	nginx_up refuse "$@" -- $SHIMMED RSSSHIM_SHIM_LOG_FILE=/tmp/rssshim.log
}
serves() { # LEG JUDGE PATH
	batch 4 500 "$3" && "$2" "$1" 500
}

# Mainline heeds it from 6.2 on, Debian's 6.1 by now, too.
heeded=$(rss incoming)
if [ "$heeded" = yes ]; then
	check "nginx starts, the program of a group refused" refused cbpf
	check "the log: SO_INCOMING_CPU steers" says "SO_INCOMING_CPU steers"
	check "500 connections, all aligned" serves accepted all_aligned /
	nginx_down
	check "nginx starts, SO_INCOMING_CPU refused, too" refused cbpf incoming-cpu
else
	skip "SO_INCOMING_CPU steers" "this kernel does not heed it"
	check "nginx starts, the program of a group refused" refused cbpf
fi
check "the log: what waits is handed over" says "are handed over"
check "500 connections, all aligned" serves accepted all_aligned /
nginx_down

check "nginx starts, IP_LOCAL_PORT_RANGE refused" refused port-range
check "500 proxied sessions, accepted legs all aligned" serves accepted all_aligned /4/hold
check "upstream legs all aligned: fewer than may be bound at once" all_aligned upstream 500
check "the log: ports are bound" says "no IP_LOCAL_PORT_RANGE"
nginx_down
