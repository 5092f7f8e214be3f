# shellcheck shell=bash
# How a program runs with a library that was built with a sanitizer. To be sourced, after tap.sh.
#
#	sanitize_use asan|tsan DIRECTORY	reports go to DIRECTORY
#	"${SANITIZED[@]}" PROGRAM ARG...	preloaded
#	sanitize_clean WHAT			passes if nothing was reported since the last time

# Criterion and the tests around it need not free what they allocate, and the library allocates
# nothing: leaks are not looked for.
sanitize_use() { # WHICH DIRECTORY
	local runtime order
	SANITIZE_REPORTS=$2
	[ -e "$BUILD/$1/librssshim.so" ] || bench_die "no library for $1: make $1-library"
	case $1 in
	asan)
		runtime=$("${CC:-cc}" -print-file-name=libasan.so)
		# What is on the stack of a thread that is cancelled stays marked there for who runs in
		# it next, a destructor of the thread's say. So locals are to be elsewhere.
		SANITIZE_OPTIONS=(ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=1:log_path=$2/report"
			UBSAN_OPTIONS="print_stacktrace=1:log_path=$2/report")
		order=$(readlink -f "$runtime"):LIBRARY
		;;
	tsan)
		# Within its own epoll_wait() and the like it does not see what is atomic: ours is to be
		# called first.
		runtime=$("${CC:-cc}" -print-file-name=libtsan.so)
		SANITIZE_OPTIONS=(TSAN_OPTIONS="die_after_fork=0:exitcode=0:log_path=$2/report")
		order=LIBRARY:$(readlink -f "$runtime")
		;;
	esac
	# More of the address space is randomised by default than the runtime expects: -R.
	SANITIZED=(setarch -R env "${SANITIZE_OPTIONS[@]}"
		LD_PRELOAD="${order/LIBRARY/$BUILD/$1/librssshim.so}")
	mkdir -p "$2"
	chmod 1777 "$2"
}

sanitize_clean() { # WHAT
	local reports
	reports=$(cat "$SANITIZE_REPORTS"/report.* 2>/dev/null)
	rm -f "$SANITIZE_REPORTS"/report.*
	is "$(grep -c . <<<"$reports")" 0 "$1: no report"
	[ -z "$reports" ] || diag "$(head -"${SANITIZE_LINES:-80}" <<<"$reports")"
}
