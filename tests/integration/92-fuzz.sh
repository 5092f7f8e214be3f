#!/usr/bin/env bash
# timeout: 400
# Every fuzzer for a few seconds from its seeds (`make fuzz` gives them longer): text of policies and
# of the kernel, its answers, and memory that another process wrote. Under the address and
# undefined-behaviour sanitizers.
. "$(dirname "$0")/../lib/tap.sh"
: "${BUILD:=$PWD/build}"
cd "$(dirname "$0")/../.." || exit 1
FUZZ_CC=${FUZZ_CC:-clang}
"$FUZZ_CC" -fsanitize=fuzzer,address -x c -o /dev/null - 2>/dev/null \
	<<<'int LLVMFuzzerTestOneInput(const char *d, long n) { return 0; }' ||
	skip_all "$FUZZ_CC has no libFuzzer"

for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	ok "$name: finds nothing in ${FUZZ_SECONDS:=4} s" make -s BUILD="$BUILD" \
		FUZZ_SECONDS="$FUZZ_SECONDS" "fuzz-${name#fuzz_}"
done
done_testing
