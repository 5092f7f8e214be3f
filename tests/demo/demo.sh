#!/bin/bash
# Debian's own nginx on the soft RSS NIC, without and with the shim: where packets arrive, where they
# are served, what it does to throughput. Exits 0 only if everything is aligned with the shim and not
# without it.
#
#	DEMO_ROUNDS=N		pairs of interleaved throughput measurements (6)
#	DEMO_CONNECTIONS=N	connections looked at (2000)
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/measure.sh"

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
