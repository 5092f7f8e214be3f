# shellcheck shell=bash
# An uneven load on nginx with the shim, which may steal, and on one without it. To be sourced after
# bench.sh; needs a world, and SHIM: what stands before a command. A request is work for the server,
# half a millisecond or so: it is the workers that have too much to do, or nothing.

# uneven_up STEAL: both run all the time, so that rounds of load can take turns between them.
uneven_up() {
	local server=(workers=2 location="root $WORLD_DIR; default_type text/plain; try_files /text =404;"
		http="gzip on; gzip_comp_level 9; gzip_types text/plain;")
	head -c 12000 /dev/urandom | base64 -w0 >"$WORLD_DIR/text"
	nginx_conf port=8080 "${server[@]}"
	nginx_up "${SHIM[@]}" RSSSHIM_BALANCE_STEAL="$1"
	UNEVEN_SHIM=$NGINX_PID
	nginx_conf port=8083 "${server[@]}"
	sed -i "s|$WORLD_DIR/nginx.pid|$WORLD_DIR/plain.pid|" "$NGINX_CONF"
	in_dut "$(command -v nginx)" -p "$WORLD_DIR" -c "$NGINX_CONF" -e "$WORLD_DIR/nginx.error.log"
	wait_port dut 8083
	UNEVEN_PLAIN=$(bench_pid_file "$WORLD_DIR/plain.pid")
	wait_ready 2 "$UNEVEN_PLAIN"
}
uneven_down() {
	stop_pid "$UNEVEN_SHIM" QUIT
	stop_pid "$UNEVEN_PLAIN" QUIT
}

# uneven_shape NAME: what the load is to be like.
UNEVEN_SHAPES=("even" "a skewed table, 7 to 1" "one hot flow group" "a worker stuck for a second")
uneven_shape() {
	UNEVEN_STUCK=
	case $1 in
	*skewed*) nic_set table="0 0 0 0 0 0 0 1" ;;
	*hot*) nic_set table="0 0" ;;
	*stuck*) UNEVEN_STUCK=yes && nic_set table="equal 2" ;;
	*) nic_set table="equal 2" ;;
	esac
}

# uneven_load shim|plain SECONDS [PERCENTILE]: "REQUESTS-A-SECOND US", a connection a request; in that time
# so many percent were answered, 99 without.
uneven_load() {
	local out=$WORLD_DIR/wrk.$1 port=8080 master=$UNEVEN_SHIM worker
	[ "$1" = shim ] || port=8083 master=$UNEVEN_PLAIN
	PERCENTILE=${3:-99} in_client wrk -t1 -c64 -d"$2" -s "$BENCH_ROOT/tests/lib/percentile.lua" \
		-H "Connection: close" -H "Accept-Encoding: gzip" "http://$DUT4:$port/" >"$out" &
	if [ "$UNEVEN_STUCK" ]; then
		worker=$(pgrep -P "$master" | head -1)
		sleep 0.5
		kill -STOP "$worker"
		sleep 1
		kill -CONT "$worker"
	fi
	wait $!
	awk '$1 == "answered" { print $2, $3 }' "$out"
}

# paired PAIRS PLAIN SHIM: runs both commands, each goes first every other time; a line a pair of what
# they print.
paired() {
	local pair plain shim
	: >"$WORLD_DIR/pairs"
	for ((pair = 0; pair < $1; pair++)); do
		if ((pair % 2)); then
			plain=$($2) && shim=$($3) || bench_die "a run failed"
		else
			shim=$($3) && plain=$($2) || bench_die "a run failed"
		fi
		echo "$plain $shim" >>"$WORLD_DIR/pairs"
	done
}

# column AWK-EXPRESSION: its median over the pairs; spread: the least and the most.
column() {
	awk "{ print $1 }" "$WORLD_DIR/pairs" | sort -n |
		awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}
spread() { awk "{ print $1 }" "$WORLD_DIR/pairs" | sort -n | sed -n '1p;$p' | paste -sd ' '; }
