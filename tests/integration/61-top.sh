#!/usr/bin/env bash
# timeout: 150
# rssshim top and explain on a running nginx proxy; what is counted survives a changed set of NICs, a
# killed worker, and the upgrade of the binary.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
why=$(bench_lacks) && skip_all "$why"

RSSSHIM=$BUILD/rssshim
terminal() { /usr/bin/python3 "$BENCH_ROOT/tests/lib/terminal.py" "$@"; }
stat() { "$RSSSHIM" stat "$NGINX_PID" --json | jq -c "$1"; }
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
printf '[connect]\ntries = 9\n' >>"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini" RSSSHIM_LISTEN_MEMBERS=32)
upstream_up port=9000
nginx_conf workers=2 port=8080 http="upstream u { server ${UPSTREAM4%%,*}:9000; }" \
	location="proxy_pass http://u;"
nginx_up "${SHIM[@]}"
wait_ready 2 "$NGINX_PID"
load() { # SECONDS
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --churn "$1" --concurrency 8 \
		--request / >/dev/null
}

# --- top
load 4 &
load=$!
frames=$("$RSSSHIM" top "$NGINX_PID" --interval 0.7 --count 3)
is "$?:$(grep -c '^nginx (pid' <<<"$frames")" 0:3 "top without a terminal: so many frames"
like "$frames" ' [1-9][0-9]*\.[0-9] +[0-9]+  member: ' "top: connections a second, and in all"
like "$frames" ' [1-9][0-9]*\.[0-9] +[0-9]+  steered: ' "top: outgoing connections a second"
like "$frames" 'accepted  +100\.0 % aligned' "top: shares"
like "$frames" 'predicted 100\.0 % right' "top: prediction hit rate"
like "$frames" 'thread at home on CPU \(row\).*
 +0 +[0-9.]+% +\.
 +1 +\. +[0-9.]+%' "top: the table of packet CPUs and thread CPUs"
like "$frames" ' CPU 1 +[1-9].*100\.0 %' "top: by CPU"
like "$frames" ' rss0 +[1-9].*100\.0 %.*predicted 100' "top: by interface"
seen=$(terminal q "$RSSSHIM" top "$NGINX_PID" --interval 0.5)
is "$(jq -c '[.status, .entered, .left, .restored]' <<<"$seen")" "[0,true,true,true]" \
	"top on a terminal: q ends it and leaves the terminal as it was"
like "$(jq -r .text <<<"$seen")" '48;5;(40|34|28|22);97m' "top on a terminal: aligned cells are green"
is "$(terminal ^C "$RSSSHIM" top "$NGINX_PID" | jq -c '[.status, .left, .restored]')" "[0,true,true]" \
	"and so does Ctrl-C"
wait $load

spawn_dut other "${SHIM[@]}" /usr/bin/python3 -c 'import socket, time
listener = socket.create_server(("127.0.0.1", 7))
time.sleep(60)'
other=$SPAWNED
wait_port dut 7
table=$("$RSSSHIM" top --interval 0.2 --count 2)
like "$table" "nginx +$NGINX_PID +3 steering +[0-9.]+ +100\\.0 %.*rssshim top PID" "top of all: a line for nginx"
like "$table" "python3[0-9.]* +$other +1 steering" "and one for the other application"
stop_pid "$other"

# --- explain
text=$("$RSSSHIM" explain "$NGINX_PID")
like "$text" "connect.tries +9 +$WORLD_DIR/policy.ini:[0-9]+" "explain: a value from the file, with its line"
like "$text" "listen.members +32 +RSSSHIM_LISTEN_MEMBERS" "explain: a value from a variable"
like "$text" "connect.steer +yes +default" "explain: a default"
like "$text" '0.0.0.0:8080: steered, 2 member sockets' "explain: the listener"
like "$text" 'lo: loopback.*not steered: packets arrive on the CPU of the sender' \
	"explain: an interface that is not steered, and why"
is "$("$RSSSHIM" explain "$NGINX_PID" --json | jq -c '[.outgoing.steered,
	([.threads[] | select(.accepted > 0) | .at_home] | unique),
	([.policy[] | select(.key == "connect.tries") | .value])]')" '[true,[true],["9"]]' "explain --json"

is "$(stat '[.listeners[] | [.address, .open]]')" '[["0.0.0.0:8080",true],["[::]:8080",true]]' "the listeners are open"
sed -i 's/listen \[::\]:8080[^;]*;//' "$WORLD_DIR/nginx.conf"
in_dut nginx -c "$WORLD_DIR/nginx.conf" -s reload 2>/dev/null
closed() { [ "$(stat '[.listeners[] | select(.open) | .address]')" = '["0.0.0.0:8080"]' ]; }
ok "a listener that a reload closed is said to be closed" wait_until 20 closed
like "$("$RSSSHIM" explain "$NGINX_PID")" '\[::\]:8080: closed meanwhile' "by explain, too"

# --- the NICs change
in_dut ip link add late0 type veth peer name late1
is_known() { [ "$(stat '[.nics[].name] | index("late0") != null')" = true ]; }
ok "an interface that came later is known" wait_until 20 is_known
looked=$(stat '.nics[] | select(.name == "rss0") | .accepted.looked_at')
in_dut ip link del late0
is_gone() { [ "$(stat '[.nics[] | select(.name == "late0") | .gone]')" = "[true]" ]; }
ok "and one that went is said to be gone" wait_until 20 is_gone
between "$(stat '.nics[] | select(.name == "rss0") | .accepted.looked_at')" "$looked" 1e9 \
	"the counts of the others stay ($looked)"

# --- off goes along over exec
accepted() { stat '.accept | .member + .common + .drained'; }
before=$(accepted)
old=$NGINX_PID
ok "off" "$RSSSHIM" off "$NGINX_PID"
kill -USR2 "$NGINX_PID"
wait_until 20 test -s "$WORLD_DIR/nginx.pid.oldbin"
sleep 1
new=$(bench_pid_file "$WORLD_DIR/nginx.pid")
wait_ready 2 "$new"
is "$("$RSSSHIM" stat "$new" --json | jq -c "[.state, (.processes | index($old) != null)]")" '["off",true]' \
	"the upgraded nginx is the same application, and still off"
kill -WINCH "$old"
sleep 0.5
kill -QUIT "$old"
NGINX_PID=$new
load 1
is "$(jq -n "$(accepted) > $before")" true "it counts on"
is "$(stat .state)" '"off"' "off when the old one is gone, too"
ok "on" "$RSSSHIM" on "$NGINX_PID"
is "$(stat .state)" '"steering"' "until it is switched on"

# --- what dies
"$RSSSHIM" top "$NGINX_PID" --interval 0.3 >"$WORLD_DIR/frames" &
top=$!
sleep 0.5
kill -9 "$(pgrep -P "$NGINX_PID" | head -1)"
sleep 1
ok "top goes on after a worker was killed" kill -0 $top
kill "$NGINX_PID"
wait $top
is "$?" 0 "top ends when all processes are gone"
ok "and says so" grep -q "has ended" "$WORLD_DIR/frames"
done_testing
