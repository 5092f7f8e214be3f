# shellcheck shell=bash
# Others' programs with and without the shim, in a world whose NIC is steered by and with threads
# pinned. To be sourced after bench.sh; compare_up first.
#
#	PLAIN, SHIM	what stands before a command in the device under test
#	WAYS		their names, to loop over: in_way plain COMMAND ARG...

WAYS="plain shim"

# compare_up [world_up's words]: the world, and a policy with whatever standard input adds to it.
compare_up() {
	world_up "$@"
	{
		printf '[shim]\nlog = info\nlog_file = %s\n[threads]\npin = auto\n' "$WORLD_DIR/shim.log"
		world_conf
	} >"$WORLD_DIR/policy.ini"
	: >"$WORLD_DIR/shim.log"
	chmod 666 "$WORLD_DIR/shim.log"
	PLAIN=(env)
	SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
}

# in_way plain|shim COMMAND ARG...: in the device under test.
in_way() {
	local way=$1
	shift
	if [ "$way" = shim ]; then in_dut "${SHIM[@]}" "$@"; else in_dut "${PLAIN[@]}" "$@"; fi
}

# spawn_way plain|shim COMMAND ARG...: in the background; pid in SPAWNED, output in COMMAND.log.
spawn_way() {
	local way=$1 name=${2##*/}
	shift
	if [ "$way" = shim ]; then
		spawn_dut "$name" "${SHIM[@]}" "$@"
	else
		spawn_dut "$name" "${PLAIN[@]}" "$@"
	fi
}

# same NAME PLAIN-FILE SHIM-FILE: passes where both hold the same; else the difference is listed.
same() {
	local differs
	if [ ! -s "$2" ]; then
		not_ok "$1" "nothing came of it without the shim"
	elif differs=$(diff "$2" "$3"); then
		pass "$1"
	else
		not_ok "$1" "without (<) and with (>):" "$differs"
	fi
}

# Listeners that got members, of all programs so far: what no sleeping shim can show.
steered_listeners() { grep -cE ' [0-9]+ members$' "$WORLD_DIR/shim.log"; }

# steered_accepts PID: of a server's connections those that came through a member, and all. What is
# steered to the CPU of a thread comes through a member; the others over the common queue.
steered_accepts() {
	"$BUILD/rssshim" stat "$1" --json |
		jq -r '.accept | "\(.member + .drained) \(.member + .drained + .common + .unsteered)"'
}

# is_awake NAME PID LEAST: at least so many of the server's connections were steered.
is_awake() {
	local member all
	read -r member all < <(steered_accepts "$2")
	between "${member:-none}" "$3" 99999999 "$1: $member of $all connections were steered"
}
