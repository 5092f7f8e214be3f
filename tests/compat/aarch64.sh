#!/usr/bin/env bash
# timeout: 900
# aarch64: a cross build without a warning, and under qemu-user the unit tests of what needs no
# kernel of that kind, and programs that the library is preloaded into. The emulator knows neither
# cBPF for sockets nor Criterion's sandbox: the first is for a real machine, and for the second
# tests/compat/criterion stands in.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/bench.sh"
command -v aarch64-linux-gnu-gcc >/dev/null || skip_all "gcc-aarch64-linux-gnu is not installed"
command -v qemu-aarch64-static >/dev/null || skip_all "qemu-user-static is not installed"
cd "$BENCH_ROOT" || exit 1

root=$BUILD/debian-arm64
why=$(tests/lib/sysroot "$root" arm64 bookworm libc6-dev libinih-dev) || skip_all "$why"
# Apart from its libc: the cross compiler has one of its own.
mkdir -p "$root/link"
ln -sf "$root"/usr/lib/aarch64-linux-gnu/libinih* "$root/link/"
OUT=$BUILD/aarch64
FLAGS=(-D_GNU_SOURCE -Iinclude -I. -idirafter "$root/usr/include")
emulated() { timeout 120 qemu-aarch64-static -L "$root" "$@"; }

said=$(make -s -j2 BUILD="$OUT" CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar \
	CPPFLAGS="${FLAGS[*]} -MMD -MP" LDFLAGS="-L$root/link" all 2>&1)
is "$said" "" "it builds without a warning"
like "$(file -b "$OUT/librssshim.so" 2>/dev/null)" aarch64 "for that architecture"
ok "rssshim check" emulated "$OUT/rssshim" check conf/rssshim.ini
is "$(emulated "$OUT/rssshim" hash --key "$MICROSOFT_KEY" --remote 66.9.149.187:2794 \
	--local 161.142.100.80:1766)" 0x51ccc178 "rssshim hash: Microsoft's first vector"

for name in arrival connect learn_table learner ledger nic_answers nic_judge nic_tree placement \
	port_pick procfs ready steer_plan steer_program toeplitz turns; do
	[ -e "tests/unit/test_$name.c" ] || continue
	if said=$(aarch64-linux-gnu-gcc "${FLAGS[@]}" -Itests/compat/criterion -std=gnu11 -O2 -o "$OUT/$name" \
		"tests/unit/test_$name.c" "$OUT/core.a" "-L$root/link" -l:libinih.a 2>&1); then
		said=$(emulated "$OUT/$name")
		is "$(grep -c '^not ok' <<<"$said")/$(tail -1 <<<"$said")" "0/1..$(grep -c '^ok' <<<"$said")" \
			"unit tests of $name: $(grep -c '^ok' <<<"$said")"
	else
		not_ok "unit tests of $name" "$said"
	fi
done

# A server and its client, in one emulated process.
cat >"$OUT/server.c" <<'END'
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), epfd = epoll_create1(0), served = 0;
	bind(listener, (void *)&address, sizeof(address));
	listen(listener, 10);
	getsockname(listener, (void *)&address, &length);
	epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event);
	for (int i = 0; i < 50; i++) {
		int client = socket(AF_INET, SOCK_STREAM, 0), copy;
		if (connect(client, (void *)&address, sizeof(address)) || epoll_wait(epfd, &event, 1, 5000) != 1)
			break;
		copy = dup(accept(listener, NULL, NULL));
		served += write(copy, "x", 1) == 1 && read(client, &event, 1) == 1;
		close(copy);
		close(client);
	}
	printf("%d\n", served);
	return 0;
}
END
aarch64-linux-gnu-gcc -O2 -o "$OUT/server" "$OUT/server.c"
is "$(emulated -E LD_PRELOAD="$OUT/librssshim.so" -E RSSSHIM_SHIM_LOG=error "$OUT/server" 2>&1)" 50 \
	"a server under the library answers 50 connections"
is "$(emulated -E LD_PRELOAD="$OUT/librssshim.so" -E RSSSHIM_SHIM_LOG=info "$OUT/server" 2>&1 |
	grep -c 'shim.log = info')" 1 "the library was there"
done_testing
