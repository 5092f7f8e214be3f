#!/usr/bin/env bash
# timeout: 120
# rssshim off, on and stat on a running nginx, and the observe mode that touches nothing.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

RSSSHIM=$BUILD/rssshim
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")

# aligned COUNT: of so many new connections, those the observer finds aligned.
aligned() {
	conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count "$1" --concurrency 1 --request / >/dev/null
	observe --json --listen 8080 "$NGINX_PID" | jq .aligned
	conns_release
}
accepted() { "$RSSSHIM" stat "$NGINX_PID" --json | jq '.accept | .member + .common + .drained + .unsteered'; }

nginx_conf workers=2 port=8080
nginx_up
plain_sockets=$(in_dut ss -Hltn | wc -l)
nginx_down

nginx_up "${SHIM[@]}"
all_aligned "steering: all aligned" 4 400 "$NGINX_PID" --request /
is "$(accepted)" $((400 * ROUNDS)) "stat counts each accepted connection"
in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --churn 6 --concurrency 8 --request / \
	>"$WORLD_DIR/load" &
load=$!
ok "rssshim off" "$RSSSHIM" off "$NGINX_PID"
between "$(aligned 400)" 40 360 "off: a part of them is aligned, by chance, at once"
ok "rssshim on" "$RSSSHIM" on "$NGINX_PID"
# The load's connections of the moment are among them.
are_aligned() { AGAIN=$(aligned 400) && ((AGAIN >= 400)); }
despite_stalls are_aligned
between "$AGAIN" 400 408 "on: all aligned again"
wait $load
is "$(jq .failed "$WORLD_DIR/load")" 0 "no connection failed meanwhile ($(jq .ok "$WORLD_DIR/load"))"
before=$(accepted)
kill -9 "$(pgrep -P "$NGINX_PID" | head -1)"
sleep 1
between "$(accepted)" "$before" $((before + 10)) "a killed worker's counts stay"
like "$("$RSSSHIM" stat "$NGINX_PID")" "aligned +\\(" "stat for people says what is aligned"
nginx_down

nginx_up "${SHIM[@]}" RSSSHIM_SHIM_ENABLED=observe
seen=$(aligned 600)
between "$seen" 60 540 "observe: a part of them is aligned, by chance, as without the shim"
is "$(in_dut ss -Hltn | wc -l)" "$plain_sockets" "observe: no listening socket more than without the shim"
told=$("$RSSSHIM" stat "$NGINX_PID" --json | jq .accept_seen.aligned)
between "$told" $((seen - 5)) $((seen + 5)) "observe: it saw what the observer saw ($told, $seen)"
is "$("$RSSSHIM" stat "$NGINX_PID" --json | jq '.accept_seen | .looked_at >= 600 and .would_be_aligned >= 600')" \
	true "observe: says that all of them would be aligned"
is "$("$RSSSHIM" stat "$NGINX_PID" --json | jq '.nics[] | select(.name == "rss0") | .accepted |
	.looked_at > 20 and .would_be_aligned == .looked_at')" true "observe: by interface too"
is "$("$RSSSHIM" stat "$NGINX_PID" --json | jq '[.cpus[] | .accepted | .looked_at == .would_be_aligned] | all')" \
	true "and by CPU"
like "$("$RSSSHIM" stat "$NGINX_PID")" 'rss0 +[0-9]+ +[0-9.]+ % +100\.0 %' "and for people"
in_dut "$BUILD/conns" --to 127.0.0.1:8080 --from 127.0.0.1 --churn 1 --concurrency 4 --request / >/dev/null
is "$("$RSSSHIM" stat "$NGINX_PID" --json | jq '(.accept_seen | .would_be_aligned < .looked_at) and
	(.nics[] | select(.name == "lo") | .accepted.looked_at > 0)')" true \
	"observe: same-host clients are no gain, as they are not steered"
nginx_down

for wrong in "stat 999999" "off 999999" "off $$" "stat $$"; do
	# shellcheck disable=SC2086
	said=$("$RSSSHIM" $wrong 2>&1)
	is "$?" 1 "rssshim $wrong: cannot be done"
	like "$said" "^rssshim (stat|off): .+" "rssshim $wrong: says why"
done
"$RSSSHIM" off >/dev/null 2>&1
is "$?" 2 "rssshim off without a process: wrong usage"

done_testing
