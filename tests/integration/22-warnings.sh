#!/usr/bin/env bash
# timeout: 400
# gcc and clang build the library, the command and the tools of the tests without a warning.
. "$(dirname "$0")/../lib/tap.sh"
cd "$(dirname "$0")/../.." || exit 1

dir=$(mktemp -d "${TMPDIR:-/tmp}/rssshim-warnings.XXXXXX")
trap 'rm -rf "$dir"' EXIT
for compiler in gcc clang; do
	if ! command -v $compiler >/dev/null; then
		skip "$compiler" "it is not installed"
		continue
	fi
	ok "$compiler: no warning" make -s -j"$(nproc)" BUILD="$dir/$compiler" CC=$compiler \
		CFLAGS="-O2 -g -Werror" all tools behaviour examples
done
done_testing
