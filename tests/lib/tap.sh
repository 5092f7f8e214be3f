# shellcheck shell=bash
# TAP for shell tests. To be sourced; the plan comes last, from done_testing, so that a script that
# dies half-way is seen to have done so.

TAP_COUNT=0
TAP_FAILED=0

pass() {
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - $1"
}

# not_ok DESCRIPTION [DETAIL]...
not_ok() {
	TAP_COUNT=$((TAP_COUNT + 1))
	TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_COUNT - $1"
	shift
	[ $# -eq 0 ] || diag "$@"
}

diag() { printf '%s\n' "$@" | sed 's/^/# /'; }

# skip DESCRIPTION REASON: one test that cannot run here.
skip() {
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - $1 # SKIP $2"
}

# skip_all REASON: nothing in this script can run here.
skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# ok DESCRIPTION COMMAND ARG...: passes if the command succeeds; its output is shown if it fails.
ok() {
	local description=$1 output
	shift
	[ $# -gt 0 ] || { not_ok "$description" "no command to judge by"; return; }
	if output=$("$@" 2>&1); then
		pass "$description"
	else
		not_ok "$description" "failed: $*" "$output"
	fi
}

# is GOT WANTED DESCRIPTION
is() {
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		not_ok "$3" "got:    $1" "wanted: $2"
	fi
}

# like GOT EXTENDED-REGEX DESCRIPTION
like() {
	if [[ $1 =~ $2 ]]; then
		pass "$3"
	else
		not_ok "$3" "got:    $1" "wanted: $2"
	fi
}

# between GOT LOW HIGH DESCRIPTION: numbers, fractions too.
between() {
	if awk -v g="$1" -v l="$2" -v h="$3" \
		'BEGIN { exit !(g ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ && g + 0 >= l + 0 && g + 0 <= h + 0) }'; then
		pass "$4"
	else
		not_ok "$4" "got:    $1" "wanted: $2 to $3"
	fi
}

done_testing() {
	echo "1..$TAP_COUNT"
	[ "$TAP_FAILED" -eq 0 ]
	exit
}
