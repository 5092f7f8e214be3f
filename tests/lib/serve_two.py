"""serve_two.py COUNTS: accepts on the listening sockets 3 and 4, pinned to CPU 0, and answers every
line; writes "BY-3 BY-4" to COUNTS after each connection."""
import os
import select
import socket
import sys

os.sched_setaffinity(0, {0})
listeners = {fd: socket.socket(fileno=fd) for fd in (3, 4)}
accepted = {3: 0, 4: 0}
connections = {}
epoll = select.epoll()
for fd, listener in listeners.items():
    listener.setblocking(False)
    epoll.register(fd, select.EPOLLIN)
while True:
    for fd, _ in epoll.poll():
        if fd in listeners:
            try:
                connection, _ = listeners[fd].accept()
            except BlockingIOError:
                continue
            connections[connection.fileno()] = connection
            epoll.register(connection.fileno(), select.EPOLLIN)
            accepted[fd] += 1
            with open(sys.argv[1] + ".new", "w") as counts:
                counts.write(f"{accepted[3]} {accepted[4]}\n")
            os.rename(sys.argv[1] + ".new", sys.argv[1])
        elif data := connections[fd].recv(4096):
            connections[fd].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            epoll.unregister(fd)
            connections.pop(fd).close()
