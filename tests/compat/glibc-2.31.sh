#!/usr/bin/env bash
# timeout: 600
# A build from source where glibc and headers are as old as Debian 11's: no warning, nothing newer
# needed, and a program starts under it.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
[ "$(id -u)" = 0 ] || skip_all "chroot needs root"

root=$BUILD/debian-11
why=$("$BENCH_ROOT/tests/lib/sysroot" "$root" amd64 bullseye \
	gcc make libc6-dev libinih-dev bash dash coreutils sed grep) || skip_all "$why"
ln -sf dash "$root/bin/sh"
rm -rf "$root/src"
(cd "$BENCH_ROOT" && git ls-files -z shim include examples Makefile 'tests/*.mk' |
	xargs -0 cp --parents -t "$(mkdir -p "$root/src" && echo "$root/src")")
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

said=$(in_root make -s -C /src CC=gcc -j2 all 2>&1)
is "$said" "" "it builds without a warning"
is "$(in_root env LD_PRELOAD=/src/build/librssshim.so RSSSHIM_SHIM_LOG=info /bin/true 2>&1 |
	grep -c 'shim.log = info')" 1 "a program starts under the library"
ok "the command runs" in_root /src/build/rssshim options
done_testing
