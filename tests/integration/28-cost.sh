#!/usr/bin/env bash
# alone
# timeout: 200
# What steering costs nginx in system calls: none for a connection that comes through a member, one a
# batch at most elsewhere, none for listeners that are taken out and put back; and what a worker
# that has nothing to do costs.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

COUNT=${COUNT:-1600}
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")

workers() { pgrep -P "$NGINX_PID"; }

# traced FILE COMMAND ARG...: all system calls of the workers while the command runs; the seconds it
# took in TOOK.
traced() {
	local file=$1 attach=() pid tracer start
	shift
	for pid in $(workers); do attach+=(-p "$pid"); done
	strace -f -qq -o "$file" "${attach[@]}" 2>/dev/null &
	tracer=$!
	TRACER=$tracer
	wait_until 20 is_traced "$pid" || bench_die "strace does not attach"
	start=${EPOCHREALTIME/./}
	"$@" >"$WORLD_DIR/traced.out"
	TOOK=$(((${EPOCHREALTIME/./} - start) / 1000))
	kill -INT "$tracer"
	wait "$tracer" 2>/dev/null
	TRACER=
}
TRACER=
end_trace() { [ -z "$TRACER" ] || kill "$TRACER" 2>/dev/null; }
at_exit end_trace
is_traced() { ! grep -q '^TracerPid:.0$' "/proc/$1/status"; }

# calls FILE [REGEX]: how many, of those that match.
calls() { grep -E '^[0-9]+ +[a-z0-9_]+\(' "$1" | grep -cE "${2:-.}"; }

open_one_by_one() {
	conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count "$COUNT" --concurrency 1 --request /
}

trace_opening() { # FILE
	traced "$1" open_one_by_one
	conns_release
}

load() { # REQUESTS-PER-CONNECTION SECONDS
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --churn "$2" --concurrency 8 \
		--request / --requests "$1"
}

# measure NAME COMMAND...: what nginx does, by NAME in the arrays below.
declare -A ALL EPOLL_CTL ACCEPT MS TAKEN_OUT EMPTY
measure() {
	local name=$1 trace=$WORLD_DIR/trace-$1
	shift
	nginx_conf workers=2 port=8080
	nginx_up "$@"
	sleep 1
	quietly trace_opening "$trace"
	is "$(jq -c '[.ok, .failed]' "$WORLD_DIR/traced.out")" "[$COUNT,0]" "$name: all served"
	ALL[$name]=$(calls "$trace")
	EPOLL_CTL[$name]=$(calls "$trace" 'epoll_ctl')
	ACCEPT[$name]=$(calls "$trace" 'accept4?\(')
	MS[$name]=$TOOK
	TAKEN_OUT[$name]=$(calls "$trace" 'epoll_ctl\([0-9]+, EPOLL_CTL_DEL')
}
measure plain
nginx_down
measure shim "${SHIM[@]}"

# What workers do when nothing comes, to be told apart from what connections cost.
sleep 1
traced "$WORLD_DIR/idle" sleep 4
idle=$(calls "$WORLD_DIR/idle")
wakeups=$(calls "$WORLD_DIR/idle" 'epoll_p?wait')
between "$wakeups" 16 56 "two idle workers wake up $wakeups times in 4 s, $idle system calls together"

housekeeping=$((idle * MS[shim] / 4000))
extra=$((ALL[shim] - housekeeping - ALL[plain]))
diag "plain: ${ALL[plain]} calls for $COUNT connections (accept ${ACCEPT[plain]}, epoll_ctl ${EPOLL_CTL[plain]})" \
	"shim: ${ALL[shim]} calls (accept ${ACCEPT[shim]}, epoll_ctl ${EPOLL_CTL[shim]}), $housekeeping of them not for connections"
# What plain workers do in vain, woken for a connection that another took, is all that can be saved:
# accept() and the wait before it.
vain=$((ACCEPT[plain] - COUNT))
between "$extra" $((-2 * vain - COUNT / 20)) $((COUNT / 20)) \
	"through members: $extra system calls more for $COUNT connections"
between "${ACCEPT[shim]}" "$COUNT" $((COUNT + COUNT / 50)) "through members: one accept a connection"
between $((EPOLL_CTL[shim] - EPOLL_CTL[plain])) -$((COUNT / 20)) $((COUNT / 20)) \
	"listeners that nginx takes out and puts back lead to no epoll_ctl of ours"
between "${TAKEN_OUT[shim]}" $((COUNT / 32)) $((COUNT / 8)) "which it did ${TAKEN_OUT[shim]} times"

# Under load: no program and nothing else is told to the kernel because of it.
traced "$WORLD_DIR/load" load 1 3
served=$(jq .ok "$WORLD_DIR/traced.out")
between "$served" 300 999999 "under load: $served connections"
is "$(jq .failed "$WORLD_DIR/traced.out")" 0 "under load: none failed"
is "$(calls "$WORLD_DIR/load" 'setsockopt\(.*(REUSEPORT|INCOMING_CPU)')" 0 "under load: no program is attached"
members=$(grep -oE 'EPOLL_CTL_ADD, [0-9]+, \{events=EPOLLIN\|EPOLLEXCLUSIVE' "$WORLD_DIR/load" | wc -l)
between "$(calls "$WORLD_DIR/load" 'setsockopt')" 0 $((served + served / 10)) \
	"under load: setsockopt is nginx's own"
between "$members" 0 $((served / 16 + 20)) "under load: $members listeners added, by nginx's every 16 accepts"

# CPU of an idle worker, from the kernel's own account.
# shellcheck disable=SC2046 # a file a worker
cpu_ns() { awk '{ s += $1 } END { print s }' $(workers | sed 's|.*|/proc/&/schedstat|'); }
# shellcheck disable=SC2046
switches() { awk '/^voluntary/ { s += $2 } END { print s }' $(workers | sed 's|.*|/proc/&/status|'); }
sleep 1
before=$(cpu_ns) before_switches=$(switches)
sleep 4
cpu=$((($(cpu_ns) - before) / 8000))
rate=$((($(switches) - before_switches) / 8))
between "$rate" 0 6 "an idle worker is woken $rate times a second"
between "$cpu" 0 2000 "which takes $cpu us of CPU a second"
nginx_down

# A batch: several connections are taken until there is none. One call more tells that the other
# socket has none either.
multi() { # NAME COMMAND...
	local name=$1
	shift
	nginx_conf workers=2 port=8080
	sed -i 's/worker_connections 9000;/worker_connections 9000; multi_accept on;/' "$NGINX_CONF"
	nginx_up "$@"
	sleep 1
	traced "$WORLD_DIR/multi-$name" load 1 2
	nginx_down
	EMPTY[$name]=$(per_batch "$WORLD_DIR/multi-$name")
}
# accept() calls that found nothing, for a hundred of batches, which end with such a call.
per_batch() {
	awk '
		/accept4?(\(| resumed).* = [0-9]+$/ { if (!open[$1]) batches++; open[$1] = 1 }
		/accept4?(\(| resumed).*EAGAIN/ { empty++; open[$1] = 0 }
		END { print batches ? int(empty * 100 / batches) : -1 }' "$1"
}
multi plain
multi shim "${SHIM[@]}"
between "${EMPTY[plain]}" 50 400 "plain: ${EMPTY[plain]} empty accepts in a hundred batches"
between "${EMPTY[shim]}" 50 $((EMPTY[plain] > 100 ? EMPTY[plain] + 110 : 210)) \
	"shim: ${EMPTY[shim]} empty accepts in a hundred batches, one more each"

done_testing
