"""Opens COUNT connections to ADDRESS:PORT, asks each which thread serves it (see servers.py), prints
"LOCAL-ADDRESS:PORT PID TID" a line, then "held", and holds them until standard input ends.

    ask.py ADDRESS PORT COUNT
"""
import socket
import sys

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
held = []
for _ in range(count):
    s = socket.create_connection((address, port), timeout=5)
    s.sendall(b"who\n")
    print("%s:%d" % s.getsockname()[:2], s.recv(64).decode().strip())
    held.append(s)
print("held", flush=True)
sys.stdin.read()
