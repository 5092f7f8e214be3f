#!/usr/bin/env bash
# nginx as a proxy on the soft RSS NIC: plain, with its own `listen ... reuseport`, and with the shim
# for accepted connections alone and for both legs. Once with connections kept alive on both sides,
# once with a request a connection. Rounds of all four take turns; a row is the median of the rounds'
# ratios, with the lowest and highest, and whether that is more than noise.
#
#	tests/bench/proxy.sh [ROUNDS]		20, of one second for each of the eight
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/measure.sh"

ROUNDS=${1:-20}
why=$(bench_lacks) && { echo "proxy: skipped: $why" && exit 0; }
[ -e "$BUILD/librssshim.so" ] || bench_die "no $BUILD/librssshim.so"

choose_cpus
world_up table="equal ${#CPUS[@]}" queue_cpus="${CPUS[*]}"
world_conf >"$WORLD_DIR/policy.ini"
upstream_up port=9000
NIC_THREADS=$(nic_threads)
# As softirqs do, they come before whatever runs.
for pid in $NIC_THREADS; do chrt -f -p 1 "$pid"; done
VARIANTS=(plain reuseport inbound both)
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")

# mode_set keep-alive|closing
mode_set() {
	MODE=$1
	HTTP="upstream u { server ${UPSTREAM4%%,*}:9000; "
	LOCATION="proxy_pass http://u; proxy_http_version 1.1;"
	if [ "$1" = keep-alive ]; then
		HTTP+="keepalive 256; keepalive_requests 1000000; }"
		LOCATION+=" proxy_set_header Connection '';"
		LOAD=()
	else
		HTTP+="}"
		LOCATION+=" proxy_set_header Connection close;"
		LOAD=(-H "Connection: close")
	fi
}

measure() { # VARIANT
	local listen="" prefix=()
	case $1 in
	reuseport) listen=reuseport ;;
	inbound) prefix=("${SHIM[@]}" RSSSHIM_CONNECT_STEER=no) ;;
	both) prefix=("${SHIM[@]}") ;;
	esac
	nginx_conf workers=${#CPUS[@]} listen="$listen" http="$HTTP" location="$LOCATION"
	load 8080 "${prefix[@]}"
	echo "$RATE $COST $IPIS $SWITCHES" >>"$WORLD_DIR/$MODE.$1"
}

# compare VARIANT WITH WHAT COLUMN UNIT SCALE
compare() {
	paste -d' ' <(cut -d' ' -f"$4" "$WORLD_DIR/$MODE.$2") <(cut -d' ' -f"$4" "$WORLD_DIR/$MODE.$1") |
		summary "$1 / $2: $3" "$5" "$6" 32
}

compare_all() { # VARIANT WITH
	compare "$1" "$2" requests 1 k/s 0.001
	compare "$1" "$2" "CPU" 2 us 0.001
	compare "$1" "$2" "reschedulings" 3 "" 0.001
	compare "$1" "$2" "switches" 4 "" 0.001
}

# What aligned packets cost in switches to receive threads on the worker's own CPU is the soft NIC's alone.
echo "nginx proxy, ${#CPUS[@]} workers, $ROUNDS rounds; CPU and context switches (of workers and receive"
echo "threads) and rescheduling interrupts are of a request. Where a row says within noise, nothing is claimed."
echo "A real NIC needs no switch to receive: what is aligned has more of them here than it would have there."
for ((round = 0; round < ROUNDS; round++)); do
	for mode in keep-alive closing; do
		mode_set $mode
		# Each comes first in every fourth round.
		for ((i = 0; i < ${#VARIANTS[@]}; i++)); do
			measure "${VARIANTS[(i + round) % ${#VARIANTS[@]}]}"
		done
	done
done
for mode in keep-alive closing; do
	mode_set $mode
	printf '\n%-34s %9s %9s %-8s  %s\n' "$mode" reference this "" "ratio (lowest to highest)"
	for variant in reuseport inbound both; do compare_all $variant plain; done
	compare_all both reuseport
done
