#!/usr/bin/env bash
# timeout: 200
# NICs that do something else than they say: noticed within a few hundred connects, said in one line,
# steered no more; and again once what they do is what they say.
# Usage: 36-connect-trust.sh [WORD]: only the cases with that word in their names.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/connects.sh"
why=$(bench_lacks) && skip_all "$why"

ONLY=${1:-}
world_up clients=1 upstreams=1
# Connections of the cases before are in TIME_WAIT.
in_dut sysctl -qw net.ipv4.tcp_tw_reuse=1
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 "$UPSTREAM4"
wait_port client 9000
mkfifo "$WORLD_DIR/batches.in"
exec 7<>"$WORLD_DIR/batches.in"

answered() { (($(wc -l <"$WORLD_DIR/batches.log") > $1)) || bench_gone "$SPAWNED"; }
# batch COUNT: leaves how many were aligned in RIGHT, how many of them the shim chose ports for in CHOSEN.
batch() {
	local lines before
	lines=$(wc -l <"$WORLD_DIR/batches.log")
	before=$(chosen)
	: "${before:=0}"
	echo "$1" >&7
	wait_until 60 answered "$lines"
	RIGHT=$(tail -1 "$WORLD_DIR/batches.log")
	CHOSEN=$(($(chosen) - before))
}
chosen() { "$BUILD/rssshim" stat --json "$SPAWNED" 2>/dev/null | jq .connect.steered; }
said() { [ ! -e "$WORLD_DIR/trust.log" ] || grep -c "$1" "$WORLD_DIR/trust.log"; }

# trust NAME start|later WRONG RIGHT: the policy says what the NIC is with nic_set's words RIGHT; it is
# WRONG from the start, or later, and RIGHT in the end.
trust() {
	local name=$1 when=$2 wrong=$3 right=$4
	[[ $name == *"$ONLY"* ]] || return
	nic_set "$right"
	world_conf >"$WORLD_DIR/told.ini"
	[ "$when" = later ] || nic_set "$wrong"
	: >"$WORLD_DIR/batches.log"
	rm -f "$WORLD_DIR/trust.log"
	spawn_dut batches taskset -c 1 env LD_PRELOAD="$BUILD/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/told.ini" \
		RSSSHIM_SHIM_LOG_FILE="$WORLD_DIR/trust.log" \
		sh -c "exec python3 $LIB/batches.py $UPSTREAM4 9000 <$WORLD_DIR/batches.in"
	if [ "$when" = later ]; then
		batch 300
		is "$RIGHT $CHOSEN" "300 300" "$name: at first all are aligned"
		nic_set "$wrong"
	fi
	batch 400
	is "$(said .)" 1 "$name: within 400 connects one line"
	is "$(said 'rss0: connections do not arrive on the CPU that its hash key, table and queues say')" 1 \
		"$name: which names the NIC, and why"
	batch 300
	is "$CHOSEN" 0 "$name: ports are left to the kernel"
	nic_set "$right"
	batch 1000
	is "$(said 'rss0: connections arrive where predicted again')" 1 "$name: right again, within 1,000 another line"
	is "$(said .)" 2 "$name: and no more"
	batch 300
	is "$RIGHT $CHOSEN" "300 300" "$name: all are aligned"
	stop_pid "$SPAWNED"
	nic_set table="equal 2" key="$MICROSOFT_KEY"
}

trust "another key" start key="$MICROSOFT_KEY" key="$(openssl rand -hex 40 | sed 's/../&:/g; s/:$//')"
trust "another table" start table="0 0 0 1" table="equal 2"
trust "a table that others rewrote" later table="0 0 0 1" table="equal 2"
trust "a reset NIC, the table by default" later table="equal 2" table="1 1 0 0"
trust "RSS switched off, all on one queue" start table="0 0" table="equal 2"
trust "RSS switched off meanwhile" later table="0 0" table="equal 2"
exec 7>&-
done_testing
