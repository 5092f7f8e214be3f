#!/bin/bash
# timeout: 900
# also in make test
# One small program per intercepted call and per way around the interception, each checking what
# plain Linux does: alone, under the shim while it steers, where it can only hand over, and where
# connections may move between instances; disabled, with another malloc, from the constructor of a
# library before and after its own, and from a signal handler, also on a stack of its own. QUICK=1:
# the first four.
#
#	tests/compat/behaviour.sh [PROGRAM]...	such as dup epoll
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"
cd "$BENCH_ROOT" || exit 1
make -s BUILD="$BUILD" behaviour >&2 || bench_die "the programs do not build"

SHIM=$BUILD/librssshim.so
JEMALLOC=$(ldconfig -p | sed -n 's/.*libjemalloc\.so\.2.* => //p' | head -1)
# Programs that are about signals, or about threads that signals would go to, have their own.
NOT_IN_HANDLER=" accept_blocking accept_cancel accept_threads connect_storm signal_jump signal_storm small_stacks stack_use threads_storm "

# Programs about waiting for listeners, and about accept().
ABOUT_LISTENERS=" accept accept4 accept_blocking accept_cancel accept_errors accept_prefork accept_threads"
ABOUT_LISTENERS+=" bad_pointers epoll epoll_nested epoll_oneshot forks listen listen_threads poll select threads_storm "
# Programs about epoll, and about descriptors that it may know.
ABOUT_EPOLL=" bad_pointers close close_all close_range closefrom dup epoll epoll_nested epoll_oneshot"
ABOUT_EPOLL+=" epoll_pwait exec forks number_reuse signal_storm threads_storm "

world_up
{
	printf '[shim]\nlog = error\n'
	world_conf
} >"$WORLD_DIR/p.ini"
export BEHAVIOUR_PEER=/run/netns/$CLIENT RSSSHIM_CONF=$WORLD_DIR/p.ini

# Mostly they wait, so some run side by side.
AT_ONCE=3

run_one() { # HARNESS PROGRAM COMMAND ARG...: leaves what it says, then its status
	local harness=$1 name=$2
	shift 2
	in_dut timeout -k 5 60 "${@//PROGRAM/$BUILD/behaviour/$name}" \
		</dev/null >"$WORLD_DIR/$harness.$name" 2>&1
	echo $? >"$WORLD_DIR/$harness.$name.status"
}

judge_one() { # HARNESS PROGRAM
	local status said
	status=$(cat "$WORLD_DIR/$1.$2.status")
	said=$(cat "$WORLD_DIR/$1.$2")
	if [[ $status = 0 && $said = SKIP* ]]; then
		skip "$1: $2" "${said#SKIP }"
	elif [ "$status" = 0 ]; then
		pass "$1: $2"
	else
		not_ok "$1: $2" "status $status" "$said"
	fi
}

[ $# -gt 0 ] || for source in tests/behaviour/*.c; do
	name=$(basename "$source" .c)
	[ "$name" = behaviour ] || set -- "$@" "$name"
done
PROGRAMS=("$@")

run_all() { # HARNESS COMMAND ARG...: PROGRAM in an argument stands for its path
	local harness=$1 name names=() running=()
	shift
	for name in "${PROGRAMS[@]}"; do
		[[ $harness = *handler* && $NOT_IN_HANDLER = *" $name "* ]] && continue
		[[ $harness = hand-over && $ABOUT_LISTENERS != *" $name "* ]] && continue
		[[ $harness = moves && $ABOUT_EPOLL != *" $name "* ]] && continue
		names+=("$name")
		if ((${#running[@]} == AT_ONCE)); then
			wait "${running[0]}"
			running=("${running[@]:1}")
		fi
		run_one "$harness" "$name" "$@" &
		running+=($!)
	done
	wait "${running[@]}"
	for name in "${names[@]}"; do judge_one "$harness" "$name"; done
}

run_all plain PROGRAM
run_all shim env BEHAVIOUR_STEERED=1 LD_PRELOAD="$SHIM" PROGRAM
# Where no group can be had, connections are handed over, and mailboxes stand for members.
run_all hand-over "$BUILD/refuse" cbpf incoming-cpu -- env LD_PRELOAD="$SHIM" PROGRAM
run_all moves env BEHAVIOUR_STEERED=1 RSSSHIM_MIGRATE_MODE=epoll LD_PRELOAD="$SHIM" PROGRAM
[ -n "${QUICK:-}" ] && done_testing && exit
if [ -n "$JEMALLOC" ]; then
	run_all jemalloc env BEHAVIOUR_STEERED=1 LD_PRELOAD="$SHIM:$JEMALLOC" PROGRAM
else
	skip "jemalloc" "libjemalloc2 is not installed"
fi
run_all disabled env RSSSHIM_DISABLE=1 LD_PRELOAD="$SHIM" PROGRAM
# What is named last is constructed first.
run_all "constructor before the shim's" env LD_PRELOAD="$SHIM:PROGRAM.so" /bin/true
run_all "constructor after the shim's" env BEHAVIOUR_STEERED=1 LD_PRELOAD="PROGRAM.so:$SHIM" /bin/true
run_all handler env BEHAVIOUR_STEERED=1 BEHAVIOUR_IN_HANDLER=1 LD_PRELOAD="$SHIM" PROGRAM
run_all "handler on its own stack" env BEHAVIOUR_STEERED=1 BEHAVIOUR_IN_HANDLER=stack LD_PRELOAD="$SHIM" \
	PROGRAM
done_testing
