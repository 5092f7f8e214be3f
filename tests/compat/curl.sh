#!/usr/bin/env bash
# timeout: 180
# also in make test
# curl as a client, under the shim and not, of a web server that is under the shim and not: what is
# fetched, how calls end, and which error a call that must fail ends with.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/compare.sh"
why=$(bench_lacks) && skip_all "$why"
command -v curl >/dev/null || skip_all "curl is not installed"

COUNT=200
[ -n "${QUICK:-}" ] && COUNT=60
compare_up clients=2 upstreams=1
head -c 300000 /dev/urandom >"$WORLD_DIR/file"
chmod 644 "$WORLD_DIR/file"

# The same transfers with any server and any curl: status, size, sum and how it ended.
transfers() { # BASE-URL IPV6-BASE-URL COMMAND ARG...
	local base=$1 base6=$2 url
	shift 2
	fetch() {
		"${get[@]}" --max-time 20 -sS -o "$WORLD_DIR/out" -w '%{http_code} %{size_download} %{errormsg} ' "$@"
		echo "status $? $(md5sum <"$WORLD_DIR/out")"
		: >"$WORLD_DIR/out"
	}
	local get=("$@")
	for url in "$base" "$base6"; do
		fetch "$url/file"
		fetch --http1.0 "$url/file"
		fetch -r 1000-1999 "$url/file"
		fetch -I "$url/file" | sed "s/ [^ ]*  -$//" # the headers have a date
		fetch -H 'Connection: close' "$url/file"
		fetch --limit-rate 3M "$url/file"
		fetch --tcp-fastopen "$url/file"
		fetch --tcp-nodelay --keepalive-time 1 "$url/file"
		fetch "$url/missing"
		fetch -d name=value "$url/file"
		"${get[@]}" -sS --max-time 30 --no-progress-meter --parallel --parallel-max 8 -w '%{http_code}\n' \
			-o /dev/null "$url/file?[1-24]"
		echo "parallel: status $?"
		"${get[@]}" -sS --max-time 30 -w '%{http_code} %{num_connects}\n' -o /dev/null "$url/file?[1-5]"
	done
	fetch --interface rss0 "$base/file"
	fetch --interface cli0 "$base/file"
	fetch --local-port 22000-22050 "$base/file"
	fetch --connect-timeout 1 "${base%:*}:9/" # refused
	fetch --connect-timeout 0.2 --max-time 1 http://10.99.0.99/ # nobody there
	fetch --resolve "name:80:${base#http://}" http://name:1/
}
WITHOUT_ADDRESSES='s/after [0-9]+ ms/after N ms/'

nginx_conf workers=2 location="root $WORLD_DIR;"
for way in $WAYS; do
	if [ $way = shim ]; then nginx_up "${SHIM[@]}"; else nginx_up; fi
	sleep 0.5
	transfers "http://$DUT4:8080" "http://[$DUT6]:8080" in_client curl 2>&1 |
		sed -E "$WITHOUT_ADDRESSES" >"$WORLD_DIR/$way.server"
	[ $way = shim ] && is_awake "nginx" "$NGINX_PID" 30
	nginx_down
done
same "transfers from a server: $(wc -l <"$WORLD_DIR/plain.server") lines" \
	"$WORLD_DIR/plain.server" "$WORLD_DIR/shim.server"

upstream_up port=9000 location="root $WORLD_DIR;"
for way in $WAYS; do
	transfers "http://$UPSTREAM4:9000" "http://[$UPSTREAM6]:9000" in_way $way taskset -c 1 curl 2>&1 |
		sed -E "$WITHOUT_ADDRESSES" >"$WORLD_DIR/$way.client"
done
same "transfers by a client: $(wc -l <"$WORLD_DIR/plain.client") lines" \
	"$WORLD_DIR/plain.client" "$WORLD_DIR/shim.client"

# Source ports that lead the replies to the CPU that curl is pinned to.
fitting() { # plain|shim
	in_way "$1" taskset -c 1 curl -sS --no-keepalive -H 'Connection: close' -o /dev/null \
		-w '%{local_port}\n' "http://$UPSTREAM4:9000/missing?[1-$COUNT]" 2>/dev/null >"$WORLD_DIR/used"
	sort -n -u "$WORLD_DIR/used" | grep -cxFf <("$BUILD/rssshim" ports --nic rss0 \
		--conf "$WORLD_DIR/policy.ini" --remote "$UPSTREAM4:9000" --local "$DUT4" --cpu 1)
}
plain=$(fitting plain) shim=$(fitting shim)
between "$plain" $((COUNT / 4)) $((COUNT * 3 / 4)) "without: $plain of $COUNT connections fit by chance"
is "$shim" "$(sort -u "$WORLD_DIR/used" | wc -l)" "with: all $shim source ports lead the replies to its CPU"
between "$shim" $((COUNT * 9 / 10)) "$COUNT" "a port for each of $COUNT"
done_testing
