#!/bin/bash
# The test runner itself: whatever goes wrong in a test must show in its count and its status.
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/lib/tap.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 143' INT TERM HUP
mkdir -p "$scratch/tests/integration" "$scratch/tests/unit" "$scratch/bin/unit"
cp -r "$root/tests/run" "$root/tests/lib" "$scratch/tests/"

# One test only, its text on standard input; sets `output`, `last` (line) and `status`.
run_one() {
	rm -f "$scratch"/tests/integration/* "$scratch"/tests/unit/*
	{
		echo '#!/bin/bash'
		echo ". '$root/tests/lib/tap.sh'"
		cat
	} >"$scratch/tests/integration/10-it.sh"
	chmod +x "$scratch/tests/integration/10-it.sh"
	judge "$@"
}
judge() {
	output=$(BUILD=$scratch/bin "$scratch/tests/run" "$@" 2>&1)
	status=$?
	last=$(tail -1 <<<"$output")
}

run_one <<<'is 1 1 one; is 2 2 two; skip three "no such machine"; done_testing'
is "$last / $status" "2 passed, 0 failed, 1 skipped / 0" "what passes and is skipped is counted"
like "$output" "no such machine" "the reason of a skip is shown"

run_one <<<'is 1 1 one; is 2 3 two; done_testing'
is "$last / $status" "1 passed, 1 failed, 0 skipped / 1" "a failure"
like "$output" "# wanted: 3" "is shown in full"
like "$(tail -4 <<<"$output")" "^integration/10-it.sh: not ok 2 - two" "and told again at the end"

run_one <<<'is 1 1 one; exit 0'
is "$last / $status" "1 passed, 1 failed, 0 skipped / 1" "ending without a plan is a failure, status 0 or not"

run_one <<<'is 1 1 one; kill -SEGV $$'
is "$last / $status" "1 passed, 1 failed, 0 skipped / 1" "so is a crash"

run_one <<<'is 1 1 one; echo 1..2'
is "$last / $status" "1 passed, 1 failed, 0 skipped / 1" "so are fewer tests than planned"

run_one <<<'is 1 1 one; echo 1..1; exit 3'
is "$last / $status" "1 passed, 1 failed, 0 skipped / 1" "so is a status that no test explains"

run_one <<<'# timeout: 1
is 1 1 one; sleep 30; done_testing'
is "$last / $status" "1 passed, 1 failed, 0 skipped / 1" "so is one that does not end"
is "$(pgrep -fc "$scratch/tests/integration/10-it.sh")" 0 "which is then ended"

run_one <<<'skip_all "not here"'
is "$last / $status" "0 passed, 0 failed, 1 skipped / 0" "a script that cannot run is one skip"

run_one other <<<'is 1 2 one; done_testing'
is "$last / $status" "0 passed, 0 failed, 0 skipped / 0" "a word selects by name"

export TEST_TRIES=2
run_one <<END
is "\$([ -e $scratch/tried ]; echo \$?)" 0 one; is 2 2 two; touch $scratch/tried; done_testing
END
is "$last / $status" "2 passed, 0 failed, 0 skipped / 0" "a second try counts where it is allowed"
like "$(tail -5 <<<"$output")" "second try of integration/10-it.sh: not ok 1 - one" "it is told, and why"
run_one <<<'is 1 2 one; is 2 2 two; done_testing'
is "$last / $status" "1 passed, 1 failed, 0 skipped / 1" "what fails twice has failed"
unset TEST_TRIES

rm -f "$scratch"/tests/integration/*
touch "$scratch/tests/unit/test_absent.c"
judge
is "$last / $status" "0 passed, 1 failed, 0 skipped / 1" "a unit test that was not built is a failure"

printf '#!/bin/sh\nfor a; do case $a in --tap=*) exec >"${a#--tap=}" ;; esac; done\necho 1..2\n%s\n%s\nexit 1\n' \
	'echo "ok - s::a  (0.00s)"' 'echo "not ok - s::b unexpected signal after x.c:1"' \
	>"$scratch/bin/unit/test_absent"
chmod +x "$scratch/bin/unit/test_absent"
judge
is "$last / $status" "1 passed, 1 failed, 0 skipped / 1" "Criterion's TAP is understood"

# The helpers: each must be able to fail.
helper() { (
	"$@" >/dev/null
	echo "$TAP_FAILED"
); }
is "$(helper ok it true)$(helper ok it false)$(helper ok it)" 011 "ok"
is "$(helper is a a it)$(helper is a b it)" 01 "is"
is "$(helper like abc b it)$(helper like abc x it)" 01 "like"
is "$(helper between 5 1 9 it)$(helper between 0.5 1 9 it)$(helper between "" 0 9 it)$(helper between null 0 9 it)" \
	0111 "between"
done_testing
