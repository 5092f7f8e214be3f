"""Small servers whose every decision is known, for testing the observer. Each line a client sends is
answered by "PID TID\n" of the thread that serves it.

    servers.py epoll PORT CPU..     one listener; a thread a CPU with its own epoll instance; the
                                    connections dealt out in turn, so wherever their packets arrive
    servers.py shared PORT CPU..    a thread a CPU, all waiting on one epoll instance
    servers.py nested PORT CPU..    as epoll, each instance inside another that the thread waits on
    servers.py poll PORT CPU..      as epoll, with poll()
    servers.py select PORT CPU..    as epoll, with select()
    servers.py block PORT CPU..     a thread a connection, blocked in recv(), CPUs in turn
    servers.py fork PORT CPU..      a process a CPU, blocking accept(); the parent holds nothing
"""
import os
import select
import socket
import sys
import threading

BUFFER = 256


def answer(connection):
    try:
        if not connection.recv(BUFFER):
            return False
    except BlockingIOError:  # another thread of a shared instance was quicker
        return True
    connection.sendall(f"{os.getpid()} {threading.get_native_id()}\n".encode())
    return True


class Pool:
    """Threads that get connections in turn; `turn` is one round of a thread's event loop."""

    def __init__(self, cpus):
        self.members = [{} for _ in cpus]
        self.setup()
        for index, cpu in enumerate(cpus):
            threading.Thread(target=self.loop, args=(index, cpu), daemon=True).start()

    def setup(self):
        pass

    def loop(self, index, cpu):
        os.sched_setaffinity(0, {cpu})
        while True:
            self.turn(index)

    def serve(self, index, fd):
        connection = self.members[index].get(fd)
        if connection and not answer(connection):
            self.members[index].pop(fd)
            self.forget(index, fd)
            connection.close()

    def forget(self, index, fd):
        pass

    def give(self, index, connection):
        self.members[index][connection.fileno()] = connection


class Epoll(Pool):
    def setup(self):
        self.instances = [select.epoll() for _ in self.members]
        self.waited = self.instances

    def turn(self, index):
        for fd, _ in self.waited[index].poll():
            self.serve(index, fd)

    def give(self, index, connection):
        super().give(index, connection)
        self.instances[index].register(connection, select.EPOLLIN)

    def forget(self, index, fd):
        self.instances[index].unregister(fd)


class Shared(Epoll):
    def setup(self):
        one = select.epoll()
        self.instances = self.waited = [one for _ in self.members]
        first = self.members[0]
        self.members = [first for _ in self.members]

    def give(self, index, connection):
        connection.setblocking(False)
        super().give(index, connection)


class Nested(Epoll):
    def setup(self):
        super().setup()
        self.waited = [select.epoll() for _ in self.members]
        for outer, inner in zip(self.waited, self.instances):
            outer.register(inner, select.EPOLLIN)

    def turn(self, index):
        self.waited[index].poll()
        for fd, _ in self.instances[index].poll(0):
            self.serve(index, fd)


class Poll(Pool):
    """A thread learns of a new connection within 20 ms: it polls what it has for so long."""

    def turn(self, index):
        poll = select.poll()
        for fd in list(self.members[index]):
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(20):
            self.serve(index, fd)


class Select(Pool):
    def turn(self, index):
        ready, _, _ = select.select(list(self.members[index]), [], [], 0.02)
        for fd in ready:
            self.serve(index, fd)


def serve_blocking(connection, cpu):
    os.sched_setaffinity(0, {cpu})
    while answer(connection):
        pass
    connection.close()


def main(kind, port, *cpus):
    cpus = [int(cpu) for cpu in cpus]
    listener = socket.create_server(("", int(port)), backlog=512)
    if kind == "fork":
        for cpu in cpus[1:]:
            if not os.fork():
                break
        else:
            cpu = cpus[0]
        os.sched_setaffinity(0, {cpu})
        kept = []
        while True:
            connection, _ = listener.accept()
            answer(connection)
            kept.append(connection)
    pools = {"epoll": Epoll, "shared": Shared, "nested": Nested, "poll": Poll, "select": Select}
    pool = pools[kind](cpus) if kind in pools else None
    turn = 0
    while True:
        connection, _ = listener.accept()
        if pool:
            pool.give(turn, connection)
        else:
            threading.Thread(target=serve_blocking, args=(connection, cpus[turn]), daemon=True).start()
        turn = (turn + 1) % len(cpus)


if __name__ == "__main__":
    main(*sys.argv[1:])
