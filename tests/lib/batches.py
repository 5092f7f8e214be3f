"""batches.py ADDRESS PORT: for each line "N [ADDRESS PORT]" of its input, N connections one after another;
prints how many of them arrived on the CPU that this process is pinned to, says the kernel."""
import os
import socket
import sys

SO_INCOMING_CPU = 49
home = min(os.sched_getaffinity(0))
for line in sys.stdin:
    words = line.split()
    count, (address, port) = words[0], words[1:] or sys.argv[1:3]
    right = 0
    for _ in range(int(count)):
        with socket.create_connection((address, int(port))) as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
            s.recv(100)
            right += s.getsockopt(socket.SOL_SOCKET, SO_INCOMING_CPU) == home
    print(right, flush=True)
