# What the guest's tests share. Source it: . /lab/guest/lib.sh
HOST4=10.77.0.1 HOST6=fd77::1
GUEST4=10.77.0.2 GUEST6=fd77::2
LAB=/lab/guest

# check WHAT COMMAND...: one TAP line; what the command printed follows a failure as comments.
check() {
	_what=$1
	shift
	if _said=$("$@" 2>&1); then
		echo "ok - $_what"
	else
		echo "not ok - $_what"
		echo "$_said" | head -n 20
	fi
}

skip() { # WHAT REASON
	echo "ok - $1 # SKIP $2"
}

# within SECONDS COMMAND...: true as soon as the command is, tried about twice a second.
within() {
	_until=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$_until" ] || return 1
		sleep 0.5
	done
}

rss() {
	python3 -S "$LAB/rss.py" "$@" # without site: starting is most of what a short question takes
}
