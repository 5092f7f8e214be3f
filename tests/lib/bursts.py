"""Opens connections in bursts, has each answered, and holds them until standard input ends.

    bursts.py ADDRESS PORT SOURCE,SOURCE.. COUNT SIZE [option=VALUE]..

COUNT connections in all, SIZE of them at a time: a burst begins when the one before was answered.
    stop=PID        that process stands still while a burst arrives, so that all of it waits at once
    balance=KEY     as many connections of a burst for each of two receive queues (table "equal 2"),
                    in random order: in turn they would meet workers that take turns
    first=PORT      .. with source ports from there on (20000)
    request=TEXT    what is sent, followed by CR LF ("version")
Prints one line of JSON once all are open: ok, failed.
"""
import json
import os
import random
import selectors
import signal
import socket
import sys
import time

from toeplitz import flow_bytes, toeplitz

TIMEOUT = 10
IP_BIND_ADDRESS_NO_PORT = 24


class Ports:
    """Source ports whose flows arrive on the two queues in turn."""

    def __init__(self, key, target, first):
        self.key = bytes.fromhex(key.replace(":", ""))
        self.target = target
        self.first = first
        self.used = {}

    def next(self, source, queue):
        at = (source, queue)
        port = self.used.get(at, self.first) + 1
        while toeplitz(self.key, flow_bytes((source, port), self.target)) & 1 != queue:
            port += 1
        self.used[at] = port
        return port


def unconnected(source, port):
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    connection.bind((source, port))
    return connection


def finish(opened, request):
    """Sends the request on each once it is connected; returns those that were answered."""
    answered, waiting = [], selectors.DefaultSelector()
    for connection in opened:
        waiting.register(connection, selectors.EVENT_READ)
        connection.send(request)
    end = time.monotonic() + TIMEOUT
    while waiting.get_map() and time.monotonic() < end:
        for key, _ in waiting.select(0.1):
            waiting.unregister(key.fileobj)
            try:
                if key.fileobj.recv(256):
                    answered.append(key.fileobj)
            except OSError:
                pass
    return answered


def connect(opened, target):
    """Connects all at once; returns those that are connected."""
    connected, waiting = [], selectors.DefaultSelector()
    for connection in opened:
        connection.connect_ex(target)
    for connection in opened:
        waiting.register(connection, selectors.EVENT_WRITE)
    end = time.monotonic() + TIMEOUT
    while waiting.get_map() and time.monotonic() < end:
        for key, _ in waiting.select(0.1):
            waiting.unregister(key.fileobj)
            if not key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                connected.append(key.fileobj)
    return connected


def main():
    address, port, sources, count, size = sys.argv[1:6]
    option = dict(word.split("=", 1) for word in sys.argv[6:])
    target, sources = (address, int(port)), sources.split(",")
    request = option.get("request", "version").encode() + b"\r\n"
    ports = Ports(option["balance"], target, int(option.get("first", 20000))) if "balance" in option else None
    stop = int(option.get("stop", 0))
    held, wanted, size = [], int(count), int(size)
    for first in range(0, wanted, size):
        burst = list(range(first, min(first + size, wanted)))
        random.shuffle(burst)
        opened = []
        for i in burst:
            source = sources[i // 2 % len(sources)]
            opened.append(unconnected(source, ports.next(source, i & 1) if ports else 0))
        if stop:
            os.kill(stop, signal.SIGSTOP)
        connected = connect(opened, target)
        if stop:
            os.kill(stop, signal.SIGCONT)
        held += finish(connected, request)
    print(json.dumps({"ok": len(held), "failed": wanted - len(held)}), flush=True)
    sys.stdin.read()


main()
