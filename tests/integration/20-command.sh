#!/bin/bash
# The command as somebody meets it who does not know it: asked for help, called wrongly, about processes
# that are none, on a host that has nothing. Every complaint says what is wrong, and none is a crash.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
: "${BUILD:=build}"
BUILD=$(realpath "$BUILD")
rssshim=$BUILD/rssshim
unset "${!RSSSHIM_@}" LD_PRELOAD
verbs=$("$rssshim" --help | sed -n 's/^  rssshim \([a-z]*\).*/\1/p')

said() { # STATUS REGEX DESCRIPTION ARG...: output and complaints together
	local status=$1 regex=$2 description=$3 output
	shift 3
	output=$(timeout 10 "$rssshim" "$@" 2>&1 </dev/null)
	like "$?:$output" "^$status:$regex" "$description"
}

for verb in $verbs; do
	said 0 "usage: rssshim $verb.*rssshim\\(1\\)" "$verb --help" "$verb" --help
	said 2 "rssshim $verb: .*--bogus.*usage: rssshim $verb" "$verb: an unknown option is named" "$verb" --bogus
done
like "$("$rssshim" frobnicate 2>&1)" "no verb frobnicate.*$(paste -sd '|' <<<"$verbs" | sed 's/|/ \\| /g')" \
	"an unknown verb: all there are"
while read -r verb arguments; do
	# shellcheck disable=SC2086
	said 2 "rssshim $verb: zz: not expected here.*usage: " "$verb: an argument too many" "$verb" $arguments zz
done <<-END
	options --ini
	nic lo
	doctor
	stat 1
	top 1
	on 1
	off 1
	explain 1
END

# --- processes
sleep 0 &
dead=$!
wait $dead
for verb in stat top on off explain; do
	said 2 "rssshim $verb: -*what: not the number of a process" "$verb: not a number" "$verb" what
	said 2 "rssshim $verb: 0: not the number of a process" "$verb: no process has the number 0" "$verb" 0
	said 1 "rssshim $verb: there is no process $dead" "$verb: a process that has ended" "$verb" $dead
	said 1 "rssshim $verb: process $$ does not run under the shim" "$verb: a process without the shim" "$verb" $$
done
for verb in on off explain; do
	said 2 "usage: rssshim $verb PID" "$verb: a process has to be named" "$verb"
done
RSSSHIM_DISABLE=1 "$rssshim" run -- sleep 20 &
disabled=$!
until grep -q librssshim "/proc/$disabled/maps" 2>/dev/null; do sleep 0.05; done
said 1 "rssshim stat: process $disabled has the shim, but does not count: .*disabled" \
	"a process in which the shim is disabled" stat $disabled
kill $disabled
wait $disabled 2>/dev/null
if [ "$(id -u)" = 0 ]; then
	nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	chmod 755 "$dir" && cp "$rssshim" "$dir"
	for verb in stat top on off explain; do
		like "$("${nobody[@]}" "$dir/rssshim" $verb $$ 2>&1)" \
			"rssshim $verb: process $$: not permitted: it belongs to another user" \
			"$verb: a process of another user"
	done
	for verb in nic doctor; do
		"${nobody[@]}" "$dir/rssshim" $verb >"$dir/out" 2>&1
		between "$?" 0 2 "$verb without privileges ends as it should"
		ok "$verb without privileges says something" test -s "$dir/out"
	done
else
	skip "processes of another user" "needs root"
fi
said 2 "rssshim top: --interval soon: not seconds \\(0.1 to 3600\\)" "top: an interval that is none" top --interval soon
said 2 "rssshim top: --interval nan: not seconds" "top: another" top --interval nan
said 2 "rssshim top: --count 0: not frames \\(1 to " "top: no frames" top --count 0

# --- files and programs
said 126 'rssshim run: /etc cannot be started: Is a directory' "run: a directory" run -- /etc
said 1 "/etc: a directory" "check: a directory" check /etc
said 1 "rssshim nic: none9: no such interface, and no \\[nic none9\\] section" "nic: none of that name" nic none9
said 1 "rssshim nic: /none.ini: no such file" "nic: no such policy" nic --conf /none.ini

# --- a host that has nothing
if unshare -n true 2>/dev/null; then
	out=$(unshare -n "$rssshim" doctor)
	like "$?:$out" '^2:problem: no network interface is up but loopback' "doctor where there is no interface"
	like "$(unshare -n "$rssshim" nic)" '^lo: loopback' "nic where there is no interface"
	like "$(unshare -n "$rssshim" nic --json | jq -r '.[0].name // .name' 2>&1)" '^lo$' "nic --json there"
else
	skip "a host that has nothing" "no network namespaces here"
fi
done_testing
