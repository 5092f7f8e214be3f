# shellcheck shell=bash
# Measurements on a host that has others to serve, too. To be sourced after bench.sh and tap.sh.
#
# Who gets no CPU for half a second looks stuck to his siblings, which serve for him: then not all
# connections are where their packets arrive, and rightly so. That the host did that is judged by
# somebody who has nothing to do with the shim (tests/tools/stalls.c).

# What a machine with nothing but the test on it does not do: less than half a second for one who
# naps can be half a second for one who works.
STALL_MS=${STALL_MS:-100}

# despite_stalls COMMAND ARG...: a measurement, which says by its status whether all was as it should
# be. Where it was not, and the host stalled meanwhile, it is made anew, three times at most; so it
# has to leave the world as it found it. How often it was made is in ROUNDS.
despite_stalls() {
	for ROUNDS in 1 2 3; do
		stalls_begin
		"$@" && stalls_end && return
		stalls_end
		((STALLED >= STALL_MS)) || return 1
		diag "round $ROUNDS was not right, but the host stalled for $STALLED ms meanwhile"
	done
	return 1
}

# quietly COMMAND ARG...: a measurement of what something costs, made anew, three times at most, where
# the host stalled meanwhile.
quietly() {
	for ROUNDS in 1 2 3; do
		stalls_begin
		"$@"
		stalls_end
		((STALLED >= STALL_MS)) || return 0
		diag "round $ROUNDS: the host stalled for $STALLED ms meanwhile"
	done
}

# Between the two: how long the host stalled at the worst, in STALLED.
stalls_begin() {
	"$BUILD/stalls" >"$WORLD_DIR/stalls" &
	STALLS=$!
}
stalls_end() {
	kill "$STALLS" 2>/dev/null
	wait "$STALLS" 2>/dev/null
	STALLED=$(cat "$WORLD_DIR/stalls")
	: "${STALLED:=0}"
}

# all_aligned NAME FAMILY COUNT PID CONNS-OPTION...: so many connections of the client to port 8080 (or
# PORT), one after another unless the options say otherwise: all are served, each where its packets
# arrive.
all_aligned() {
	despite_stalls aligned_round "${@:2}"
	is "$ROUND" "[$3,0] [$3,$3]" "$1"
}
aligned_round() {
	local to=$DUT4 from=$CLIENT4 port=${PORT:-8080} served
	[ "$1" = 4 ] || to="[$DUT6]" from=$CLIENT6
	served=$(conns_hold --to "$to:$port" --from "$from" --count "$2" --concurrency 1 "${@:4}")
	# shellcheck disable=SC2086
	ROUND="$(jq -c '[.ok, .failed]' <<<"$served") $(observe --json --listen "$port" $3 |
		jq -c '[.aligned, .total]')"
	conns_release
	[ "$ROUND" = "[$2,0] [$2,$2]" ]
}

# served_in_time NAME [EXCHANGE]: 100 connections at once, over all CPUs, all answered, the last within
# a second, what opening them takes on a busy machine, and what the host stalled: who looks after
# the others, and who serves for them.
served_in_time() {
	local counts
	stalls_begin
	# shellcheck disable=SC2086
	counts=$(conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 100 --concurrency 100 ${2:---numbered})
	stalls_end
	is "$(jq -c '[.ok, .failed]' <<<"$counts")" "[100,0]" "$1: all served"
	between "$(jq '.seconds * 1000 | floor' <<<"$counts")" 0 $((1200 + 2 * STALLED)) "$1: within a second"
	conns_release
}
