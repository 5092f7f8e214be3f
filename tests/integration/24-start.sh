#!/usr/bin/env bash
# timeout: 120
# The shim beside other preload libraries: called before its constructor, from another's, from inside
# malloc, under jemalloc, stacked under and over another that wraps the same calls.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

SOURCES=$(cd "$(dirname "$0")/../preload" && pwd)
LIB=$BUILD/librssshim.so
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
for name in early stacked lookup; do
	"${CC:-cc}" -D_GNU_SOURCE -O2 -Wall -Wextra -shared -fPIC -o "$WORLD_DIR/$name.so" \
		"$SOURCES/$name.c" -ldl || exit 1
done
JEMALLOC=$(ls /usr/lib/*/libjemalloc.so.2 2>/dev/null | head -1)

# serves NAME PRELOAD [VARIABLE=VALUE...]: nginx under that is aligned and well.
serves() {
	local name=$1 preload=$2
	shift 2
	nginx_conf workers=2 port=8080
	nginx_up env "LD_PRELOAD=$preload" "RSSSHIM_CONF=$WORLD_DIR/policy.ini" "$@"
	all_aligned "$name" 4 300 "$NGINX_PID" --request /
	nginx_down
}

for order in "$WORLD_DIR/early.so:$LIB" "$LIB:$WORLD_DIR/early.so"; do
	which=first
	[[ $order = $LIB:* ]] && which=last
	ok "a constructor and malloc that call wrappers, preloaded $which: /bin/true" \
		env LD_PRELOAD="$order" /bin/true
	serves "the same with nginx, preloaded $which" "$order"
done
if [ -n "$JEMALLOC" ]; then
	serves "jemalloc before the shim" "$JEMALLOC:$LIB"
	serves "jemalloc behind the shim" "$LIB:$JEMALLOC"
else
	skip "jemalloc" "libjemalloc2 is not installed"
fi
for order in "$WORLD_DIR/stacked.so:$LIB" "$LIB:$WORLD_DIR/stacked.so"; do
	which=over
	[[ $order = $LIB:* ]] && which=under
	: >"$WORLD_DIR/counts"
	chmod 666 "$WORLD_DIR/counts"
	chmod 755 "$WORLD_DIR"
	serves "a library that wraps accept4() too, $which the shim" "$order" \
		"STACKED_COUNTS=$WORLD_DIR/counts"
	is "$(awk '{ sum += $1 } END { print sum + 0 }' "$WORLD_DIR/counts")" $((300 * ROUNDS)) \
		"a library that wraps accept4() too, $which the shim: every connection came through it"
done
lookup=$LIB:$WORLD_DIR/lookup.so
like " $(env LOOKUP_SAYS=1 LD_PRELOAD="$lookup" /bin/true 2>&1 | tr '\n' ' ')" " close .*epoll_wait " \
	"a library whose dlsym() calls wrappers: the shim is asked while it asks"
serves "a library whose dlsym() calls wrappers" "$lookup"

# Only the wrappers and the public interface are exported, and nothing else is needed.
wrapped=$(tr '\n' ' ' <"$SOURCES/../../shim/calls/calls.def" |
	grep -oE 'CALL(_FCNTL)?\(([a-zA-Z_ *]+, *)?[a-z_0-9]+' | sed 's/.*[( ]//')
is "$(nm -D --defined-only "$LIB" | awk '$2 ~ /[TDBVW]/ { print $3 }' | grep -vxF "$wrapped" |
	grep -vE '^(execv|execvp|execl|execlp|execle|rssshim_.*)$')" "" \
	"nothing is exported but wrappers and the public interface"
is "$(comm -23 <(grep -vx name <<<"$wrapped" | sort -u) <(nm -D --defined-only "$LIB" | awk '{ print $3 }' | sort))" "" \
	"and every wrapper is"
is "$(readelf -d "$LIB" | grep -c NEEDED)" 1 "no library is needed but libc"

done_testing
