# Debian's nginx with four pinned workers on eth0, and what its connections are judged by. Source it
# after lib.sh.
#
# Every answer is about one fresh batch of connections, opened by the host's side and held while the
# observer looks at them.

NGINX_PORT=80
NGINX_WORKERS=4
SHIMMED="env LD_PRELOAD=/lab/bin/librssshim.so" # no policy: what the NIC does is found out

nginx_up() { # COMMAND...: the prefix nginx is started with, such as env LD_PRELOAD=...
	cat > /tmp/nginx.conf <<-END
		worker_processes $NGINX_WORKERS;
		worker_cpu_affinity auto;
		worker_rlimit_nofile 65536;
		error_log /tmp/nginx.log warn;
		pid /run/nginx.pid;
		events { worker_connections 8192; }
		http {
			access_log off;
			keepalive_timeout 300s;
			proxy_buffering off;
			server {
				listen $NGINX_PORT backlog=4096;
				listen [::]:$NGINX_PORT backlog=4096;
				location / { return 200 "hello\n"; }
				location /4/ { proxy_pass http://$HOST4:8000/; }
				location /6/ { proxy_pass http://[$HOST6]:8000/; }
			}
		}
	END
	: > /tmp/nginx.log
	"$@" nginx -c /tmp/nginx.conf && within 20 workers_wait &&
		batch 4 200 / # code that never ran is much slower here than elsewhere
}

master() {
	cat /run/nginx.pid
}

# Each has begun to wait for events: on this slow machine the last does so long after the first serves.
workers_wait() {
	set -- $(pgrep -f -P "$(master)" 'nginx: worker process')
	[ $# = "$NGINX_WORKERS" ] && for pid; do
		read -r call _ < "/proc/$pid/syscall"
		case $call in
		232 | 281 | 441) ;; # epoll_wait, epoll_pwait, epoll_pwait2
		*) echo "worker $pid: system call $call"; return 1 ;;
		esac
	done
}

nginx_down() {
	rss peer close > /dev/null
	set -- "$(master)"
	kill -TERM "$1"
	within 5 gone "$1" || kill -KILL $(pgrep -P "$1") "$1"
}
gone() {
	! kill -0 "$1" 2> /dev/null
}

guest_address() { # 4|6
	if [ "$1" = 4 ]; then echo "$GUEST4"; else echo "$GUEST6"; fi
}

# batch FAMILY COUNT PATH: holds COUNT connections, each with its answer; tells what was missing.
# (Slurped: of an empty input jq would say that all is well.)
batch() {
	rss peer close > /dev/null
	rss peer open to="$(guest_address "$1")" port=$NGINX_PORT count="$2" path="$3" |
		jq -c '{answered: ([.flows[] | select(.[2] == 200)] | length), errors}' |
		tee /dev/stderr | jq -se --argjson n "$2" '. == [{answered: $n, errors: {}}]' > /dev/null
}

legs() { # ARGUMENT...: of the observer
	observe --listen $NGINX_PORT --upstream 8000 --cpus "$(rss receiving)" "$@" "$(master)"
}

# leg_is LEG TOTAL CONDITION: of the connections held, LEG being accepted or upstream; TOTAL at
# least, as a load may add some. Of a failure it tells which connections, and what the shim says.
leg_is() {
	legs --json | jq -c --arg leg "$1" '.[$leg]' | tee /tmp/leg
	jq -se --argjson n "$2" ".[0] | .total >= \$n and ($3)" /tmp/leg > /dev/null && return
	legs --list | grep -v ' aligned' | head -n 8
	rssshim stat "$(master)" 2> /dev/null
	cat /tmp/nginx.log
	return 1
}

# By chance a quarter; more in a crowd, where the worker that is awake takes the connection, which is
# more often the one on the CPU of the packets.
by_chance() { # LEG TOTAL
	leg_is "$1" "$2" '.share >= 15 and .share <= 60'
}
# On three CPUs at least, or as many as a test knows: where all came to one, there was nothing to
# align.
all_aligned() { # LEG TOTAL
	leg_is "$1" "$2" '.aligned >= $n and .misaligned == 0 and .unpinned == 0 and
		([.table[] | select(add > 0)] | length) >= '"${ARRIVE_ON:-3}"
}
# Where two of the four CPUs receive, the workers of the other two get half of all connections, and
# are at home nowhere.
half_aligned() { # LEG TOTAL
	leg_is "$1" "$2" '.aligned >= 0.3 * $n and .unpinned >= 0.3 * $n and .misaligned == 0'
}
