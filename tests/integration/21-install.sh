#!/bin/bash
# make install and uninstall, and what they put there: pages, completion, pkg-config.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
: "${BUILD:=build}"
rssshim=$BUILD/rssshim
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
prefix=/opt/shim
root=$dir$prefix
unset "${!RSSSHIM_@}" LD_PRELOAD MAKEFLAGS

# --- pages
for page in shim/command/man/*.[1-8]; do
	is "$(groff -man -Tutf8 -ww -z "$page" 2>&1)" "" "$page: groff has nothing to say"
done
is "$(sed -n '/^\.\\" keys:/,/^\.\\" end of keys/p' shim/command/man/rssshim.ini.5 | sed '1d;$d' |
	diff - <("$rssshim" options --man))" "" "rssshim.ini(5) describes the keys as the options do"
for file in conf/*.ini; do
	name=${file##*/}
	[ "$name" = rssshim.ini ] && continue
	ok "rssshim-${name%.ini}(7) goes with $file" grep -q "$name" "shim/command/man/rssshim-${name%.ini}.7"
	ok "and rssshim(1) names it" grep -q "rssshim-${name%.ini} (7)" shim/command/man/rssshim.1
done
sed -n '/^\.EX/,/^\.EE/p' shim/command/man/rssshim.ini.5 | sed '/^\./d' >"$dir/example.ini"
is "$("$rssshim" check "$dir/example.ini")" "" "the example in rssshim.ini(5) is a policy"
verbs=$("$rssshim" --help | sed -n 's/^  rssshim \([a-z]*\).*/\1/p' | sort)
is "$(sed -n '/^\.SH VERBS/,/^\.SH EXIT/s/^\.BI\{0,1\}R\{0,1\} \([a-z]*\) .*/\1/p' shim/command/man/rssshim.1 |
	sort -u | comm -3 - <(echo "$verbs"))" "" "rssshim(1) describes each verb, and no other"

# --- install
ok "the Makefile includes shim/command/install.mk" grep -q '^include shim/command/install.mk' Makefile
if make -s install BUILD="$BUILD" DESTDIR="$dir" PREFIX=$prefix >"$dir/out" 2>&1; then
	pass "make install"
else
	not_ok "make install" "$(cat "$dir/out")"
fi
ok "the installed command finds its library" "$root/bin/rssshim" run -- true
is "$("$root/bin/rssshim" run -- env | grep ^LD_PRELOAD=)" "LD_PRELOAD=$root/lib/librssshim.so" "in ../lib"
is "$(PKG_CONFIG_PATH=$root/lib/pkgconfig pkg-config --modversion librssshim)" \
	"$("$rssshim" --version | cut -d' ' -f2)" "pkg-config knows the version"
is "$(PKG_CONFIG_PATH=$root/lib/pkgconfig pkg-config --variable=libdir librssshim)" $prefix/lib \
	"pkg-config names the prefix, not where the tree was put"
like "$(man -M "$root/share/man" -w 5 rssshim.ini 2>&1)" "^$root/share/man/man5/" "man finds the page"
ok "the systemd drop-in names the library where it is" \
	grep -qx "Environment=LD_PRELOAD=$prefix/lib/librssshim.so" "$root/share/doc/librssshim/nginx-rssshim.conf"
for file in conf/*.ini; do ok "$file is there" cmp "$file" "$root/share/doc/librssshim/$(basename "$file")"; done
if compgen -G 'include/*.h' >/dev/null; then
	for file in include/*.h; do ok "$file is there" cmp "$file" "$root/$file"; done
fi

complete_words() { # WORD...: what bash would offer for the last
	# shellcheck disable=SC2016
	PATH=$root/bin:$PATH bash --norc -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		_rssshim; printf "%s\n" "${COMPREPLY[@]}"' - \
		"$root/share/bash-completion/completions/rssshim" "$@" | sort | paste -sd ' '
}
is "$(complete_words rssshim '')" "$(echo "$verbs" --help --version | tr ' ' '\n' | sort | paste -sd ' ')" \
	"completion offers every verb"
is "$(complete_words rssshim ch)" check "completion of a verb"
is "$(complete_words rssshim run --)" --conf "completion of an option"
is "$(complete_words rssshim check conf/ng)" conf/nginx.ini "completion of a file"
is "$(complete_words rssshim predict --nic l)" lo "completion of a NIC"

make -s uninstall BUILD="$BUILD" DESTDIR="$dir" PREFIX=$prefix >/dev/null 2>&1
is "$(find "$root" ! -type d)" "" "make uninstall leaves no file"
done_testing
