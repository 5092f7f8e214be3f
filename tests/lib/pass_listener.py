"""pass_listener.py FAMILY PORT COMMAND...: COMMAND with a listening socket as descriptor 3, as a
service manager passes it: under the user PASS_AS_USER, with LISTEN_FDS=PASS_LISTEN_FDS. Blocks, unless
PASS_NONBLOCK is set. With PASS_BY_MESSAGE descriptor 3 is a Unix socket, by which another process sends
the listener."""
import os
import socket
import sys

family, port, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
user = int(os.environ.get("PASS_AS_USER", "0"))
listener = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if family == "6":
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
listener.bind(("::" if family == "6" else "0.0.0.0", port))
listener.listen(1024)
listener.setblocking("PASS_NONBLOCK" not in os.environ)
passed = listener
if "PASS_BY_MESSAGE" in os.environ:
    sender, passed = socket.socketpair()
    if os.fork() == 0:
        socket.send_fds(sender, [b"."], [listener.fileno()])
        os._exit(0)
if passed.fileno() == 3:
    os.set_inheritable(3, True)
else:
    os.dup2(passed.fileno(), 3)
os.setuid(user)
if "PASS_LISTEN_FDS" in os.environ:
    os.environ["LISTEN_FDS"] = os.environ["PASS_LISTEN_FDS"]
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(command[0], command)
