#!/usr/bin/env bash
# timeout: 200
# A kernel without IP_LOCAL_PORT_RANGE (refused here): source ports are bound, but only so many that
# others hardly notice, and nobody is ever told that an address is in use.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/connects.sh"
why=$(bench_lacks) && skip_all "$why"

CPUS=$(getconf _NPROCESSORS_ONLN)
world_up clients=1 upstreams=2
world_conf >"$WORLD_DIR/policy.ini"
IFS=, read -ra UP4 <<<"$UPSTREAM4"
IFS=, read -ra UP6 <<<"$UPSTREAM6"
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 "${UP4[@]}" "${UP6[@]}"
wait_port client 9000
CONNECTS_UNDER=("$BUILD/refuse" port-range --)

for way in "" "bind=$DUT4" "bind=$DUT4 no-port" reuseaddr nonblocking mapped; do
	# shellcheck disable=SC2086
	connects 1 -- "${UP4[0]}" 100 $way
	is "$SEEN" "100 100" "IPv4 ${way:-plain}: aligned"
done
is "$(grep -c 'no IP_LOCAL_PORT_RANGE' "$WORLD_DIR/log")" 1 "one line says so"
connects 1 -- "${UP6[0]}" 100
is "$SEEN" "100 100" "IPv6: aligned"
connects 1 -- "${UP6[0]}" 100 "bind=$DUT6"
is "$SEEN" "100 100" "IPv6, bound to an address: aligned"

# A narrow range: what is beyond the budget is the kernel's choice.
in_dut sysctl -qw net.ipv4.ip_local_port_range="20000 21999"
budget=$((2000 / 16 / CPUS))
# others ADDRESS: how many connections a process without the shim gets there, whatever the errors.
others() {
	echo 0 | tee "$WORLD_DIR/filled" >"$WORLD_DIR/filled.took"
	in_dut python3 "$LIB/fill_range.py" "$1" 9000 2 "$WORLD_DIR/filled"
	OTHERS=$(tail -1 "$WORLD_DIR/filled" | cut -d" " -f1)
}
CONNECTS_MEANWHILE=(others "${UP4[1]}")
connects 1 -- "${UP4[0]}" 400
is "${SEEN#* }" 400 "beyond the budget connections are made all the same"
is "$(jq -c '.connect | [.steered, .refused]' <<<"$STAT")" "[$budget,$((400 - budget))]" \
	"as many as the budget of $budget allows are steered"
is "$OTHERS" $((2000 - budget)) "another process has the rest of the range to itself"
CONNECTS_MEANWHILE=()

# Two processes of several threads fill one destination's whole range.
in_dut ss -K dst "${UP4[0]}" dst "${UP4[1]}" >/dev/null 2>&1
in_dut sysctl -qw net.ipv4.ip_local_port_range="30000 31999"
: >"$WORLD_DIR/filled"
: >"$WORLD_DIR/filled.took"
for cpu in 0 1; do
	in_dut "$BUILD/refuse" port-range -- taskset -c $cpu env LD_PRELOAD="$BUILD/librssshim.so" \
		RSSSHIM_CONF="$WORLD_DIR/policy.ini" RSSSHIM_SHIM_LOG=error \
		python3 "$LIB/fill_range.py" "${UP4[1]}" 9000 4 "$WORLD_DIR/filled" 2>>"$WORLD_DIR/fill.err" &
done
wait $(jobs -p | tail -2)
is "$(awk '{ n += $1 } END { print n }' "$WORLD_DIR/filled")" 2000 \
	"two processes get as many connections as there are ports"
is "$(cat "$WORLD_DIR/fill.err")" "" "and no error but that there are no more"

done_testing
