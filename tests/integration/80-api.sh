#!/bin/bash
# The public interface as others meet it: what is exported, what is documented, and a program built
# against an installed library by pkg-config, not preloaded.
. "$(dirname "$0")/../lib/tap.sh"
: "${BUILD:=$(dirname "$0")/../../build}"
BUILD=$(realpath "$BUILD")
cd "$(dirname "$0")/../.." || exit 1
unset "${!RSSSHIM_@}" LD_PRELOAD MAKEFLAGS
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

declared=$(grep -o '\brssshim_[a-z_]*(' include/rssshim.h | tr -d '(' | sort -u)
exported=$(nm -D --defined-only "$BUILD/librssshim.so" | awk '{ print $3 }' | sort -u)
# Without what comments mention as the command's verbs or variables.
is "$(grep '^rssshim_' <<<"$exported")" "$declared" "exported is what the header declares"
is "$(sed -n '/^\.SH NAME/,/^\.SH SYNOPSIS/p' shim/command/man/librssshim.3 |
	grep -o 'rssshim_[a-z_]*' | sort -u)" "$declared" "librssshim(3) names every function"
is "$(sed -n '/^\.SH SYNOPSIS/,/^\.SH DESC/p' shim/command/man/librssshim.3 |
	grep -o 'rssshim_[a-z_]*(' | tr -d '(' | sort -u)" "$declared" "and shows how it is called"
# Everything else that is exported is a function of libc that is wrapped.
libc=$(ldd "$BUILD/rssshim" | awk '/libc\.so/ { print $3 }')
is "$(comm -23 <(grep -v '^rssshim_' <<<"$exported") \
	<(nm -D --defined-only "$libc" | awk '{ print $3 }' | sed 's/@.*//' | sort -u))" "" \
	"nothing else but wrappers of libc's functions"

ok "make install" make -s install BUILD="$BUILD" DESTDIR="$dir" PREFIX=/opt/shim
export PKG_CONFIG_PATH=$dir/opt/shim/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dir
cat >"$dir/user.c" <<'END'
#include <rssshim.h>
#include <stdio.h>
int main(void)
{
	struct rssshim_nic nic;
	struct rssshim *rss;
	unsigned nics[64];

	if (rssshim_open(&rss, NULL))
		return 1;
	int count = rssshim_nics(rss, nics, 64);
	for (int i = 0; i < count; i++)
		if (!rssshim_nic(rss, nics[i], &nic))
			puts(nic.name);
	rssshim_close(rss);
	return rssshim_fd_cpu(-1) >= 0;
}
END
flags="$(pkg-config --cflags --libs librssshim)"
for compiler in "cc -std=c11" "g++ -x c++"; do
	# shellcheck disable=SC2086
	command -v ${compiler%% *} >/dev/null ||
		{ skip "a program built with $compiler" "no ${compiler%% *} here" && continue; }
	# shellcheck disable=SC2086
	ok "a program builds with $compiler, without warnings" \
		$compiler -Wall -Wextra -Wpedantic -Werror -o "$dir/user" "$dir/user.c" $flags
	is "$(LD_LIBRARY_PATH=$dir/opt/shim/lib "$dir/user" | sort)" \
		"$(ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort)" "it names the interfaces"
	rm -f "$dir/user"
done
done_testing
