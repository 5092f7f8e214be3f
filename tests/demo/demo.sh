#!/bin/bash
# Debian's own nginx on the soft RSS NIC, without and with the shim: where packets arrive, where they
# are served, what it does to throughput. Exits 0 only if all is aligned with the shim and what was
# opened without it was not.
#
#	DEMO_ROUNDS=N	pairs of interleaved throughput measurements (10)
. "$(dirname "$0")/../lib/bench.sh"

CONNECTIONS=2000
ROUNDS=${DEMO_ROUNDS:-10}
PLAIN=() SHIM=()

if [ -t 1 ]; then
	BOLD=$'\e[1m' GOOD=$'\e[32m' BAD=$'\e[31m' DIM=$'\e[2m' OFF=$'\e[0m'
else
	BOLD="" GOOD="" BAD="" DIM="" OFF=""
fi
title() { printf '\n%s%s%s\n' "$BOLD" "$1" "$OFF"; }
# On a terminal: what is under way, overwritten by what comes next.
busy() { [ ! -t 1 ] || printf '\r\e[K%s%s%s' "$DIM" "${1:-}" "$OFF"; }

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

# look COMMAND...: connections one after another, each with a request, held open and looked at from
# outside. Leaves the observer's answer in SEEN.
look() {
	local counts
	nginx_up "$@"
	counts=$(conns_hold --to "$DUT4:$NGINX_PORT" --from "$CLIENT4" --count $CONNECTIONS \
		--concurrency 1 --request /)
	[ "$(jq .failed <<<"$counts")" = 0 ] || bench_die "connections failed: $counts"
	SEEN=$(observe --json --listen "$NGINX_PORT" "$NGINX_PID")
	conns_release
	nginx_down
}

# The table of one side: a line a packet CPU.
table() { # JSON NAME
	local row column count colour
	printf '\n  %-24s' "$2"
	for column in "${CPUS[@]}"; do printf ' worker on CPU %-3s' "$column"; done
	printf '\n'
	for row in "${CPUS[@]}"; do
		printf '  packets on CPU %-9s' "$row"
		for column in "${CPUS[@]}"; do
			count=$(jq ".accepted.table.\"$row\".\"$column\" // 0" <<<"$1")
			colour=$DIM
			if [ "$row" = "$column" ]; then colour=$GOOD; elif ((count)); then colour=$BAD; fi
			printf ' %s%15s%s ' "$colour" "$count" "$OFF"
		done
		printf '\n'
	done
	colour=$BAD
	[ "$(jq .accepted.share <<<"$1")" = 100 ] && colour=$GOOD
	printf '  aligned: %s%s%.1f %%%s, %d of %d\n' "$BOLD" "$colour" "$(jq .accepted.share <<<"$1")" \
		"$OFF" "$(jq .accepted.aligned <<<"$1")" "$(jq .accepted.total <<<"$1")"
}

# Nanoseconds of CPU that the workers and the NIC's receive threads had so far.
cpu_time() {
	local pid sum=0 ns
	for pid in $(pgrep -P "$NGINX_PID") $NIC_THREADS; do
		read -r ns _ <"/proc/$pid/schedstat"
		sum=$((sum + ns))
	done
	echo $sum
}

# load COMMAND...: a second of requests, a connection each, on a fresh nginx. Prints requests per
# second and CPU nanoseconds a request.
load() {
	local before after out requests rate
	nginx_up "$@"
	before=$(cpu_time)
	out=$(in_client wrk -t1 -c32 -d1 -H "Connection: close" "http://$DUT4:$NGINX_PORT/")
	after=$(cpu_time)
	nginx_down
	requests=$(awk '$2 == "requests" { print $1 }' <<<"$out")
	rate=$(awk '/^Requests\/sec/ { print $2 }' <<<"$out")
	[ "${requests:-0}" -gt 0 ] || bench_die "wrk: $out"
	! grep -E 'Non-2xx|Socket errors' <<<"$out" || bench_die "wrk: requests failed"
	echo "$rate $(((after - before) / requests))"
}

# summary NAME UNIT SCALE: of lines "PLAIN SHIM" on standard input: both medians, the ratio of each
# pair, and whether that differs from 1. Of n pairs, the k-th lowest and highest ratio enclose the
# true median with 95 % or more if 2 * P(fewer than k of n coin tosses) <= 5 %.
summary() {
	awk -v name="$1" -v unit="$2" -v scale="$3" '
		function sort(a, n,   i, j, t) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && a[j - 1] > a[j]; j--) {
					t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
				}
		}
		function median(a, n) { return (a[int((n + 1) / 2)] + a[int(n / 2) + 1]) / 2 }
		{ plain[NR] = $1 * scale; shim[NR] = $2 * scale; ratio[NR] = $2 / $1 }
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
			printf "  %-22s %9.1f %9.1f %-8s  %.3f  (%.3f to %.3f)  %s\n", name, \
				median(plain, NR), median(shim, NR), unit, median(ratio, NR), \
				ratio[1], ratio[NR], verdict
		}'
}

rounds() {
	local i plain shim
	for ((i = 1; i <= ROUNDS; i++)); do
		busy "round $i of $ROUNDS"
		# Each goes first every other time.
		if ((i % 2)); then
			plain=$(load "${PLAIN[@]}") shim=$(load "${SHIM[@]}")
		else
			shim=$(load "${SHIM[@]}") plain=$(load "${PLAIN[@]}")
		fi
		[ -n "$plain" ] && [ -n "$shim" ] || bench_die "a round failed"
		echo "${plain% *} ${shim% *}" >>"$WORLD_DIR/rates"
		echo "${plain#* } ${shim#* }" >>"$WORLD_DIR/costs"
	done
	busy
}

choose_cpus
world_up table="equal ${#CPUS[@]}" queue_cpus="${CPUS[*]}"
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
nginx_conf workers=${#CPUS[@]}
NIC_THREADS=$(nic_threads)

title "$(nginx -v 2>&1 | sed 's/.*: //') of this distribution, ${#CPUS[@]} workers, one pinned to each CPU"
cat <<END
  on a soft RSS NIC with ${#CPUS[@]} receive queues: Toeplitz over the 4-tuple, indirection table,
  queue, CPU, as a multi-queue NIC does it. $CONNECTIONS connections; who serves them is read from
  outside (SO_INCOMING_CPU of each connection, affinity of the thread that serves it).
END
busy "without the shim"
look "${PLAIN[@]}"
BEFORE=$SEEN
busy "with the shim"
look "${SHIM[@]}"
AFTER=$SEEN
busy
table "$BEFORE" "without the shim"
table "$AFTER" "with LD_PRELOAD"

title "A request a connection, $ROUNDS interleaved rounds"
rounds
printf '  %-22s %9s %9s %-8s  %s\n' "medians" without with "" "ratio (spread)"
summary "requests" "k/s" 0.001 <"$WORLD_DIR/rates"
summary "CPU a request" "us" 0.001 <"$WORLD_DIR/costs"
echo "  ${DIM}CPU: that of the workers and of the NIC's receive threads together$OFF"

if [ "$(jq .accepted.aligned <<<"$AFTER")" != $CONNECTIONS ]; then
	echo "FAILED: not every connection is served where its packets arrive"
	exit 1
fi
if [ "$(jq .accepted.aligned <<<"$BEFORE")" = $CONNECTIONS ]; then
	echo "FAILED: all is aligned without the shim too: this shows nothing"
	exit 1
fi
