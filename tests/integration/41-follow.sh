#!/bin/bash
# What it takes to follow the machine: an idle worker does next to nothing, hears what the kernel
# announces at once, and does not let itself be kept busy by it; and nobody waits for NICs that do
# not answer.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"
command -v strace >/dev/null || skip_all "no strace"

world_up
world_conf >"$WORLD_DIR/policy.ini"
nginx_conf workers=2
nginx_up env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/policy.ini"
worker=$(pgrep -P "$NGINX_PID" | head -n 1)

# trace SECONDS CALLS: what the worker calls meanwhile, to $WORLD_DIR/trace
trace() {
	timeout "$1" strace -e trace="$2" -o "$WORLD_DIR/trace" -p "$worker" 2>"$WORLD_DIR/attached" &
	tracer=$!
	wait_until 20 grep -q attached "$WORLD_DIR/attached"
}
announced() { # the address comes and goes: two announcements, and the route's
	in_dut ip addr add 10.123.0.1/32 dev lo
	in_dut ip addr del 10.123.0.1/32 dev lo
}

sleep 1
trace 5 all
wait "$tracer"
calls=$(grep -c '(' "$WORLD_DIR/trace")
between "$calls" 25 400 "an idle worker makes less than 80 system calls a second ($calls in five)"
cpu_ns() { cut -d' ' -f1 "/proc/$worker/schedstat"; }
before=$(cpu_ns)
sleep 5
between $((($(cpu_ns) - before) / 1000)) 0 10000 "and takes less than a five-hundredth of a CPU (us in five seconds)"

# Idle, it sleeps to the end of each slice; what wakes it before is news.
woken() { grep -Ec '^epoll_p?wait.* = 1$' "$WORLD_DIR/trace"; }
trace 4 epoll_wait,epoll_pwait
wait "$tracer"
is "$(woken)" 0 "nothing wakes it while nothing happens"
trace 6 epoll_wait,epoll_pwait
for _ in 1 2 3 4 5; do
	announced
	sleep 0.7
done
wait "$tracer"
between "$(woken)" 5 10 "each of five changes of an address wakes it at once"
trace 4 epoll_wait,epoll_pwait
for _ in {1..100}; do announced; done
wait "$tracer"
between "$(woken)" 1 30 "hundreds of changes do not wake it as often"

# Drivers take their time to answer, as they do while somebody changes a NIC: who waits for events
# asks them, and nobody else waits for the answer.
nginx_down
in_dut ip link add ifb9 type ifb # one that is asked at all
spawn_client upstream python3 "$BENCH_ROOT/tests/lib/slow_upstream.py" 9000 0 "${UPSTREAM4%,*}"
wait_port client 9000
for mtu in {1400..1415}; do
	sleep 0.5
	ip -n "$DUT" link set ifb9 mtu "$mtu"
done &
worst=$(in_dut env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/policy.ini" strace -f -qq \
	-o "$WORLD_DIR/trace" -e trace=ioctl -e inject=ioctl:delay_enter=1500000 \
	"$BUILD/wait_connect" "${UPSTREAM4%,*}" 9000 6)
between "$(grep -c ETHTOOL "$WORLD_DIR/trace")" 2 12 "drivers are asked now and then"
between "$worst" 0 1400 "a connect() does not wait for them (ms)"

done_testing
