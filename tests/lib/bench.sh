# shellcheck shell=bash
# The bench: a private world with a soft RSS NIC, for tests, demo and benchmarks. To be sourced.
#
#	. tests/lib/bench.sh
#	world_up table="0 1 1" queue_cpus="0 1"
#	nginx_conf; nginx_up
#	conns_hold --to "$DUT4:8080" --count 200 --request /
#	observe --listen 8080 "$SPAWNED"
#
# A world is two network namespaces joined by a veth pair: `rss0` with the soft NIC in the device
# under test's, `cli0` in the client's, which also has the addresses for upstream servers. All of it
# (namespaces, the processes in them, temporary files) goes when the script ends, however it ends;
# what a SIGKILL left behind goes when the next world starts.
#
# Set by world_up:
#	DUT, CLIENT		names of the namespaces, as in `ip netns`
#	WORLD_DIR		temporary directory, readable by everyone
#	DUT4, DUT6		address of rss0
#	CLIENT4, CLIENT6	client addresses, separated by commas (for conns --from)
#	UPSTREAM4, UPSTREAM6	addresses in the client's namespace for upstream servers, likewise

BENCH_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${BUILD:=$BENCH_ROOT/build}"
[[ $BUILD = /* ]] || BUILD=$BENCH_ROOT/$BUILD
PATH=$PATH:/usr/sbin:/sbin

MICROSOFT_KEY=6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:ae:7b:30:b4
MICROSOFT_KEY+=:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa

bench_die() { echo "bench: $*" >&2; exit 1; }

# --- leaving nothing behind -------------------------------------------------------------------

BENCH_AT_EXIT=()

# at_exit COMMAND ARG...: to be run when the script ends, the last one first.
at_exit() { BENCH_AT_EXIT+=("$(printf '%q ' "$@")"); }

bench_exit() {
	local status=$? i
	trap '' INT TERM HUP
	for ((i = ${#BENCH_AT_EXIT[@]} - 1; i >= 0; i--)); do eval "${BENCH_AT_EXIT[i]}"; done
	world_down
	exit "$status"
}
trap bench_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Ends every process in the namespaces: first asked, then made to.
bench_end_processes() {
	local ns pids tries
	for tries in {1..20}; do
		pids=$(for ns; do ip netns pids "$ns" 2>/dev/null; done)
		[ -n "$pids" ] || return 0
		# shellcheck disable=SC2086
		case $tries in
		1) kill -TERM $pids 2>/dev/null ;;
		10) kill -KILL $pids 2>/dev/null ;;
		esac
		sleep 0.1
	done
}

bench_remove() { # NAME: the world rssbench-NAME, ours or a dead script's
	local ns
	bench_end_processes "rssbench-$1-dut" "rssbench-$1-client"
	for ns in "rssbench-$1-dut" "rssbench-$1-client"; do
		[ -e "/run/netns/$ns" ] && ip netns del "$ns"
	done
	rm -rf "${TMPDIR:-/tmp}/rssbench-$1".*
}

# Worlds whose script was killed: their name holds its pid.
world_sweep() {
	local path pid
	for path in /run/netns/rssbench-*-dut "${TMPDIR:-/tmp}"/rssbench-*.*; do
		[ -e "$path" ] || continue
		pid=${path##*/rssbench-}
		pid=${pid%%[-.]*}
		[ -d "/proc/$pid" ] || bench_remove "$pid"
	done
}

world_down() {
	[ -n "${WORLD:-}" ] || return 0
	bench_remove "$WORLD"
	WORLD=
}

# --- a world ----------------------------------------------------------------------------------

# bench_lacks: prints why no world can be made here; status 1 if one can.
#	why=$(bench_lacks) && skip_all "$why"
bench_lacks() {
	local online
	online=$(getconf _NPROCESSORS_ONLN)
	if [ "$(id -u)" != 0 ]; then
		echo "namespaces and XDP need root"
	elif ((online < 2)); then
		echo "needs two CPUs, $online is online"
	elif ! unshare --net true 2>/dev/null; then
		echo "no network namespaces here"
	else
		return 1
	fi
}

in_dut() { ip netns exec "$DUT" "$@"; }
in_client() { ip netns exec "$CLIENT" "$@"; }

# world_up [key=HEX] [table="Q Q .." | table="equal N[:SIZE]"] [queue_cpus="C C .."]
#	[transform=..] [fields=..] [spray=..] [clients=N] [upstreams=N] [softnic=no]
world_up() {
	local key=$MICROSOFT_KEY table="equal 2" queue_cpus="0 1" transform=none fields=4-tuple
	local spray=no clients=4 upstreams=2 softnic=yes word i
	for word; do
		case $word in
		key=* | table=* | queue_cpus=* | transform=* | fields=* | spray=* | clients=* | \
			upstreams=* | softnic=*) local "${word?}" ;;
		*) bench_die "world_up: what is $word?" ;;
		esac
	done
	[ -z "${WORLD:-}" ] || bench_die "world_up: there is one already"
	! bench_lacks >&2 || bench_die "no world"

	world_sweep
	WORLD=$$
	DUT=rssbench-$$-dut CLIENT=rssbench-$$-client
	WORLD_DIR=$(mktemp -d "${TMPDIR:-/tmp}/rssbench-$$.XXXXXX")
	chmod 755 "$WORLD_DIR"
	WORLD_KEY=$key WORLD_TABLE=$table WORLD_QUEUE_CPUS=$queue_cpus
	WORLD_TRANSFORM=$transform WORLD_FIELDS=$fields

	ip netns add "$DUT" || bench_die "no namespace"
	ip netns add "$CLIENT" || bench_die "no namespace"
	ip -n "$DUT" link add rss0 address $BENCH_MAC_DUT type veth \
		peer name cli0 address $BENCH_MAC_CLIENT netns "$CLIENT" || bench_die "no veth"
	# The redirected frame carries no word of a checksum still to be filled in.
	in_client ethtool -K cli0 tx off >/dev/null || bench_die "cli0: checksum offload stays on"
	bench_addresses "$clients" "$upstreams"
	# Ports of upstream servers are for those, whenever they start.
	in_client sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range="1024 65535" \
		net.ipv4.ip_local_reserved_ports=9000-9999
	[ "$softnic" = no ] && return
	read -ra word <<<"$(bench_table_option "$table")"
	in_dut "$BUILD/softnic" attach rss0 --key "$key" "${word[0]}" "${word[*]:1}" \
		--queue-cpus "$queue_cpus" --transform "$transform" --fields "$fields" \
		--spray "$spray" || bench_die "no soft NIC"
}

bench_table_option() {
	case $1 in
	"equal "*) echo "--equal ${1#equal }" ;;
	*) echo "--table $1" ;;
	esac
}

# The neighbours are told to both: in the first second of a namespace solicitations go unanswered,
# and every connection of a test would wait for that.
BENCH_MAC_DUT=02:99:00:00:00:01 BENCH_MAC_CLIENT=02:99:00:00:00:02
# shellcheck disable=SC2086 # the lists are to be split
bench_addresses() { # CLIENTS UPSTREAMS
	local i
	DUT4=10.99.0.1 DUT6=fd99::1 CLIENT4="" CLIENT6="" UPSTREAM4="" UPSTREAM6=""
	for ((i = 2; i < 2 + $1; i++)); do CLIENT4+=,10.99.0.$i CLIENT6+=,fd99::$i; done
	for ((i = 200; i < 200 + $2; i++)); do UPSTREAM4+=,10.99.0.$i UPSTREAM6+=,fd99::$i; done
	CLIENT4=${CLIENT4#,} CLIENT6=${CLIENT6#,} UPSTREAM4=${UPSTREAM4#,} UPSTREAM6=${UPSTREAM6#,}
	{
		echo "addr add $DUT4/24 dev rss0"
		echo "addr add $DUT6/64 dev rss0 nodad"
		printf 'link set %s up\n' lo rss0
		printf "neigh add %s lladdr $BENCH_MAC_CLIENT dev rss0\n" ${CLIENT4//,/ } ${UPSTREAM4//,/ } \
			${CLIENT6//,/ } ${UPSTREAM6//,/ }
	} | ip -n "$DUT" -batch - || bench_die "no addresses"
	{
		printf 'addr add %s/24 dev cli0\n' ${CLIENT4//,/ } ${UPSTREAM4//,/ }
		printf 'addr add %s/64 dev cli0 nodad\n' ${CLIENT6//,/ } ${UPSTREAM6//,/ }
		printf 'link set %s up\n' lo cli0
		printf "neigh add %s lladdr $BENCH_MAC_DUT dev cli0\n" $DUT4 $DUT6
	} | ip -n "$CLIENT" -batch - || bench_die "no addresses"
}

# nic_set [key=..] [table=..] [queue_cpus=..] [transform=..]: changes the soft NIC under load.
nic_set() {
	local word option args=()
	for word; do
		case $word in
		key=*) WORLD_KEY=${word#*=} args+=(--key "$WORLD_KEY") ;;
		table=*)
			WORLD_TABLE=${word#*=}
			read -ra option <<<"$(bench_table_option "$WORLD_TABLE")"
			args+=("${option[0]}" "${option[*]:1}")
			;;
		queue_cpus=*) WORLD_QUEUE_CPUS=${word#*=} args+=(--queue-cpus "$WORLD_QUEUE_CPUS") ;;
		transform=*) WORLD_TRANSFORM=${word#*=} args+=(--transform "$WORLD_TRANSFORM") ;;
		*) bench_die "nic_set: what is $word?" ;;
		esac
	done
	in_dut "$BUILD/softnic" set rss0 "${args[@]}"
}

# world_conf: the [nic rss0] section of a policy that tells the truth about the soft NIC.
world_conf() {
	cat <<-END
		[nic rss0]
		hash = toeplitz
		hash_key = $WORLD_KEY
		indirection = $(case $WORLD_TABLE in equal*:*) softnic_table ;; *) echo "$WORLD_TABLE" ;; esac)
		transform = $WORLD_TRANSFORM
		fields = $WORLD_FIELDS
		queue_cpus = $WORLD_QUEUE_CPUS
	END
}

# nic_threads: pids of the kernel threads that run the receive queues, ordinary threads to the
# scheduler (chrt -f 1 makes them preempt as softirqs do; /proc/PID/schedstat has their CPU time).
nic_threads() {
	local map
	map=$(in_dut "$BUILD/softnic" show rss0 | sed -n 's/^threads .*\(map:.*\)/\1/p')
	pgrep "^cpumap/[0-9]+/$map\$"
}

softnic_table() { in_dut "$BUILD/softnic" show rss0 | sed -n 's/^table *//p'; }

# --- processes in it --------------------------------------------------------------------------

# spawn_dut NAME COMMAND ARG...: in the background, output in $WORLD_DIR/NAME.log, pid in SPAWNED.
# `ip netns exec` becomes the command: the pid is the command's own.
spawn_dut() { bench_spawn "$DUT" "$@"; }
spawn_client() { bench_spawn "$CLIENT" "$@"; }
bench_spawn() {
	local ns=$1 name=$2
	shift 2
	ip netns exec "$ns" "$@" </dev/null >>"$WORLD_DIR/$name.log" 2>&1 &
	SPAWNED=$!
	disown "$SPAWNED"
}

# Whether a process has ended. One that nobody has waited for yet has, too.
bench_gone() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	[[ ${stat##*)} = " Z "* ]]
}

# stop_pid PID [SIGNAL]: ends it and waits until it is gone.
stop_pid() {
	kill -"${2:-TERM}" "$1" 2>/dev/null
	wait_until 20 bench_gone "$1" && return
	kill -KILL "$1" 2>/dev/null
	bench_die "pid $1 did not end in 20 seconds"
}

# wait_until SECONDS COMMAND ARG...: status 1 if the command does not succeed within that time.
wait_until() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/./} < end)) || return 1
		sleep 0.02
	done
}

bench_listens() { [ -n "$(ip netns exec "$1" ss -Hltn "sport = :$2")" ]; }

# wait_port dut|client PORT: until something listens there, 20 seconds at most.
wait_port() {
	local ns=$DUT
	[ "$1" = client ] && ns=$CLIENT
	wait_until 20 bench_listens "$ns" "$2" || bench_die "nothing listens on port $2 of the $1"
}

# wait_free dut|client PORT: until nothing listens there any more: processes that stop_pid() did not
# wait for may be the last to have the socket.
wait_free() {
	local ns=$DUT
	[ "$1" = client ] && ns=$CLIENT
	wait_until 20 bench_is_free "$ns" "$2" || bench_die "something still listens on port $2 of the $1"
}
bench_is_free() { ! bench_listens "$@"; }

# wait_ready THREADS PID: until so many threads of that process and its descendants wait for work, so
# have pinned themselves and watch their listeners: later than the port is open. 20 seconds at most.
wait_ready() { wait_until 20 bench_waits "$@" || bench_die "no $1 threads of pid $2 wait for work"; }
# wait_renewed THREADS CHILDREN PID: the same after a reload, once its children of before are gone.
wait_renewed() { wait_until 20 bench_is_renewed "$@" || bench_die "pid $3 has not $2 children that serve"; }
bench_is_renewed() { [ "$(pgrep -c -P "$3")" = "$2" ] && bench_waits "$1" "$3"; }
bench_waits() {
	local threads=0 pid place
	for pid in $(bench_tree "$2"); do
		for place in "/proc/$pid/task/"*/wchan; do
			case $(cat "$place" 2>/dev/null) in
			*epoll_wait | ep_poll | poll_schedule_timeout* | inet_csk_accept) ((++threads)) ;;
			esac
		done
	done
	((threads >= $1))
}
bench_tree() {
	local child
	echo "$1"
	for child in $(pgrep -P "$1"); do bench_tree "$child"; done
}

# observe ARG...: the observer, told which CPUs have receive queues.
observe() { "$BUILD/observe" --cpus "${WORLD_QUEUE_CPUS// /,}" "$@"; }

# conns_hold [dut|client] ARG...: opens connections from there (the client) and holds them; prints
# the counts as JSON. conns_again does one more exchange on each, conns_release closes them. All
# they remember is in files, so counts=$(conns_hold ..) works.
#
# Whoever is served within 20 seconds was not lost.
#
# The pipe is opened for reading and writing by conns: it never ends, and no descriptor of this
# shell has to stay open and be inherited by what is started meanwhile.
conns_hold() {
	local ns=$CLIENT
	case $1 in
	dut) ns=$DUT && shift ;;
	client) shift ;;
	esac
	[ ! -e "$WORLD_DIR/conns.pid" ] || bench_die "conns_hold: some are held already"
	rm -f "$WORLD_DIR/conns.in"
	mkfifo "$WORLD_DIR/conns.in"
	: >"$WORLD_DIR/conns.out"
	ip netns exec "$ns" "$BUILD/conns" --timeout 20 "$@" <>"$WORLD_DIR/conns.in" >"$WORLD_DIR/conns.out" &
	echo $! >"$WORLD_DIR/conns.pid"
	disown $!
	bench_conns_line 1
}
conns_pid() { cat "$WORLD_DIR/conns.pid"; }
conns_again() {
	local lines
	lines=$(wc -l <"$WORLD_DIR/conns.out")
	echo >"$WORLD_DIR/conns.in"
	bench_conns_line $((lines + 1))
}
conns_release() {
	stop_pid "$(conns_pid)"
	rm -f "$WORLD_DIR/conns.pid"
}
bench_conns_line() {
	wait_until 60 bench_conns_has "$1" || bench_die "conns: no answer"
	sed -n "${1}p" "$WORLD_DIR/conns.out"
}
bench_conns_has() {
	(($(wc -l <"$WORLD_DIR/conns.out") >= $1)) || bench_gone "$(conns_pid)"
}

# --- nginx ------------------------------------------------------------------------------------

# nginx_conf [workers=2] [port=8080] [listen=OPTIONS] [affinity=auto] [location=TEXT] [http=TEXT]
#	[main=TEXT]
# Writes $NGINX_CONF: answers 200 everywhere, workers pinned one a CPU. `http` is added to the http
# block, `main` to the top level; `location` replaces the answer.
nginx_conf() {
	local workers=2 port=8080 listen="" affinity=auto http="" main="" word
	local location='return 200 "ok\n";'
	for word; do
		case $word in
		workers=* | port=* | listen=* | affinity=* | http=* | main=* | location=*) local "${word?}" ;;
		*) bench_die "nginx_conf: what is $word?" ;;
		esac
	done
	NGINX_CONF=$WORLD_DIR/nginx.conf NGINX_PORT=$port NGINX_WORKERS=$workers
	bench_nginx_text nginx >"$NGINX_CONF"
}

bench_nginx_text() { # NAME of its files; the rest are nginx_conf's variables
	mkdir -p "$WORLD_DIR/$1"
	cat <<-END
		worker_processes $workers;
		worker_cpu_affinity $affinity;
		worker_rlimit_nofile 20000;
		pid $WORLD_DIR/$1.pid;
		error_log $WORLD_DIR/$1.error.log;
		$main
		events { worker_connections 9000; }
		http {
			access_log off;
			keepalive_timeout 600;
			keepalive_requests 1000000;
			client_body_temp_path $WORLD_DIR/$1;
			proxy_temp_path $WORLD_DIR/$1;
			fastcgi_temp_path $WORLD_DIR/$1;
			uwsgi_temp_path $WORLD_DIR/$1;
			scgi_temp_path $WORLD_DIR/$1;
			server {
				listen 0.0.0.0:$port $listen;
				listen [::]:$port ipv6only=on $listen;
				location / { $location }
			}
			$http
		}
	END
}

# nginx_up [COMMAND ARG...]: starts it in the device under test, COMMAND before it (env LD_PRELOAD=..,
# rssshim run --); pid of the master in NGINX_PID. As a daemon would: it can upgrade its binary. Its
# workers are ready when this returns.
nginx_up() {
	in_dut "$@" "$(command -v nginx)" -p "$WORLD_DIR" -c "$NGINX_CONF" -e "$WORLD_DIR/nginx.error.log" ||
		bench_die "nginx does not start: $(tail -3 "$WORLD_DIR/nginx.error.log")"
	wait_port dut "$NGINX_PORT"
	NGINX_PID=$(bench_pid_file "$WORLD_DIR/nginx.pid")
	wait_ready "$NGINX_WORKERS" "$NGINX_PID"
}

nginx_down() {
	stop_pid "$NGINX_PID" QUIT
	NGINX_PID=
}

bench_pid_file() {
	wait_until 20 test -s "$1" || bench_die "no pid in $1"
	cat "$1"
}

# upstream_up [port=9000] [nginx_conf's other words]: a plain nginx in the client's namespace for a
# proxy to talk to, on every UPSTREAM address.
upstream_up() {
	local workers=1 port=9000 listen="" affinity=auto http="" main="" word
	local location='return 200 "upstream\n";'
	for word; do local "${word?}"; done
	bench_nginx_text upstream >"$WORLD_DIR/upstream.conf"
	in_client nginx -p "$WORLD_DIR" -c "$WORLD_DIR/upstream.conf" \
		-e "$WORLD_DIR/upstream.error.log" || bench_die "the upstream server does not start"
	wait_port client "$port"
}
