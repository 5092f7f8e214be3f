"""Source ports of many processes, each forked for one connect() to one destination: PORTS such
processes, then PORTS connects of one. Prints as JSON what an observer could use: how evenly they lie
in their range (chi squared over 16 parts, by degree of freedom; about 1 is even), how much one tells
of the next (correlation, about 0 where nothing), and how often one came again.

	ports_statistics.py HOST PORT PORTS
"""
import json
import os
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def connect():
    s = socket.socket()
    s.connect((host, port))
    return s.getsockname()[1]


def forked():
    out, into = os.pipe()
    if os.fork() == 0:
        os.write(into, connect().to_bytes(2, "big"))
        os._exit(0)
    os.close(into)
    told = int.from_bytes(os.read(out, 2), "big")
    os.close(out)
    os.wait()
    return told


def judge(ports, lo, hi):
    parts = [0] * 16
    for p in ports:
        parts[(p - lo) * 16 // (hi - lo + 1)] += 1
    even = len(ports) / 16
    chi = sum((n - even) ** 2 / even for n in parts) / 15
    mean = sum(ports) / len(ports)
    square = sum((p - mean) ** 2 for p in ports)
    next_one = sum((a - mean) * (b - mean) for a, b in zip(ports, ports[1:]))
    return {"chi": round(chi, 3), "correlation": round(next_one / square, 3),
            "again": len(ports) - len(set(ports))}


with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
    lo, hi = map(int, f.read().split())
print(json.dumps({"processes": judge([forked() for _ in range(count)], lo, hi),
                  "one": judge([connect() for _ in range(count)], lo, hi)}))
