#!/usr/bin/env bash
# timeout: 200
# Upstreams that move while the proxy runs, source addresses and ports it was told to use, ways out
# that the routing policy decides, and what is translated on the way.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
. "$(dirname "$0")/../lib/connects.sh"
why=$(bench_lacks) && skip_all "$why"

world_up clients=2 upstreams=2
world_conf >"$WORLD_DIR/policy.ini"
SHIM=(env "LD_PRELOAD=$BUILD/librssshim.so" "RSSSHIM_CONF=$WORLD_DIR/policy.ini")
IFS=, read -ra UP4 <<<"$UPSTREAM4"
IFS=, read -ra UP6 <<<"$UPSTREAM6"
spawn_client upstream python3 "$LIB/slow_upstream.py" 9000 0 "${UP4[@]}" "${UP6[@]}"
spawn_client patient python3 "$LIB/slow_upstream.py" 9003 6 "${UP4[@]}"
wait_port client 9000
wait_port client 9003

# A name's address changes: nginx asks again, and the next connects go there, aligned.
echo "${UP4[0]}" >"$WORLD_DIR/answer"
spawn_client dns python3 "$LIB/dns.py" "${UP4[0]}" 5353 "$WORLD_DIR/answer"
answers() { [ -n "$(in_client ss -Hlun "sport = :5353")" ]; }
wait_until 20 answers || bench_die "no name server"
nginx_conf location="resolver ${UP4[0]}:5353 valid=1s ipv6=off; set \$name up.test; \
	proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://\$name:9003;"
nginx_up "${SHIM[@]}"
# sessions NAME ADDRESS: 300 requests at once, to an upstream that lets them wait: where their
# upstream legs went and arrived.
established() { (($(in_dut ss -Htn state established dst "$1:9003" | wc -l) >= 300)); }
sessions() {
	despite_stalls measure "$2"
	is "$THERE" 0 "$1: at $2"
	is "$SEEN" "[300,300]" "$1: aligned"
	is "$SERVED" "[300,0]" "$1: all served"
}
measure() { # ADDRESS
	local client
	in_client "$BUILD/conns" --to "$DUT4:8080" --from "$CLIENT4" --count 300 --concurrency 300 --timeout 30 \
		--request / >"$WORLD_DIR/sessions" &
	client=$!
	wait_until 5 established "$1"
	THERE=$?
	SEEN=$(observe --json --upstream 9003 "$NGINX_PID" | jq -c '[.aligned, .total]')
	wait "$client"
	SERVED=$(jq -c '[.ok, .failed]' "$WORLD_DIR/sessions")
	[ "$THERE $SEEN $SERVED" = "0 [300,300] [300,0]" ]
}
sessions "nginx resolver" "${UP4[0]}"
echo "${UP4[1]}" >"$WORLD_DIR/answer"
sleep 2.2
sessions "nginx resolver, another answer" "${UP4[1]}"
nginx_down

# HAProxy, told which source ports to use: left alone, and told what to write instead.
haproxy_up() { # SOURCE VARIABLE...
	cat >"$WORLD_DIR/haproxy.cfg" <<-END
		global
		  nbthread 2
		  cpu-map auto:1/1-2 0-1
		  tune.listener.multi-queue off
		defaults
		  mode tcp
		  timeout client 60s
		  timeout server 60s
		  timeout connect 5s
		frontend f
		  bind :8080
		  default_backend b
		backend b
		  server s ${UP4[0]}:9000 source $1
	END
	shift
	rm -f "$WORLD_DIR/haproxy.log"
	spawn_dut haproxy "${SHIM[@]}" "$@" haproxy -f "$WORLD_DIR/haproxy.cfg"
	HAPROXY=$SPAWNED
	wait_port dut 8080
	wait_ready 2 "$HAPROXY"
	conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count 300 --concurrency 50 --request / >/dev/null
	SEEN=$(observe --json --upstream 9000 "$HAPROXY" | jq -c '[.aligned, .total]')
	PORTS=$(in_dut ss -Htn state established dst "${UP4[0]}:9000" | awk '{ sub(/.*:/, "", $3); print $3 }' |
		sort -n | sed -n '1p;$p' | tr '\n' ' ')
	conns_release
	stop_pid "$HAPROXY"
}
haproxy_up "$DUT4:50000-50999"
between "$(jq '.[0]' <<<"$SEEN")" 100 200 "HAProxy, source with ports: about half aligned"
is "$(grep -c 'source ports that the application chose are left alone' "$WORLD_DIR/haproxy.log")" 1 \
	"HAProxy, source with ports: one line says what to write"
# Others than those that wait in TIME_WAIT now.
haproxy_up "$DUT4" RSSSHIM_CONNECT_RANGE=51000-56999
is "$SEEN" "[300,300]" "HAProxy, source, and the ports in the policy: aligned"
read -r low high <<<"$PORTS"
ok "HAProxy, source, and the ports in the policy: $low to $high" test "$low" -ge 51000 -a "$high" -le 56999

# The mark decides on the source address, which is a part of the hash.
ip -n "$DUT" addr add 10.99.0.9/24 dev rss0
ip -n "$CLIENT" neigh replace 10.99.0.9 lladdr $BENCH_MAC_DUT dev cli0
ip -n "$DUT" rule add fwmark 7 lookup 100
ip -n "$DUT" route add "${UP4[0]}" dev rss0 src 10.99.0.9 table 100
connects 1 -- "${UP4[0]}" 200 mark=7
is "$SEEN" "200 200" "SO_MARK that routes by another source address: aligned"
connects 1 -- "${UP4[0]}" 200
is "$SEEN" "200 200" "without it: aligned"
# So does a rule about the port, or about the type of service; each is heard of while the program runs.
ip -n "$DUT" addr add fd99::9/64 dev rss0 nodad preferred_lft 0
ip -n "$CLIENT" neigh replace fd99::9 lladdr $BENCH_MAC_DUT dev cli0
ip -n "$DUT" route add "${UP4[1]}" dev rss0 src 10.99.0.9 table 100
ip -n "$DUT" route add "${UP6[1]}" dev rss0 src fd99::9 table 100
mkfifo "$WORLD_DIR/ruled.in"
exec 7<>"$WORLD_DIR/ruled.in"
for address in "${UP4[1]}" "${UP6[1]}"; do
	[[ $address = *:* ]] && family=6 || family=4
	: >"$WORLD_DIR/ruled.log"
	spawn_dut ruled taskset -c 1 "${SHIM[@]}" sh -c "exec python3 $LIB/batches.py $address 9000 <$WORLD_DIR/ruled.in"
	# Whether the next two hundred are aligned: as soon as the change was heard of.
	ruled() {
		local lines
		lines=$(wc -l <"$WORLD_DIR/ruled.log")
		echo 200 >&7
		wait_until 20 eval "((\$(wc -l <$WORLD_DIR/ruled.log) > $lines))"
		(($(tail -1 "$WORLD_DIR/ruled.log") == 200))
	}
	ok "IPv$family, no rule: aligned" ruled
	ip -n "$DUT" -$family rule add dport 9000 lookup 100 pref 90
	ok "IPv$family, a rule about the port: aligned" wait_until 10 ruled
	ip -n "$DUT" -$family rule del pref 90
	ok "IPv$family, no rule any more: aligned" wait_until 10 ruled
	stop_pid "$SPAWNED"
	ip -n "$DUT" -$family rule add ipproto tcp dport 9000 lookup 100 pref 90
	connects 1 -- "$address" 200 tos=16
	is "$SEEN" "200 200" "IPv$family, a rule about TCP's port: aligned"
	ip -n "$DUT" -$family rule del pref 90
	ip -n "$DUT" -$family rule add tos 0x10 lookup 100 pref 90
	connects 1 -- "$address" 200 tos=16
	is "$SEEN" "200 200" "IPv$family, a rule about the type of service: aligned"
	connects 1 -- "$address" 200 tos=16 inherited
	is "$SEEN" "200 200" "IPv$family, that on a socket that came unseen: aligned"
	connects 1 -- "$address" 200
	is "$SEEN" "200 200" "IPv$family, another type of service: aligned"
	ip -n "$DUT" -$family rule del pref 90
done
exec 7>&-
# The way out is another one for who is not bound to the device.
ip -n "$DUT" link add other0 type veth peer name other1
ip -n "$DUT" link set other0 up
ip -n "$DUT" route add "${UP4[0]}" dev other0
connects 1 -- "${UP4[0]}" 200 device=rss0
is "$SEEN" "200 200" "SO_BINDTODEVICE against the routing table: aligned"
ip -n "$DUT" link del other0
connects 1 -- "${UP4[0]}" 200 inherited device=rss0 mark=7
is "$SEEN" "200 200" "both on a socket that came unseen: aligned"

# Translated on the way, the NIC hashes other addresses or ports: such destinations are left alone,
# others are not, and the NIC is trusted as before.
if why=$(in_dut nft add table inet nat 2>&1) && in_dut test -e /proc/sys/net/netfilter/nf_conntrack_count; then
	# translated NAME REMOTE PORT RULE...: 100 connections there, then 200 elsewhere.
	translated() {
		local name=$1 remote=$2 port=$3 log=$WORLD_DIR/translated.says elsewhere=${UP4[1]}
		shift 3
		[[ $remote != *:* ]] || elsewhere=${UP6[1]}
		in_dut nft "$@"
		rm -f "$log" "$WORLD_DIR/translated.log"
		spawn_dut translated taskset -c 1 "${SHIM[@]}" RSSSHIM_SHIM_LOG_FILE="$log" sh -c \
			"printf '100\n200 $elsewhere 9000\n' | python3 $LIB/batches.py $remote $port"
		wait_until 30 bench_gone "$SPAWNED"
		is "$(sed 's/^[^ ]* //; s/: no source.*//' "$log" 2>&1)" \
			"connections to $remote port $port get other addresses or ports on the way (SNAT or DNAT of this host)" \
			"$name: one line says so, and the NIC is trusted as before"
		is "$(tail -1 "$WORLD_DIR/translated.log")" 200 "$name: another destination is aligned"
		in_dut nft flush table inet nat
	}
	in_dut nft 'add chain inet nat post { type nat hook postrouting priority 100; }'
	in_dut nft 'add chain inet nat out { type nat hook output priority -100; }'
	translated "SNAT" "${UP4[0]}" 9000 add rule inet nat post ip daddr "${UP4[0]}" snat ip to 10.99.0.9
	translated "masquerading of ports" "${UP4[0]}" 9000 \
		add rule inet nat post ip daddr "${UP4[0]}" tcp dport 9000 masquerade to :1024-9999
	translated "DNAT to another address" 10.99.0.250 9000 \
		add rule inet nat out ip daddr 10.99.0.250 dnat ip to "${UP4[0]}"
	translated "DNAT to another port, IPv6" "${UP6[0]}" 443 \
		add rule inet nat out ip6 daddr "${UP6[0]}" tcp dport 443 dnat ip6 to "[${UP6[0]}]:9000"
	in_dut nft delete table inet nat
else
	skip "translated destinations" "no connection tracking here: $why"
fi

done_testing
