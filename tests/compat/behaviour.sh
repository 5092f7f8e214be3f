#!/bin/bash
# timeout: 900
# One small program per intercepted call and per way around the interception, each checking what
# plain Linux does: alone, under the shim while it steers, under the shim with another malloc, from
# the constructor of a library, and from a signal handler.
#
# tests/behaviour/open lists what is known to differ, "HARNESS PROGRAM why": tried all the same, and
# said where it does not differ any more; some of it depends on timing.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"
cd "$BENCH_ROOT" || exit 1
make -s BUILD="$BUILD" behaviour >&2 || bench_die "the programs do not build"

SHIM=$BUILD/librssshim.so
JEMALLOC=$(ldconfig -p | sed -n 's/.*libjemalloc\.so\.2.* => //p' | head -1)
# Programs that are about signals, or about threads that signals would go to, have their own.
NOT_IN_HANDLER=" accept_blocking accept_cancel accept_threads signal_jump signal_storm threads_storm "

world_up
{
	printf '[shim]\nlog = error\n'
	world_conf
} >"$WORLD_DIR/p.ini"
export BEHAVIOUR_PEER=/run/netns/$CLIENT RSSSHIM_CONF=$WORLD_DIR/p.ini

# The programs of one harness, one after another: "STATUS PROGRAM" a line, what they say in files.
run_all() { # HARNESS COMMAND ARG...: PROGRAM in an argument stands for its path
	local harness=$1 source name
	shift
	for source in tests/behaviour/*.c; do
		name=$(basename "$source" .c)
		[ "$name" = behaviour ] && continue
		[[ $harness = handler && $NOT_IN_HANDLER = *" $name "* ]] && continue
		in_dut timeout -k 5 60 "${@//PROGRAM/$BUILD/behaviour/$name}" \
			</dev/null >"$WORLD_DIR/$harness.$name" 2>&1
		echo "$? $name"
	done
}

open_why() { sed -n "s/^$1 $2  *//p" tests/behaviour/open 2>/dev/null; }

judge_all() { # HARNESS COMMAND ARG...
	local harness=$1 status name known said
	while read -r status name; do
		said=$(cat "$WORLD_DIR/$harness.$name")
		known=$(open_why "$harness" "$name")
		if [[ $status = 0 && $said = SKIP* ]]; then
			skip "$harness: $name" "${said#SKIP }"
		elif [ "$status" = 0 ] && [ -n "$known" ]; then
			pass "$harness: $name"
			diag "listed in tests/behaviour/open, and passes here: $known"
		elif [ "$status" = 0 ]; then
			pass "$harness: $name"
		elif [ -n "$known" ]; then
			skip "$harness: $name" "still differs: $known"
		else
			not_ok "$harness: $name" "status $status" "$said"
		fi
	done < <(run_all "$@")
}

judge_all plain PROGRAM
judge_all shim env BEHAVIOUR_STEERED=1 LD_PRELOAD="$SHIM" PROGRAM
if [ -n "$JEMALLOC" ]; then
	judge_all jemalloc env BEHAVIOUR_STEERED=1 LD_PRELOAD="$SHIM:$JEMALLOC" PROGRAM
else
	skip "jemalloc" "libjemalloc2 is not installed"
fi
judge_all constructor env LD_PRELOAD="$SHIM:PROGRAM.so" /bin/true
judge_all handler env BEHAVIOUR_STEERED=1 BEHAVIOUR_IN_HANDLER=1 LD_PRELOAD="$SHIM" PROGRAM
done_testing
