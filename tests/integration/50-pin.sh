#!/usr/bin/env bash
# Threads nobody pinned: `[threads] pin`. Judged by the affinity the kernel reports.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

world_up clients=2
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")

cpus_of() { sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$1/status"; }
FREE=$(cpus_of $$)

# --- who is pinned, and what is inherited -----------------------------------------------------------

# loops ENVIRONMENT...: the report of a server of two event loops.
loops() { in_dut "${SHIM[@]}" "$@" python3 "$(dirname "$0")/../lib/loops.py" 8081 2>"$WORLD_DIR/loops.log"; }
all=$(python3 -c 'import json, os; print(json.dumps(sorted(os.sched_getaffinity(0)), separators=(",", ":")))')

report=$(loops RSSSHIM_THREADS_PIN=auto)
told() { jq -c ".\"$1\"" <<<"$report"; }
is "$(told first)" "[0]" "the first event loop gets the first CPU with a receive queue"
is "$(told second)" "[1]" "the second the next"
is "$(told "first afterwards")" "[0]" "and it stays so whatever the loop starts"
for name in helper main "first thread" "first C11 thread" "first fork" "first exec" "second thread" \
	"second C11 thread" "second fork" "second exec" "first posix_spawn" "second posix_spawn" "first system" "second system"; do
	is "$(told "$name")" "$all" "$name: all CPUs, as without the shim"
done
is "$(told "second by its own choice")" "[0]" "what the application chooses later holds"

report=$(loops RSSSHIM_THREADS_PIN=1)
is "$(told first)$(told second)$(told helper)" "[1][1]$all" "a CPU list: its CPUs, come around again"
report=$(loops RSSSHIM_THREADS_PIN="1 1000")
is "$(told first)$(told second)" "[1][1]" "of a list, those that the program may use"
report=$(loops RSSSHIM_THREADS_PIN=off)
is "$(told first)$(told second)" "$all$all" "off: nobody is pinned"
report=$(loops RSSSHIM_THREADS_PIN=auto taskset -c 1)
is "$(told first)$(told second)" "[1][1]" "one CPU is no choice"
nic_set queue_cpus="1 1"
report=$(loops RSSSHIM_THREADS_PIN=auto RSSSHIM_NIC_RSS0_QUEUE_CPUS="1 1")
is "$(told first)$(told second)" "$all$all" "auto: nobody where no interface spreads over CPUs"
nic_set queue_cpus="0 1"

is "$(in_dut "${SHIM[@]}" RSSSHIM_THREADS_PIN=1 unshare --pid --fork --mount-proc \
	python3 "$(dirname "$0")/../lib/reused_thread.py" 8081 2>&1)" \
	"$(sed 's/,/, /g' <<<"$all") [1]" "not who has the number of a thread that ended"

# --- forked workers ---------------------------------------------------------------------------------

workers() { pgrep -P "$NGINX_PID" | sort -n; }
worker_cpus() { for pid in $(workers); do cpus_of "$pid"; done | paste -sd ' '; }
are_pinned() { [ "$(worker_cpus | tr ' ' '\n' | sort | paste -sd ' ')" = "0 1" ]; }

nginx_conf workers=2
nginx_up "${SHIM[@]}" RSSSHIM_THREADS_PIN="1 0"
ok "nginx, pinned by its own configuration, stays so" wait_until 20 are_pinned
is "$(worker_cpus)" "0 1" "in its own order"
nginx_down

sed -i '/worker_cpu_affinity/d' "$NGINX_CONF"
nginx_up "${SHIM[@]}"
sleep 0.5
is "$(worker_cpus)" "$FREE $FREE" "without pin its unpinned workers stay free"
nginx_down

nginx_up "${SHIM[@]}" RSSSHIM_THREADS_PIN=auto
ok "auto: each of its two processes gets a CPU" wait_until 20 are_pinned
is "$(cpus_of "$NGINX_PID")" "$FREE" "the master is left alone"
all_aligned "every connection is served where its packets arrive" 4 400 "$NGINX_PID" --request /

victim=$(workers | tail -1)
freed=$(cpus_of "$victim")
is_respawned() { [ ! -d "/proc/$victim" ] && [ "$(workers | wc -l)" = 2 ] && are_pinned; }
kill -KILL "$victim"
ok "the worker that follows a killed one gets its CPU, $freed" wait_until 20 is_respawned

old=$(workers | paste -sd ' ')
is_reloaded() { [ "$(workers | paste -sd ' ')" != "$old" ] && [ "$(workers | wc -l)" = 2 ] && are_pinned; }
kill -HUP "$NGINX_PID"
ok "after a reload the new workers have a CPU each" wait_until 20 is_reloaded
nginx_down

done_testing
