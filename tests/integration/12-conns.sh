#!/bin/bash
# The load client against servers that fail on purpose: what it counts is what happened, so that
# "no connection was lost" means something.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

world_up softnic=no
declare -A port
next=8200
for kind in ok chunks error short reset silent stale echo swapped garbled; do
	port[$kind]=$((next += 1))
	spawn_dut "$kind" python3 "$BENCH_ROOT/tests/lib/misbehave.py" "$kind" "$next"
done
for kind in "${!port[@]}"; do wait_port dut "${port[$kind]}"; done

# What became of ten connections: the counts that are not 0, "held" and "failed" among them.
outcome() { # KIND ARG...
	local kind=$1
	shift
	in_client "$BUILD/conns" --to "$DUT4:${port[$kind]}" --from "$CLIENT4" --count 10 --timeout 1 \
		"$@" </dev/null | counts
}
counts() { jq -c 'del(.seconds, .opened, .exchanges) | with_entries(select(.value > 0))'; }

is "$(outcome ok --request /)" '{"ok":10,"held":10}' "a good server"
is "$(outcome ok)" '{"ok":10,"held":10}' "connecting alone"
is "$(outcome chunks --request /)" '{"ok":10,"held":10}' "an answer in many pieces"
is "$(outcome error --request /)" '{"bad":10,"failed":10}' "an answer that is not 200"
is "$(outcome short --request /)" '{"short":10,"failed":10}' "a connection closed within the answer"
is "$(outcome reset --request /)" '{"reset":10,"failed":10}' "a reset"
is "$(outcome silent --request /)" '{"timeout":10,"failed":10}' "no answer"
port[nobody]=8299
is "$(outcome nobody --request /)" '{"refused":10,"failed":10}' "nobody listens"
is "$(in_client "$BUILD/conns" --to "$DUT4:80" --from 10.98.0.1 --count 10 </dev/null | counts)" \
	'{"local":10,"failed":10}' "a source address that is not ours"

is "$(outcome echo --numbered)" '{"ok":10,"held":10}' "numbers and addresses come back over IPv4"
is "$(in_client "$BUILD/conns" --to "[$DUT6]:${port[echo]}" --from "$CLIENT6" --count 10 --numbered \
	</dev/null | counts)" '{"ok":10,"held":10}' "and over IPv6"
is "$(outcome swapped --numbered)" '{"bad":10,"failed":10}' "another connection's address is noticed"
is "$(outcome garbled --numbered)" '{"bad":10,"failed":10}' "so is anything else"

churn() { # KIND ARG...: keys that are not 0
	local kind=$1
	shift
	in_client "$BUILD/conns" --to "$DUT4:${port[$kind]}" --from "$CLIENT4" --churn 0.5 --timeout 1 \
		--concurrency 4 "$@" </dev/null | counts | jq -c keys
}
is "$(churn ok --request /)" '["ok"]' "churn: a good server"
is "$(churn ok --request / --requests 5)" '["ok"]' "churn: several requests a connection"
is "$(churn stale --request / --requests 5)" '["stale"]' \
	"churn: closing a kept-alive connection between requests is no failure"
is "$(churn reset --request /)" '["failed","reset"]' "churn: resets"
is "$(churn short --request /)" '["failed","short"]' "churn: short answers"
is "$(churn nobody)" '["failed","refused"]' "churn: refusals"
is "$(churn echo --numbered)" '["ok"]' "churn: numbered"
is "$(churn swapped --numbered)" '["bad","failed"]' "churn: numbered, swapped"

counts=$(conns_hold --to "$DUT4:${port[stale]}" --from "$CLIENT4" --count 10 --request /)
is "$(counts <<<"$counts")" '{"ok":10,"held":10}' "held"
is "$(conns_again | counts)" '{"short":10,"failed":10}' "held connections that the server closed are missed"
conns_release
done_testing
