"""connects.py ADDRESS PORT COUNT [WORD...]: opens connections one after another and holds them. Then
prints "READY RIGHT TOTAL", how many of them arrive on the CPU that this process is pinned to, says
the kernel; closes them all at the next line of its input, prints CLOSED, and ends at the one after.

Words: bind=ADDRESS[-PORT]  no-port  mark=N  tos=N  device=NAME  range=LO-HI  range-reset  nonblocking  fastopen  mapped
       reuseaddr  inherited (sockets that the shim did not see made)"""
import os
import select
import socket
import sys

IP_BIND_ADDRESS_NO_PORT = 24
IP_LOCAL_PORT_RANGE = 51
SO_INCOMING_CPU = 49
SO_BINDTODEVICE = 25
TCP_FASTOPEN_CONNECT = 30

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
words = dict(word.partition("=")[::2] for word in sys.argv[4:])
home = min(os.sched_getaffinity(0))


def make():
    family = socket.AF_INET6 if ":" in address or "mapped" in words else socket.AF_INET
    if "inherited" in words:
        import ctypes

        made = 41 if os.uname().machine == "x86_64" else 198
        number = ctypes.CDLL(None, use_errno=True).syscall(made, family, socket.SOCK_STREAM, 0)
        s = socket.socket(fileno=number)
    else:
        s = socket.socket(family)
    if "no-port" in words:
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    if "mark" in words:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(words["mark"]))
    if "tos" in words:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, int(words["tos"]))
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, int(words["tos"]))
    if "device" in words:
        s.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, words["device"].encode() + b"\0")
    if "range" in words:
        low, high = map(int, words["range"].split("-"))
        s.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, high << 16 | low)
    if "range-reset" in words:
        for value in 30000 << 16 | 20000, 0:
            s.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, value)
    if "fastopen" in words:
        s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    if "reuseaddr" in words:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "nonblocking" in words:
        s.setblocking(False)
    return s


def open_one(i):
    s = make()
    if "bind" in words:
        host, _, own = words["bind"].rpartition("-") if "-" in words["bind"] else (words["bind"], 0, 0)
        s.bind((host, int(own) + i if own else 0))
    try:
        s.connect(("::ffff:" + address if "mapped" in words else address, port))
    except BlockingIOError:
        select.select([], [s], [], 5)
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    s.setblocking(True)
    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert s.recv(100)
    if "bind" in words:
        assert s.getsockname()[0] == host, s.getsockname()
    # What the application did not set reads as before.
    low, high = map(int, words.get("range", "0-0").split("-"))
    assert s.getsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE) == high << 16 | low
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == ("reuseaddr" in words)
    return s


held = [open_one(i) for i in range(count)]
right = sum(s.getsockopt(socket.SOL_SOCKET, SO_INCOMING_CPU) == home for s in held)
print("READY", right, count, flush=True)
sys.stdin.readline()
for s in held:
    s.close()
print("CLOSED", flush=True)
sys.stdin.readline()
