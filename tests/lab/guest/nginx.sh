# Debian's nginx with four pinned workers on eth0, and what its connections are judged by. Source it
# after lib.sh.
#
# Every answer is about one fresh batch of connections, opened by the host's side and held while the
# observer looks at them.

NGINX_PORT=80

nginx_up() { # COMMAND...: the prefix nginx is started with, such as env LD_PRELOAD=...
	cat > /tmp/nginx.conf <<-END
		load_module /usr/lib/nginx/modules/ngx_stream_module.so;
		env RSSSHIM_CONF;
		worker_processes 4;
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
	"$@" nginx -c /tmp/nginx.conf && within 20 four_workers &&
		batch 4 200 / # code that never ran is much slower here than elsewhere
}

master() {
	cat /run/nginx.pid
}

# Each has begun to wait for events: on this slow machine the last does so long after the first serves.
four_workers() {
	set -- $(pgrep -f -P "$(master)" 'nginx: worker process')
	[ $# = 4 ] && for pid; do
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

# share LEG: "TOTAL PERCENT" of the connections held, LEG being accepted or upstream.
share() {
	observe --listen $NGINX_PORT --upstream 8000 --json "$(master)" |
		jq -r --arg leg "$1" '.[$leg] | "\(.total) \(.share)"'
}

# share_is LEG TOTAL LOW HIGH: percent, inclusive. Tells what it saw, and what the shim says of it.
# (Load may add one or two.)
share_is() {
	_share=$(share "$1")
	echo "$1: total and percent aligned: $_share; wanted $2 and $3 to $4"
	[ "$_share" ] && echo "$_share" | awk -v n="$2" -v low="$3" -v high="$4" \
		'{ exit !($1 >= n && $1 <= n + 2 && $2 >= low && $2 <= high) }' && return
	rssshim stat "$(master)" 2> /dev/null
	return 1
}
