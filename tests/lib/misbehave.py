"""A server that fails in a way of one's choice, for testing the load client.

    misbehave.py KIND PORT

KIND: ok, chunks (an answer in pieces), error (500), short (half an answer), reset, silent (never
answers), stale (closes after the first answer on a connection), and for numbered connections echo
(the number read and the peer's address as accept() gave it), swapped (the address of the connection
before), garbled.
"""
import socket
import struct
import sys
import threading
import time

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def answer(kind, request, peer, previous):
    number = request.split()[0].decode()
    if kind == "error":
        return GOOD.replace(b"200 OK", b"500 Oh")
    if kind == "short":
        return GOOD[:-1]
    if kind in ("echo", "swapped"):
        host, port = (previous if kind == "swapped" else peer)[:2]
        form = "%s [%s]:%d\n" if ":" in host else "%s %s:%d\n"
        return (form % (number, host, port)).encode()
    if kind == "garbled":
        return request[::-1]
    return GOOD


def serve(kind, connection, peer, previous):
    while True:
        try:
            request = connection.recv(4096)
        except ConnectionError:
            return
        if not request:
            break
        if kind == "silent":
            time.sleep(30)
        if kind == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            break
        text = answer(kind, request, peer, previous)
        for piece in [text[i : i + 7] for i in range(0, len(text), 7)] if kind == "chunks" else [text]:
            connection.sendall(piece)
            time.sleep(0.001 if kind == "chunks" else 0)
        if kind in ("short", "stale") or b"Connection: close" in request:
            break
    connection.close()


kind, port = sys.argv[1], int(sys.argv[2])
listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
previous = ("10.99.0.99", 1)
while True:
    connection, peer = listener.accept()
    peer = (peer[0].removeprefix("::ffff:"), peer[1])
    threading.Thread(target=serve, args=(kind, connection, peer, previous), daemon=True).start()
    previous = peer
