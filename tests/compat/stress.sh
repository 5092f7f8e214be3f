#!/usr/bin/env bash
# timeout: 600
# also in make test
# stress-ng's stressors of sockets, epoll, forks and descriptors, each for some seconds with and
# without the shim, in turn: the same exit status, the same complaints of --verify; what it comes to
# in operations is said.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/compare.sh"
why=$(bench_lacks) && skip_all "$why"
command -v stress-ng >/dev/null || skip_all "stress-ng is not installed"

SECONDS_EACH=4
STRESSORS=(
	"sock"
	"sock --sock-domain ipv6"
	"sock --sock-opts sendmsg"
	"sock --sock-nodelay"
	"sock --sock-if rss0"
	"epoll --epoll-domain ipv4"
	"epoll --epoll-domain ipv6"
	"epoll --epoll-domain unix"
	"sockabuse"
	"sockmany"
	"sockfd"
	"sockpair"
	"poll"
	"fork"
	"vfork"
	"clone"
	"daemon"
	"dup"
	"close"
	"fcntl"
	"open"
	"pidfd"
)
if [ -n "${QUICK:-}" ]; then
	SECONDS_EACH=1
	STRESSORS=("sock" "epoll --epoll-domain ipv4" "sockfd" "vfork" "dup" "close")
fi
compare_up

declare -A OPS
run() { # plain|shim STRESSOR OPTION...: what it says in $WORLD_DIR/WAY, operations a second in OPS
	local way=$1 name=$2
	shift
	(cd "$WORLD_DIR" && in_way "$way" timeout -k 10 60 stress-ng "--$1" 2 "${@:2}" \
		--timeout $SECONDS_EACH --verify --metrics-brief --temp-path "$WORLD_DIR") \
		</dev/null >"$WORLD_DIR/out" 2>&1
	echo "status $?" >"$WORLD_DIR/$way"
	# What went wrong, without process ids and counts.
	grep -E ' (fail|error|warn): ' "$WORLD_DIR/out" | sed -E 's/\[[0-9]+\]//; s/[0-9]+/N/g' |
		sort -u >>"$WORLD_DIR/$way"
	OPS[$way]=$(awk -v name="$name" '$4 == name && $5 ~ /^[0-9]+$/ { print $5 }' "$WORLD_DIR/out")
}

for stressor in "${STRESSORS[@]}"; do
	before=$(steered_listeners)
	for way in $WAYS; do
		# shellcheck disable=SC2086 # a name and its options
		run $way $stressor
	done
	steered=$(($(steered_listeners) - before))
	if grep -q 'unrecognized option\|unknown option' "$WORLD_DIR/out"; then
		skip "$stressor" "this stress-ng has no such stressor"
		continue
	fi
	same "$stressor: $(head -1 "$WORLD_DIR/plain") with and without, ${OPS[plain]} and ${OPS[shim]} operations, $steered listeners steered" \
		"$WORLD_DIR/plain" "$WORLD_DIR/shim"
	# Each way runs once, for some seconds: a bound for what hangs or crawls, not a measurement.
	between "$(awk -v shim="${OPS[shim]}" -v plain="${OPS[plain]}" \
		'BEGIN { print (plain > 0 ? shim / plain : "none") }')" 0.2 1000 "$stressor: gets on"
done
between "$(steered_listeners)" 1 99999999 "$(steered_listeners) listeners of theirs were steered"
done_testing
