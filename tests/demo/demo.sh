#!/bin/bash
# Debian's own nginx on the soft RSS NIC, without and with the shim: where packets arrive, where they
# are served, what it does to throughput. Exits 0 only if everything is aligned with the shim and not
# without it.
#
#	DEMO_ROUNDS=N		pairs of interleaved throughput measurements (6)
#	DEMO_CONNECTIONS=N	connections looked at (2000)
. "$(dirname "$0")/../lib/bench.sh"

CONNECTIONS=${DEMO_CONNECTIONS:-2000}
ROUNDS=${DEMO_ROUNDS:-6}
PLAIN=() SHIM=()

if [ -t 1 ]; then
	BOLD=$'\e[1m' GOOD=$'\e[32m' BAD=$'\e[31m' DIM=$'\e[2m' OFF=$'\e[0m'
else
	BOLD="" GOOD="" BAD="" DIM="" OFF=""
fi
title() { printf '\n%s%s%s\n' "$BOLD" "$1" "$OFF"; }
# On a terminal: what is under way, overwritten by what comes next.
busy() { [ ! -t 1 ] || printf '\r\e[K%s%s%s' "$DIM" "${1:-}" "$OFF"; }

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

# look PORT COMMAND...: connections one after another to nginx on that port, each with a request, held
# open and looked at from outside. Leaves the observer's answer in SEEN.
look() {
	local port=$1 counts
	shift
	nginx_up "$@"
	counts=$(conns_hold --to "$DUT4:$port" --from "$CLIENT4" --count $CONNECTIONS \
		--concurrency 1 --request /)
	[ "$(jq .failed <<<"$counts")" = 0 ] || bench_die "connections failed: $counts"
	SEEN=$(observe --json --listen "$port" --upstream 9000 "$NGINX_PID")
	conns_release
	nginx_down
}

cell() { # COLOUR TEXT
	printf ' %s%*s%s' "$1" $WIDTH "$2" "$OFF"
}

count_of() { jq ".$2.table.\"$3\".\"$4\" // 0" <<<"$1"; }

# table KIND: of BEFORE and AFTER, side by side, a line for each CPU that packets arrive on.
table() {
	local kind=$1 row column count colour seen space
	space=$(((WIDTH + 1) * ${#CPUS[@]}))
	printf '\n  %-22s %-*s   %s\n' "" $space " without the shim" " with LD_PRELOAD"
	printf '  %-22s' ""
	for seen in before after; do
		for column in "${CPUS[@]}"; do cell "" "worker CPU $column"; done
		printf '   '
	done
	printf '\n'
	for row in "${CPUS[@]}"; do
		printf '  packets on CPU %-7s' "$row"
		for seen in "$BEFORE" "$AFTER"; do
			for column in "${CPUS[@]}"; do
				count=$(count_of "$seen" "$kind" "$row" "$column")
				colour=$DIM
				if [ "$row" = "$column" ]; then colour=$GOOD; elif ((count)); then colour=$BAD; fi
				cell "$colour" "$count"
			done
			printf '   '
		done
		printf '\n'
	done
	printf '  %-22s' aligned
	for seen in "$BEFORE" "$AFTER"; do
		colour=$BAD
		is_all "$seen" "$kind" && colour=$GOOD
		printf ' %s%s%*s%s   ' "$BOLD" "$colour" $((space - 1)) \
			"$(printf '%.1f %%' "$(jq ".$kind.share" <<<"$seen")")" "$OFF"
	done
	printf '\n'
}

is_all() { [ "$(jq ".$2.aligned" <<<"$1")" = $CONNECTIONS ]; }

# show KIND PORT: the table, and the verdict.
show() {
	busy "without the shim"
	look "$2" "${PLAIN[@]}"
	BEFORE=$SEEN
	busy "with the shim"
	look "$2" "${SHIM[@]}"
	AFTER=$SEEN
	busy
	table "$1"
	if ! is_all "$AFTER" "$1"; then
		FAILED="not everything is aligned with the shim"
	elif is_all "$BEFORE" "$1"; then
		FAILED="everything is aligned without the shim, too: this shows nothing"
	fi
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

# load PORT COMMAND...: a second of requests, a connection each, on a fresh nginx. Leaves requests per
# second in RATE, CPU nanoseconds a request in COST.
load() {
	local port=$1 before after out requests
	shift
	nginx_up "$@"
	before=$(cpu_time)
	out=$(in_client wrk -t1 -c32 -d1 -H "Connection: close" "http://$DUT4:$port/")
	after=$(cpu_time)
	nginx_down
	requests=$(awk '$2 == "requests" { print $1 }' <<<"$out")
	RATE=$(awk '/^Requests\/sec/ { print $2 }' <<<"$out")
	[ "${requests:-0}" -gt 0 ] || bench_die "wrk: $out"
	! grep -E 'Non-2xx|Socket errors' <<<"$out" || bench_die "wrk: requests failed"
	COST=$(((after - before) / requests))
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

# rounds PORT
rounds() {
	local i first rate cost
	: >"$WORLD_DIR/rates"
	: >"$WORLD_DIR/costs"
	for ((i = 1; i <= ROUNDS; i++)); do
		busy "round $i of $ROUNDS"
		# Each goes first every other time.
		first=$((i % 2))
		if ((first)); then load "$1" "${PLAIN[@]}"; else load "$1" "${SHIM[@]}"; fi
		rate=$RATE cost=$COST
		if ((first)); then load "$1" "${SHIM[@]}"; else load "$1" "${PLAIN[@]}"; fi
		if ((first)); then
			echo "$rate $RATE" >>"$WORLD_DIR/rates"
			echo "$cost $COST" >>"$WORLD_DIR/costs"
		else
			echo "$RATE $rate" >>"$WORLD_DIR/rates"
			echo "$COST $cost" >>"$WORLD_DIR/costs"
		fi
	done
	busy
	printf '\n  %-22s %9s %9s %-8s  %s\n' "$ROUNDS interleaved rounds" without with "" "ratio (spread)"
	summary "requests" "k/s" 0.001 <"$WORLD_DIR/rates"
	summary "CPU a request" "us" 0.001 <"$WORLD_DIR/costs"
}

choose_cpus
WIDTH=13 FAILED=
world_up table="equal ${#CPUS[@]}" queue_cpus="${CPUS[*]}"
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
upstream_up port=9000
nginx_conf workers=${#CPUS[@]} main="load_module $(nginx_module stream);
	stream { server { listen 8081; proxy_pass ${UPSTREAM4%%,*}:9000; } }"
NIC_THREADS=$(nic_threads)

title "$(nginx -v 2>&1 | sed 's/.*: //') of this distribution, ${#CPUS[@]} workers, one pinned to each CPU"
cat <<END
  on a soft RSS NIC of ${#CPUS[@]} receive queues: Toeplitz over the 4-tuple, indirection table, queue,
  CPU, as a multi-queue NIC does it. $CONNECTIONS connections. Who serves them is seen from outside:
  SO_INCOMING_CPU of each connection, affinity of the thread that serves it.
END
title "Web server: connections of clients"
show accepted 8080
rounds 8080
title "TCP proxy: its connections to the server behind it"
show upstream 8081
rounds 8081
cat <<END

  A request a connection. Medians; ratio of each pair of rounds, with against without. CPU: that of
  the workers and of the NIC's receive threads together. This machine: $(nproc) CPUs.
END
[ -z "$FAILED" ] || bench_die "$FAILED"
