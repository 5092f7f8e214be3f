"""pass_listener.py FAMILY PORT COMMAND...: COMMAND with a listening socket as descriptor 3, as a
service manager passes it: under the user PASS_AS_USER, with LISTEN_FDS=PASS_LISTEN_FDS. Blocks, unless
PASS_NONBLOCK is set."""
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
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.set_blocking(3, "PASS_NONBLOCK" not in os.environ)
os.setuid(user)
if "PASS_LISTEN_FDS" in os.environ:
    os.environ["LISTEN_FDS"] = os.environ["PASS_LISTEN_FDS"]
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(command[0], command)
