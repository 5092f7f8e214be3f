# shellcheck shell=bash
# A program that connects, under the shim, in a world with a server on port 9000 of the upstream
# addresses. To be sourced after bench.sh.

LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

connects_said() { [ -e "$WORLD_DIR/connects.log" ] && (($(wc -l <"$WORLD_DIR/connects.log") >= $1)) || bench_gone "$CONNECTS"; }

# connects CPUS VARIABLE=VALUE... -- ADDRESS COUNT WORD...: leaves "RIGHT TOTAL" in SEEN, the
# statistics in STAT, the log in $WORLD_DIR/log. CONNECTS_UNDER is a command to start it under,
# CONNECTS_MEANWHILE one to run while the connections are open.
CONNECTS_UNDER=() CONNECTS_MEANWHILE=()
connects() {
	local cpus=$1 variables=()
	shift
	while [ "$1" != -- ]; do variables+=("$1") && shift; done
	shift
	rm -f "$WORLD_DIR"/{connects.in,connects.log,log}
	mkfifo "$WORLD_DIR/connects.in"
	exec 8<>"$WORLD_DIR/connects.in"
	spawn_dut connects "${CONNECTS_UNDER[@]}" taskset -c "$cpus" env LD_PRELOAD="$BUILD/librssshim.so" \
		RSSSHIM_CONF="$WORLD_DIR/policy.ini" RSSSHIM_SHIM_LOG_FILE="$WORLD_DIR/log" \
		"${variables[@]}" sh -c "exec python3 $LIB/connects.py \"\$@\" <$WORLD_DIR/connects.in" - \
		"$1" 9000 "${@:2}"
	CONNECTS=$SPAWNED
	wait_until 30 connects_said 1
	SEEN=$(sed -n 's/^READY //p' "$WORLD_DIR/connects.log")
	"${CONNECTS_MEANWHILE[@]}"
	echo >&8
	wait_until 30 connects_said 2
	STAT=$("$BUILD/rssshim" stat --json "$CONNECTS")
	echo >&8
	wait_until 20 bench_gone "$CONNECTS" || stop_pid "$CONNECTS"
	exec 8>&-
	[ -n "$SEEN" ] || diag "$(cat "$WORLD_DIR/connects.log")"
}
counted() { jq -c ".connect | with_entries(select(.value > 0)) | del(.tries)" <<<"$STAT"; }
