#!/bin/bash
# `rssshim hash`, `predict` and `ports` against a second opinion in Python, on NICs that exist in a
# policy file alone.
. "$(dirname "$0")/../lib/tap.sh"
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
: "${BUILD:=$ROOT/build}"
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
trap 'exit 130' INT TERM HUP

rssshim() { "$BUILD/rssshim" "$@"; }
opinion() { PYTHONPATH=$ROOT/tests/lib python3 -c "from toeplitz import *; import sys
$1" "${@:2}"; }

MICROSOFT=6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa
VECTORS=$ROOT/tests/unit/vectors/toeplitz_rss_suite.csv

pairs() { # of the vectors, as the command reads them
	awk -F, 'NR > 1 { o = $1 == "ipv6" ? "[" : ""; c = $1 == "ipv6" ? "]" : ""
		print o $4 c ":" $5, o $2 c ":" $3 }' "$VECTORS"
}
column() { tr -d '\r' <"$VECTORS" | awk -F, -v c="$1" 'NR > 1 { print $c }'; }

is "$(pairs | rssshim hash --key $MICROSOFT)" "$(column 7)" "published hashes with ports"
is "$(pairs | rssshim hash --key $MICROSOFT --fields addresses)" "$(column 6)" \
	"published hashes of addresses"
is "$(rssshim hash --key "$(sed 's/../&:/g; s/:$//' <<<$MICROSOFT)" \
	--remote '[3ffe:2501:200:1fff::7]:2794' --local '[3ffe:2501:200:3::1]:1766')" 0x40207d3d \
	"one flow, the key in colons"
is "$(rssshim hash --key $MICROSOFT --remote '[::ffff:66.9.149.187]:2794' \
	--local '[::ffff:161.142.100.80]:1766')" 0x51ccc178 "a mapped address is IPv4"

for transform in none symmetric-xor symmetric-or-xor; do
	key=$(od -An -v -tx1 -N52 /dev/urandom | tr -d ' \n')
	opinion '
import random
for n in range(200):
    six = n % 2
    ends = [(socket.inet_ntop([socket.AF_INET, socket.AF_INET6][six],
             random.randbytes([4, 16][six])), random.randrange(65536)) for _ in "12"]
    print(*(("[%s]:%d" if six else "%s:%d") % e for e in ends),
          "0x%08x" % toeplitz(bytes.fromhex(sys.argv[1]), flow_bytes(*ends, sys.argv[2])))
' "$key" $transform >"$DIR/flows"
	is "$(cut -d' ' -f1,2 "$DIR/flows" | rssshim hash --key "$key" --transform $transform)" \
		"$(cut -d' ' -f3 "$DIR/flows")" "200 random flows, $transform"
done

# what is wrong is said, with what is allowed
refuses() { # STATUS REGEX DESCRIPTION ARG...
	local status=$1 regex=$2 description=$3 output got
	shift 3
	output=$(rssshim "$@" 2>&1 </dev/null)
	got=$?
	like "$got $output" "^$status .*$regex" "$description"
}
refuses 2 'usage: rssshim hash' "hash without a key" hash
refuses 2 '16 to 52 bytes' "a key too short" hash --key 6d5a
refuses 2 'hexadecimal' "a key that is none" hash --key xyz
refuses 2 'symmetric-xor' "an unknown transform" hash --key $MICROSOFT --transform both
refuses 2 '192.0.2.1:80' "an address without a port" \
	hash --key $MICROSOFT --remote 10.0.0.1 --local 10.0.0.2:1
refuses 2 'both must be' "two families" hash --key $MICROSOFT --remote 10.0.0.1:1 --local '[::1]:1'
refuses 2 'too short for IPv6' "a key of 16 bytes with IPv6" \
	hash --key ${MICROSOFT:0:32} --remote '[::2]:1' --local '[::1]:1'
refuses 2 'usage: rssshim predict' "predict without a NIC" predict --remote 1.1.1.1:1 --local 1.1.1.1:1
refuses 2 'usage: rssshim predict' "predict of half a flow" predict --nic lo --remote 1.1.1.1:1
refuses 1 'no such interface' "an unknown NIC" \
	predict --nic rsstest9 --remote 1.1.1.1:1 --local 1.1.1.2:1
is "$(echo "10.0.0.1:1" | rssshim hash --key $MICROSOFT 2>&1)" \
	"rssshim hash: line 1: not a pair: REMOTE LOCAL, such as 192.0.2.1:80 192.0.2.2:3000" \
	"half a pair in the input"

policy() { # KEY TRANSFORM INDIRECTION QUEUE_CPUS
	printf '[nic rsstest0]\nhash = toeplitz\nhash_key = %s\ntransform = %s\nindirection = %s\n' \
		"$1" "$2" "$3"
	printf 'queue_cpus = %s\nfields = 4-tuple\n' "$4"
}

skewed=
for ((i = 0; i < 128; i++)); do skewed+="$((i * i % 7 % 3)) "; done
for shape in "none|equal 4|0 1 2 3" "symmetric-xor|equal 3|0 1 0" "symmetric-or-xor|$skewed|5 0 2"; do
	IFS='|' read -r transform table cpus <<<"$shape"
	key=$(od -An -v -tx1 -N40 /dev/urandom | tr -d ' \n')
	policy "$key" "$transform" "$table" "$cpus" >"$DIR/policy.ini"
	for flow in "192.0.2.7 198.51.100.9" "2001:db8::7 2001:db8:1::9"; do
		read -r remote local <<<"$flow"
		opinion '
key, transform, table, cpus, remote, local, cpu = sys.argv[1:]
cpus = [int(c) for c in cpus.split()]
if table.startswith("equal"):
    table = [i % int(table.split()[1]) for i in range(128)]
else:
    table = [int(q) for q in table.split()]
for port in range(40000, 48000):
    value = toeplitz(bytes.fromhex(key), flow_bytes((remote, 443), (local, port), transform))
    if cpus[table[value % len(table)]] == int(cpu):
        print(port)
' "$key" "$transform" "$table" "$cpus" "$remote" "$local" "${cpus##* }" >"$DIR/want"
		[[ $remote == *:* ]] && to="[$remote]" from="[$local]" || to=$remote from=$local
		rssshim ports --nic rsstest0 --conf "$DIR/policy.ini" --remote "$to:443" \
			--local "$local" --cpu "${cpus##* }" --range 40000-47999 >"$DIR/got" 2>"$DIR/why"
		if cmp -s "$DIR/want" "$DIR/got" && [ -s "$DIR/got" ]; then
			pass "ports, $transform, $remote"
		else
			not_ok "ports, $transform, $remote" "$(diff "$DIR/want" "$DIR/got" | head -5)" \
				"$(cat "$DIR/why")"
		fi
		port=$(sed -n 3p "$DIR/want")
		like "$(rssshim predict --nic rsstest0 --conf "$DIR/policy.ini" --remote "$to:443" \
			--local "$from:$port" --json 2>/dev/null)" "\"cpu\": ${cpus##* }\}" \
			"predict, $transform, $remote"
		# All 8,000 at once: those of the CPU are the ports found above, and no others.
		for port in {40000..47999}; do echo "$to:443 $from:$port"; done |
			rssshim predict --nic rsstest0 --conf "$DIR/policy.ini" 2>/dev/null |
			awk -v cpu="${cpus##* }" '$1 == cpu { print NR + 39999 }' >"$DIR/got"
		ok "predict of 8,000 lines, $transform, $remote" cmp "$DIR/want" "$DIR/got"
	done
done
refuses 1 'no receive queue' "a CPU that receives nothing" ports --nic rsstest0 \
	--conf "$DIR/policy.ini" --remote 10.0.0.1:1 --local 10.0.0.2 --cpu 77

done_testing
