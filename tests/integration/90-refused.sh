#!/usr/bin/env bash
# timeout: 300
# Where something is refused or missing (system calls, /proc, /sys, privileges, memory, descriptors,
# room for a log) a server works as without the shim, and its connections are aligned where what
# that needs is not what is missing.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"

# Usage: 90-refused.sh [WORD]: only what has that word in its name.
ONLY=${1:-}
COUNT=100
world_up clients=4
world_conf >"$WORLD_DIR/policy.ini"
chmod 755 "$WORLD_DIR"
# Another user must be able to read what it runs.
cp "$BUILD/serve" "$BUILD/librssshim.so" "$WORLD_DIR"
SHIM=(env LD_PRELOAD="$WORLD_DIR/librssshim.so" RSSSHIM_CONF="$WORLD_DIR/policy.ini")

# judge NAME WANTED PID: opens connections; WANTED in 1000 of them are aligned, or `any`.
judge() {
	local wanted=$2
	wait_until 20 bench_waits 2 "$3" || diag "$1: its workers do not wait"
	despite_stalls measure "$3"
	is "$SERVED" "[$COUNT,0]" "$1: all served"
	[ "$2" = any ] || is "$SHARE" "$2" "$1: aligned"
}
measure() { # PID
	SERVED=$(conns_hold --to "$DUT4:8080" --from "$CLIENT4" --count $COUNT --concurrency 1 $EXCHANGE |
		jq -c '[.ok, .failed]')
	SHARE=$(observe --json --listen 8080 "$1" | jq '.aligned * 1000 / .total | floor')
	conns_release
	[ "$wanted" = any ] || [ "$wanted" = "$SHARE" ] || return
	[ "$SERVED" = "[$COUNT,0]" ]
}

# small NAME WANTED COMMAND...: a small server, COMMAND before it.
small() {
	local name=$1 wanted=$2
	[[ $name = *"$ONLY"* ]] || return
	shift 2
	: >"$WORLD_DIR/serve.log"
	spawn_dut serve "$@" "$WORLD_DIR/serve" --port 8080 --cpus "0 1"
	if ! wait_until 20 bench_listens "$DUT" 8080; then
		not_ok "$name: starts" "$(cat "$WORLD_DIR/serve.log")"
		return
	fi
	EXCHANGE=--numbered judge "$name" "$wanted" "$SPAWNED"
	stop_pid "$SPAWNED" "${STOP:-TERM}"
	wait_until 20 not_listening || bench_die "something still listens"
}
not_listening() { ! bench_listens "$DUT" 8080; }

# web NAME WANTED COMMAND...: nginx, COMMAND before it.
web() {
	local name="nginx, $1" wanted=$2
	[[ $name = *"$ONLY"* ]] || return
	shift 2
	nginx_conf workers=2 port=8080
	nginx_up "$@"
	EXCHANGE="--request /" judge "$name" "$wanted" "$NGINX_PID"
	nginx_down
}

# hidden DIRECTORIES COMMAND...: with nothing in them.
hidden() {
	local directories=$1
	shift
	# shellcheck disable=SC2016
	HIDDEN=(unshare --mount sh -c 'for d in $1; do mount -t tmpfs -o ro none $d || exit; done
		shift; exec "$@"' - "$directories" "$@")
}

# What the listening half can do without.
for what in netlink-generic netlink-diag netlink=EAFNOSUPPORT datagram=EAFNOSUPPORT ioctl=ENOSYS \
	prlimit=ENOSYS getcpu=ENOSYS getrandom=ENOSYS madvise tgkill kcmp=ENOSYS \
	pidfd=ENOSYS epoll-pwait2=ENOSYS close-range=ENOSYS port-range=EPERM \
	unix socketpair; do
	small "without $what" 1000 "$BUILD/refuse" $what -- "${SHIM[@]}"
done
# What it cannot.
for what in memfd memfd=ENOSYS memfd=EMFILE getaffinity=ENOSYS dup-high=EINVAL; do
	small "without $what" any "$BUILD/refuse" $what -- "${SHIM[@]}"
done
small "without all of it" any "$BUILD/refuse" cbpf incoming-cpu reuseport netlink unix socketpair memfd \
	ioctl getaffinity prlimit getcpu getrandom madvise tgkill dup-high port-range -- "${SHIM[@]}"

for what in /proc /sys "/proc /sys"; do
	hidden "$what" "${SHIM[@]}"
	small "without $what" 1000 "${HIDDEN[@]}"
	web "without $what" 1000 "${HIDDEN[@]}"
done

small "no privileges" 1000 setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all \
	"${SHIM[@]}"
small "root without capabilities" 1000 setpriv --bounding-set=-all --inh-caps=-all "${SHIM[@]}"
small "a user namespace" 1000 unshare --user "${SHIM[@]}"
small "a user namespace with its root" 1000 unshare --user --map-root-user --mount "${SHIM[@]}"
# Its first process is not ended by a SIGTERM that it does not expect.
STOP=KILL small "a pid namespace" 1000 unshare --user --map-root-user --pid --fork --kill-child \
	"${SHIM[@]}"

web "a full disk for the log" 1000 "${SHIM[@]}" RSSSHIM_SHIM_LOG=debug RSSSHIM_SHIM_LOG_FILE=/dev/full
small "a full disk for the log" 1000 "${SHIM[@]}" RSSSHIM_SHIM_LOG=debug RSSSHIM_SHIM_LOG_FILE=/dev/full
small "a directory for the log" 1000 "${SHIM[@]}" RSSSHIM_SHIM_LOG_FILE=/
small "standard error closed" 1000 sh -c 'exec "$@" 2>&-' - "${SHIM[@]}" RSSSHIM_SHIM_LOG=debug
small "descriptors 0 to 2 closed" 1000 sh -c 'exec "$@" <&- >&- 2>&-' - "${SHIM[@]}" \
	RSSSHIM_SHIM_LOG=debug
small "files of no size" any prlimit --fsize=0 "${SHIM[@]}"
small "no locked memory" 1000 prlimit --memlock=0 "${SHIM[@]}"
small "128 descriptors" any prlimit --nofile=128 "${SHIM[@]}"
# Out of memory: to allocate, and to map. Where there is room for the libraries, but not for a stack
# more, what the library maps itself may be refused.
"${CC:-cc}" -O2 -Wall -Wextra -shared -fPIC -o "$WORLD_DIR/nomemory.so" \
	"$BENCH_ROOT/tests/preload/nomemory.c" || exit 1
small "no memory to allocate" 1000 env LD_PRELOAD="$WORLD_DIR/librssshim.so:$WORLD_DIR/nomemory.so" \
	RSSSHIM_CONF="$WORLD_DIR/policy.ini" RSSSHIM_SHIM_LOG=debug
for mb in 24 28 32 64; do
	small "$mb MB of address space" any prlimit --as=$((mb << 20)) "${SHIM[@]}"
done

# A server that gives up its rights after it has its listener, and sees no more of the file system.
confined() { # NAME
	[[ $1 = *"$ONLY"* ]] || return
	mkdir -p "$WORLD_DIR/empty"
	cat >"$WORLD_DIR/haproxy.cfg" <<-EOF
		global
		  chroot $WORLD_DIR/empty
		  uid 65534
		  gid 65534
		  nbthread 2
		  cpu-map auto:1/1-2 0-1
		  tune.listener.multi-queue off
		defaults
		  mode http
		  timeout client 60s
		frontend f
		  bind :8080
		  http-request return status 200 content-type text/plain string hello
	EOF
	spawn_dut haproxy "${SHIM[@]}" haproxy -f "$WORLD_DIR/haproxy.cfg"
	wait_port dut 8080
	wait_ready 2 "$SPAWNED"
	is "$(stat -c %u "/proc/$SPAWNED")" 65534 "$1: it gave up its rights"
	EXCHANGE="--request /" judge "$1" 1000 "$SPAWNED"
	stop_pid "$SPAWNED"
}
confined "chroot and another user"
done_testing
