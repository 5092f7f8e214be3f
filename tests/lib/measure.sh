# shellcheck shell=bash
# nginx under load on the soft RSS NIC, measured, for demo and benchmarks. To be sourced after bench.sh;
# needs NIC_THREADS (nic_threads) and what nginx_conf sets.

# What the distribution compiled apart, as Debian does, or nothing.
nginx_module() {
	local path
	for path in /usr/{lib,lib64,share}/nginx/modules/ngx_"$1"_module.so; do
		[ ! -e "$path" ] || { echo "$path" && return; }
	done
	bench_die "nginx has no module $1"
}

# The first CPUs this process may use: two, or half of a larger machine, up to four; the client needs
# the others.
choose_cpus() {
	local list range want=$(($(nproc) / 2))
	((want >= 2)) || want=2
	((want <= 4)) || want=4
	list=$(taskset -cp $$ | sed 's/.*: //')
	CPUS=()
	for range in ${list//,/ }; do
		mapfile -t -O ${#CPUS[@]} CPUS < <(seq "${range%-*}" "${range#*-}")
	done
	CPUS=("${CPUS[@]:0:want}")
}

# What the workers and the NIC's receive threads had so far: nanoseconds of CPU, and how often they were
# switched to.
cpu_use() {
	local pid sum=0 times=0 ns switches
	for pid in $(pgrep -P "$NGINX_PID") $NIC_THREADS; do
		read -r ns _ switches <"/proc/$pid/schedstat"
		sum=$((sum + ns)) times=$((times + switches))
	done
	echo $sum $times
}

# Rescheduling interrupts so far, of all CPUs.
reschedulings() {
	awk '$1 == "RES:" { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i; print n + 0 }' \
		/proc/interrupts
}

# load PORT COMMAND...: a second of requests on a fresh nginx, by wrk with LOAD as its arguments (a
# connection each). Leaves requests per second in RATE, CPU nanoseconds a request in COST, and
# rescheduling interrupts and context switches a thousand requests in IPIS and SWITCHES.
LOAD=(-H "Connection: close")
load() {
	local port=$1 before after switched switches out requests ipis
	shift
	nginx_up "$@"
	ipis=$(reschedulings)
	read -r before switched < <(cpu_use)
	out=$(in_client wrk -t1 -c32 -d1 "${LOAD[@]}" "http://$DUT4:$port/")
	read -r after switches < <(cpu_use)
	ipis=$(($(reschedulings) - ipis))
	nginx_down
	requests=$(awk '$2 == "requests" { print $1 }' <<<"$out")
	RATE=$(awk '/^Requests\/sec/ { print $2 }' <<<"$out")
	[ "${requests:-0}" -gt 0 ] || bench_die "wrk: $out"
	! grep -E 'Non-2xx|Socket errors' <<<"$out" || bench_die "wrk: requests failed"
	COST=$(((after - before) / requests)) IPIS=$((ipis * 1000 / requests))
	SWITCHES=$(((switches - switched) * 1000 / requests))
}

# summary NAME UNIT SCALE [WIDTH]: of lines "PLAIN SHIM" on standard input: both medians, the ratio of each
# pair, and whether that differs from 1. Of n pairs, the k-th lowest and highest ratio enclose the
# true median with 95 % or more if 2 * P(fewer than k of n coin tosses) <= 5 %.
summary() {
	awk -v name="$1" -v unit="$2" -v scale="$3" -v width="${4:-22}" '
		function sort(a, n,   i, j, t) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && a[j - 1] > a[j]; j--) {
					t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
				}
		}
		function median(a, n) { return (a[int((n + 1) / 2)] + a[int(n / 2) + 1]) / 2 }
		{ plain[NR] = $1 * scale; shim[NR] = $2 * scale; ratio[NR] = $1 ? $2 / $1 : 1 }
		END {
			sort(plain, NR); sort(shim, NR); sort(ratio, NR)
			p = tail = 0.5 ^ NR
			for (k = 0; 2 * tail <= 0.05; tail += p) {
				k++
				p *= (NR - k + 1) / k
			}
			low = ratio[k ? k : 1]; high = ratio[k ? NR + 1 - k : NR]
			verdict = "within noise"
			if (k && low > 1 || k && high < 1)
				verdict = "more than noise"
			printf "  %-*s %9.1f %9.1f %-8s  %.3f  (%.3f to %.3f)  %s\n", width, name, \
				median(plain, NR), median(shim, NR), unit, median(ratio, NR), \
				ratio[1], ratio[NR], verdict
		}'
}
