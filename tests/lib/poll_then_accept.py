"""Usage: poll_then_accept.py PORT OTHER-PORT FILE: two listeners and a worker on each of CPU 0 and 1.
Both poll for both; the first then blocks in accept() on OTHER-PORT, to which nobody connects, and
writes the ids of both to FILE. The second answers each line "NUMBER ADDRESS" by "NUMBER PEER"."""
import os
import select
import signal
import socket
import sys


def poll_both(listeners):
    poll = select.poll()
    for listener in listeners:
        poll.register(listener, select.POLLIN)
    return poll


def serve(listeners):
    poll = poll_both(listeners)
    connections = {}
    by_fd = {listener.fileno(): listener for listener in listeners}
    while True:
        for fd, _ in poll.poll():
            if fd in by_fd:
                connection, peer = by_fd[fd].accept()
                connections[connection.fileno()] = connection, b"%s:%d" % (peer[0].encode(), peer[1])
                poll.register(connection, select.POLLIN)
            elif line := connections[fd][0].recv(256).split():
                connections[fd][0].sendall(b"%s %s\n" % (line[0], connections[fd][1]))
            else:
                poll.unregister(fd)
                connections.pop(fd)[0].close()


def worker(cpu, work):
    pid = os.fork()
    if not pid:
        os.sched_setaffinity(0, {cpu})
        work()
    return pid


def block():
    poll_both(listeners).poll(300)
    with open(sys.argv[3] + ".new", "w") as told:
        told.write(f"{os.getpid()} {other}\n")
    os.rename(sys.argv[3] + ".new", sys.argv[3])
    while True:
        listeners[1].accept()


listeners = [socket.create_server(("", int(port)), backlog=512) for port in sys.argv[1:3]]
other = worker(1, lambda: serve(listeners))
worker(0, block)
while True:
    signal.pause()
