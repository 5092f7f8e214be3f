"""Usage: two_devices.py PORT CPU..: listens on one address of two devices, rss0 and lo, with a worker pinned
to each CPU that waits for both. What the listener of one device is given of the other
is closed; else a line "NUMBER ADDRESS" comes back as "NUMBER PEER"."""
import os
import select
import signal
import socket
import sys


def listen(device, port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    listener.bind(("", port))
    listener.listen(512)
    listener.setblocking(False)
    return listener


def serve(listeners):
    instance = select.epoll()
    connections = {}
    for listener in listeners:
        instance.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in instance.poll():
            if fd in listeners_by_fd:
                accept(instance, connections, listeners_by_fd[fd])
            elif line := connections[fd][0].recv(256).split():
                connections[fd][0].sendall(b"%s %s\n" % (line[0], connections[fd][1]))
            else:
                connections.pop(fd)[0].close()


def accept(instance, connections, listener):
    try:
        connection, peer = listener.accept()
    except BlockingIOError:
        return
    came_by_lo = connection.getsockname()[0].startswith("127.")
    if came_by_lo != (listener is by_lo):
        connection.close()
        return
    connections[connection.fileno()] = connection, b"%s:%d" % (peer[0].encode(), peer[1])
    instance.register(connection, select.EPOLLIN)


port, *cpus = map(int, sys.argv[1:])
by_nic, by_lo = listen("rss0", port), listen("lo", port)
listeners_by_fd = {each.fileno(): each for each in (by_lo, by_nic)}
for cpu in cpus:
    if not os.fork():
        os.sched_setaffinity(0, {cpu})
        serve((by_lo, by_nic))
while True:
    signal.pause()
