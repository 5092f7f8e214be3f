#!/bin/bash
# The command around the policy: options, check, run; and the policy as the library takes it.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
: "${BUILD:=build}"
BUILD=$(realpath "$BUILD")
rssshim=$BUILD/rssshim
library=$BUILD/librssshim.so
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
chmod 755 "$dir"
unset "${!RSSSHIM_@}" LD_PRELOAD

# --- the command itself
help=$("$rssshim" --help)
for verb in run check options; do like "$help" "rssshim $verb " "--help names $verb"; done
like "$("$rssshim" --version)" '^rssshim [0-9]+\.[0-9]+' "--version"
"$rssshim" 2>/dev/null; is $? 2 "no verb: status 2"
like "$("$rssshim" frobnicate 2>&1)" 'no verb frobnicate' "an unknown verb is named"
"$rssshim" frobnicate 2>/dev/null; is $? 2 "an unknown verb: status 2"
"$rssshim" options >/dev/full 2>/dev/null; is $? 1 "output that cannot be written: status 1"

# --- policy files
is "$("$rssshim" options --ini | diff - conf/rssshim.ini)" "" "conf/rssshim.ini is what the options say"
for file in conf/*.ini; do ok "check $file" "$rssshim" check "$file"; done
sed 's/^;\([a-z_]* =\|\[\)/\1/' conf/rssshim.ini >"$dir/all.ini"
ok "every key of conf/rssshim.ini, not commented out" "$rssshim" check "$dir/all.ini"
is "$(grep -c '^[a-z_]* =' "$dir/all.ini")" "$("$rssshim" options | grep -c '^\[')" "it has every key"

printf '[listen]\nsteer = maybe\n[lisen]\n' >"$dir/bad.ini"
out=$("$rssshim" check "$dir/bad.ini"); is $? 1 "check of errors: status 1"
is "$out" "$dir/bad.ini:2: [listen] steer = maybe: neither yes nor no (no | yes)
$dir/bad.ini:3: unknown section [lisen] ([shim] [listen] [connect] [migrate] [threads] [balance] [nic NAME])" \
	"check prints one line an error"
"$rssshim" check conf/nginx.ini "$dir/bad.ini" >/dev/null; is $? 1 "one bad file of two: status 1"
out=$("$rssshim" check "$dir/none.ini"); is "$?:$out" "1:$dir/none.ini: no such file" "check of no file"
"$rssshim" check --what x 2>/dev/null; is $? 2 "check with an unknown option: status 2"
"$rssshim" check 2>/dev/null; is $? 2 "check of nothing: status 2"
printf '[connect]\ntries = 1\ntries = 2\n' >"$dir/twice.ini"
out=$("$rssshim" check "$dir/twice.ini"); status=$?
like "$status:$out" '^0:.*:3: \[connect\] tries is given again' "a key given twice is a warning"
like "$(RSSSHIM_LISTEN_SHARE=yes "$rssshim" check --show "$dir/twice.ini")" \
	"listen.share +yes +RSSSHIM_LISTEN_SHARE.*connect.tries +2 +$dir/twice.ini:3.*balance.steal +off +default" \
	"check --show tells where each value comes from"
chmod 666 "$dir/twice.ini"
like "$("$rssshim" check "$dir/twice.ini")" 'for a program that runs as root: refused' \
	"check says what a program of root would refuse"

# --- run
cd "$dir" || exit 1
printf '[connect]\ntries = 9\n' >my.ini
is "$("$rssshim" run --conf my.ini -- env | grep -E '^(LD_PRELOAD|RSSSHIM_)' | sort)" \
	"LD_PRELOAD=$library
RSSSHIM_CONF=$dir/my.ini" "run preloads the library and names the policy by its full path"
is "$(LD_PRELOAD=libm.so.6 "$rssshim" run env | grep ^LD_PRELOAD)" "LD_PRELOAD=$library:libm.so.6" \
	"run comes before what is preloaded already"
is "$(LD_PRELOAD=$library "$rssshim" run env | grep ^LD_PRELOAD)" "LD_PRELOAD=$library" \
	"run within run preloads once"
is "$("$rssshim" run -- printf '%s|' a '' 'b c' --conf)" 'a||b c|--conf|' "run leaves the arguments alone"
"$rssshim" run -- sh -c 'exit 7'; is $? 7 "run ends with the application's status"
"$rssshim" run 2>/dev/null; is $? 2 "run of nothing: status 2"
"$rssshim" run --what env 2>/dev/null; is $? 2 "run with an unknown option: status 2"

refuses() { # STATUS REGEX DESCRIPTION COMMAND...
	local status=$1 regex=$2 description=$3 out
	shift 3
	out=$("$@" 2>&1)
	like "$?:$out" "^$status:rssshim run: .*$regex" "$description"
}
run=("$rssshim" run --)
refuses 127 'No such file' "run: no such program" "${run[@]}" no-such-program
refuses 126 'No such file' "run: no such policy" "$rssshim" run --conf no.ini -- env
echo 'int main(void) { return 0; }' >null.c
gcc -o null null.c && gcc -static -o static null.c && gcc -static-pie -o static-pie null.c
ok "run: a plain program" "${run[@]}" ./null
refuses 126 'statically linked' "run: a static program" "${run[@]}" ./static
refuses 126 'statically linked' "run: a static program that is position-independent" "${run[@]}" ./static-pie
cat >go.s <<'END'
	.section .note.go.buildid, "a"
	.align 4
	.long 4, 4, 4
	.ascii "Go\0\0abcd"
	.section .note.GNU-stack, ""
END
gcc -o go null.c go.s
refuses 126 'Go program' "run: a Go program, by its note" "${run[@]}" ./go
cp null other && printf '\x28' | dd of=other bs=1 seek=18 conv=notrunc status=none # e_machine: ARM
refuses 126 'another architecture' "run: another architecture" "${run[@]}" ./other
cp null narrow && printf '\x01' | dd of=narrow bs=1 seek=4 conv=notrunc status=none # 32 bits
refuses 126 'another architecture' "run: a 32-bit program" "${run[@]}" ./narrow
gcc -o musl null.c -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1
refuses 126 'musl' "run: a program of another libc" "${run[@]}" ./musl
head -c 100 null >damaged && chmod 755 damaged
refuses 126 'damaged' "run: a damaged program" "${run[@]}" ./damaged
echo 'plain text' >text && chmod 755 text
refuses 126 'neither an ELF program nor a script' "run: a text" "${run[@]}" ./text
printf '#!%s/static\n' "$dir" >script && chmod 755 script
refuses 126 "$dir/static is statically linked" "run: a script of a static interpreter" "${run[@]}" ./script
printf '#!/usr/bin/env sh\nexit 5\n' >script
"${run[@]}" ./script; is $? 5 "run: a script by env"
ln -s static linked-static
printf '#!/usr/bin/env linked-static\n' >script
PATH=$dir:$PATH refuses 126 'linked-static is statically linked' "run: what env starts is looked at" \
	"${run[@]}" ./script
mkdir -p alone/bin lib bin 'a b' && cp "$rssshim" alone/bin/ && cp "$rssshim" bin/ && cp "$library" lib/
refuses 126 'librssshim.so: neither beside' "run: no library to be found" alone/bin/rssshim run env
is "$(bin/rssshim run env | grep ^LD_PRELOAD)" "LD_PRELOAD=$dir/lib/librssshim.so" "run finds ../lib"
cp "$rssshim" "$library" 'a b/'
refuses 126 'a blank or a colon' "run: a path that LD_PRELOAD cannot hold" 'a b/rssshim' run env

if [ "$(id -u)" = 0 ]; then
	nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	cp null setuid && chown 65534 setuid && chmod u+s setuid
	refuses 126 'set-id' "run: set-user-id of another" "${run[@]}" ./setuid
	cp null setgid && chgrp 65534 setgid && chmod g+s setgid
	refuses 126 'set-id' "run: set-group-id of another" "${run[@]}" ./setgid
	cp null own && chmod ug+s own
	ok "run: set-id of the caller changes nothing" "${run[@]}" ./own
	cp null caps && /usr/bin/python3 -c 'import os, struct
os.setxattr("caps", "security.capability", struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))'
	refuses 126 'file capabilities' "run: file capabilities" "${nobody[@]}" bin/rssshim run ./caps
	ok "run: file capabilities, by root" bin/rssshim run ./caps
else
	skip "set-id and file capabilities" "needs root"
fi

# --- the library takes it
cd "$dir" || exit 1
like "$(RSSSHIM_CONF=bad.ini LD_PRELOAD=$library ./null 2>&1)" \
	'^rssshim\[[0-9]+\]: bad.ini:2: \[listen\] steer = maybe' "the library says what is wrong in its policy"
like "$(RSSSHIM_WHAT=1 LD_PRELOAD=$library ./null 2>&1)" 'RSSSHIM_WHAT: unknown variable' \
	"the library says which variable it does not know"
is "$(RSSSHIM_WHAT=1 RSSSHIM_DISABLE=1 LD_PRELOAD=$library ./null 2>&1)" "" "disabled, it says nothing"
is "$(RSSSHIM_CONF=my.ini LD_PRELOAD=$library ./null 2>&1)" "" "nothing wrong: not a word"

# A set-id program loads it only from /etc/ld.so.preload: in a mount namespace with an /etc of its own.
in_own_etc() { # PROGRAM [VARIABLE=VALUE]: as nobody, with a variable that is none
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount -t tmpfs none /etc && echo "$1/lib/librssshim.so" >/etc/ld.so.preload &&
		exec setpriv --reuid 65534 --regid 65534 --clear-groups \
			env RSSSHIM_WHAT=1 RSSSHIM_CONF="$1/bad.ini" $3 "$2"' - "$dir" "$@" 2>&1
}
if [ "$(id -u)" = 0 ] && unshare -m mount -t tmpfs none /etc 2>/dev/null; then
	cp null privileged && chmod u+s privileged
	like "$(in_own_etc ./null)" 'RSSSHIM_WHAT: unknown variable' "started by nobody, the environment counts"
	is "$(in_own_etc ./privileged)" "" "a set-id program takes nothing from the environment"
	# What is named as handed on over exec is taken, where it could be: closed, when nothing is in it.
	printf '%s\n' '#include <fcntl.h>' '#include <stdio.h>' \
		'int main(void) { puts(fcntl(9, F_GETFD) < 0 ? "taken" : "left"); }' >taker.c
	gcc -o taker taker.c && cp taker privileged-taker && chmod u+s privileged-taker
	/usr/bin/python3 -c 'import fcntl, os, time
fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
print(f"/proc/{os.getpid()}/fd/{fd}", flush=True)
time.sleep(60)' >sealed &
	keeper=$!
	until [ -s sealed ]; do sleep 0.05; done
	is "$(in_own_etc ./taker RSSSHIM_INHERIT=9:-1 9<"$(cat sealed)" | tail -1)" taken \
		"what was handed on over exec is taken"
	is "$(in_own_etc ./privileged-taker RSSSHIM_INHERIT=9:-1 9<"$(cat sealed)" | tail -1)" left \
		"but not by a set-id program"
	kill $keeper
else
	skip "a set-id program takes nothing from the environment" "needs the right to mount"
fi
done_testing
