"""Asks an HTTP server, on one connection after another, which address it was told of, and holds each.

    told_address.py ADDRESS PORT SOURCE,SOURCE.. COUNT

The server answers with ADDRESS:PORT of its client. Prints one line of JSON: ok, wrong.
"""
import json
import socket
import sys

address, port, sources, count = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
held, ok, wrong = [], 0, []
for number in range(count):
    connection = socket.socket(family)
    connection.settimeout(10)
    connection.bind((sources[number % len(sources)], 0))
    connection.connect((address, port))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: host\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"\n"):
        answer += connection.recv(4096) or sys.exit("closed: " + repr(answer))
    told = answer.split(b"\r\n\r\n")[1].decode().strip()
    mine = "%s:%d" % connection.getsockname()[:2]
    if told == mine:
        ok += 1
    else:
        wrong.append(f"{told} for {mine}")
    held.append(connection)
print(json.dumps({"ok": ok, "wrong": wrong[:5]}))
