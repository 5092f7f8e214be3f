#!/usr/bin/env bash
# timeout: 400
# A short run of what `make asan` and `make tsan` do: the library built with the compiler's
# sanitizers, preloaded into servers and into the behaviour programs about threads and signals.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"
cd "$BENCH_ROOT" || exit 1
"${CC:-cc}" -fsanitize=thread -x c -o /dev/null - <<<'int main(void){return 0;}' 2>/dev/null ||
	skip_all "the compiler has no sanitizers"
make -s BUILD="$BUILD" asan-library tsan-library behaviour >&2 || bench_die "they do not build"

# passes NAME COMMAND...: a script that speaks TAP itself.
passes() {
	local name=$1 output
	shift
	output=$("$@" 2>&1) && grep -q '^1\.\.[1-9]' <<<"$output" && pass "$name" && return
	not_ok "$name" "$(grep -A40 '^not ok' <<<"$output" | head -80)" "$(tail -1 <<<"$output")"
}

for which in asan tsan; do
	passes "$which: servers" tests/sanitize/servers $which 100 "epoll poll accept"
	passes "$which: hand-over" tests/sanitize/hand-over $which 100
	passes "$which: behaviour" tests/sanitize/behaviour $which accept_threads accept_cancel signal_storm threads_storm \
		epoll_nested close_all connect_again connect_storm
done
done_testing
