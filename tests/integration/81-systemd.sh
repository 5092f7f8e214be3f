#!/usr/bin/env bash
# timeout: 90
# examples/nginx-rssshim.conf, tried: systemd itself, as the first process of a name space of its own,
# starts the distribution's nginx.service with the drop-in, what `make install` installs, and an
# nginx.conf with the two lines it needs; then reloads and stops it.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$(dirname "$0")/../lib/stalls.sh"
why=$(bench_lacks) && skip_all "$why"
UNIT=/lib/systemd/system/nginx.service
if [ ! -x /lib/systemd/systemd ] || [ ! -e $UNIT ]; then skip_all "no systemd, or no nginx.service"; fi

world_up clients=4
make -s -C "$BENCH_ROOT" install BUILD="$BUILD" DESTDIR="$WORLD_DIR/tree" PREFIX=/usr/local >/dev/null
nginx_conf workers=2 port=8080
{
	echo "worker_processes 2; worker_cpu_affinity auto; pid /run/nginx.pid;"
	sed '/^ *\(worker_processes\|worker_cpu_affinity\|pid\|daemon\|user\) /d' "$WORLD_DIR/nginx.conf"
} >"$WORLD_DIR/system.conf"
mkdir "$WORLD_DIR/etc" "$WORLD_DIR/units" "$WORLD_DIR/units/nginx.service.d"
world_conf >"$WORLD_DIR/etc/nginx.ini"
cp $UNIT "$WORLD_DIR/units"
cp "$BENCH_ROOT/examples/nginx-rssshim.conf" "$WORLD_DIR/units/nginx.service.d"
# Nothing else of this machine is started.
printf '[Unit]\nDefaultDependencies=no\nWants=nginx.service\n' >"$WORLD_DIR/units/default.target"
printf '[Unit]\nDefaultDependencies=no\n[Service]\nEnvironment=RSSSHIM_CONF=%s\n' \
	"$WORLD_DIR/etc/nginx.ini" >"$WORLD_DIR/units/nginx.service.d/test.conf"
cat >"$WORLD_DIR/first" <<-END
	set -e
	mount --make-rprivate /
	mount --bind "$WORLD_DIR/tree/usr/local" /usr/local
	mount --bind "$WORLD_DIR/system.conf" /etc/nginx/nginx.conf
	mount -t tmpfs none /run
	umount -R /sys/fs/cgroup || true
	mount -t cgroup2 none /sys/fs/cgroup
	export container=test SYSTEMD_UNIT_PATH="$WORLD_DIR/units" SYSTEMD_LOG_TARGET=console
	exec /lib/systemd/systemd --system --unit=default.target
END
spawn_dut systemd unshare --pid --mount --cgroup --uts --ipc --fork --kill-child --mount-proc \
	bash "$WORLD_DIR/first"
INIT=
find_init() {
	INIT=$(pgrep -P "$SPAWNED" -x systemd)
	[ -n "$INIT" ]
}
wait_until 5 find_init || skip_all "systemd does not start in a name space here: $(tail -1 "$WORLD_DIR/systemd.log")"
# Asked to end, it would try to reboot the machine; that of its name space, but still.
at_exit kill -KILL "$INIT"
inside=(nsenter -t "$INIT" -m -p -C --)

ok "systemd starts nginx.service" wait_until 20 bench_listens "$DUT" 8080
master() { pgrep -P "$INIT" -x nginx | head -1; }
wait_ready 2 "$(master)"
ok "the library is loaded" grep -q /usr/local/lib/librssshim.so "/proc/$(master)/maps"
judge() { # WHEN
	all_aligned "$1: all are served and aligned" 4 400 "$(master)" --request /
}
judge "as a service"
before=$(pgrep -P "$(master)" | sort | paste -sd ' ')
ok "systemctl reload" timeout 10 "${inside[@]}" systemctl reload nginx.service
renewed() { ! pgrep -P "$(master)" | grep -qwE "${before// /|}"; }
ok "the workers are new" wait_until 20 renewed
wait_ready 2 "$(master)"
judge "reloaded"
ok "systemctl stop" timeout 15 "${inside[@]}" systemctl stop nginx.service
is "$("${inside[@]}" pgrep -x nginx)" "" "nginx is gone"
done_testing
