#!/usr/bin/env python3
"""Where RSS takes a flow, worked out apart from the code under test from what ethtool and /proc
print.

  rss.py show                    queues, CPUs, table and key as read here, as JSON
  rss.py receiving               CPUs that packets of any flow can arrive on, as a list
  rss.py predict                 "ADDR PORT ADDR PORT" lines (remote, local) -> CPU a line
  rss.py observe [astray] N in|out 4|6 [in|out 4|6]...
                                 N connections from and to the host's side: prints how many arrived
                                 on the predicted CPU; fails unless all did, or with "astray" unless
                                 no more did than by chance
  rss.py flows N in|out 4|6      the same connections, a line each: REMOTE LOCAL CPU
  rss.py from FAMILY             connections out from the local ports on standard input; prints the
                                 CPU of each answer
  rss.py incoming                whether this kernel heeds SO_INCOMING_CPU among listeners that share a
                                 port: yes or no
  rss.py peer VERB [NAME=VALUE]...  asks the host's side; see peer.py
"""
import collections
import contextlib
import glob
import json
import os
import re
import socket
import struct
import subprocess
import sys

from toeplitz import flow_bytes, toeplitz

DEV = os.environ.get("LAB_DEV", "eth0")
HOST = {4: "10.77.0.1", 6: "fd77::1"}
GUEST = {4: "10.77.0.2", 6: "fd77::2"}
SO_INCOMING_CPU = 49


def cpu_list(text):
    cpus = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            cpus += range(int(first), int(last or first) + 1)
    return cpus


def indirection(dev=DEV):
    """(key, table) as `ethtool -x` prints them."""
    text = subprocess.run(["ethtool", "-x", dev], check=True, capture_output=True, text=True).stdout
    key = bytes.fromhex(re.search(r"^((?:[0-9a-f]{2}:)+[0-9a-f]{2})$", text, re.M)[1].replace(":", ""))
    table = []
    for row in re.findall(r"^\s*\d+:((?:\s+\d+)+)\s*$", text, re.M):
        table += map(int, row.split())
    return key, table


def interrupt_cpu(irq):
    """Without interrupt remapping x86 carries a new affinity out at the next interrupt, and until
    then the effective one is the old: the packet to come will already be on the new CPU, or else
    is the last one of the old."""
    def read(name):
        with open(f"/proc/irq/{irq}/{name}") as text:
            return cpu_list(text.read())

    wanted, effective = read("smp_affinity_list"), read("effective_affinity_list")
    return effective[0] if effective[0] in wanted else wanted[0]


def queue_cpus(dev=DEV, side="input"):
    """The CPU of each receive (or "output") queue, by the names of /proc/interrupts."""
    bus = os.path.basename(os.path.realpath(f"/sys/class/net/{dev}/device"))
    cpus = {}
    with open("/proc/interrupts") as lines:
        for line in lines:
            found = re.match(rf"\s*(\d+):.*\s{bus}-{side}\.(\d+)$", line)
            if found:
                cpus[int(found[2])] = interrupt_cpu(found[1])
    return [cpus[queue] for queue in sorted(cpus)]


def rps_cpus(queue, dev=DEV):
    """CPUs that RPS spreads this queue's packets over, if any; the directory goes with the queue,
    while its interrupt stays."""
    try:
        with open(f"/sys/class/net/{dev}/queues/rx-{queue}/rps_cpus") as text:
            mask = int(text.read().replace(",", ""), 16)
    except FileNotFoundError:
        return []
    return [cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1]


def fields(dev=DEV):
    """How many of addresses and ports `ethtool -n` says are hashed, of IPv4 and IPv6."""
    def count(kind):
        text = subprocess.run(["ethtool", "-n", dev, "rx-flow-hash", kind], check=True,
                              capture_output=True, text=True).stdout
        return sum(word in text for word in ("IP SA", "IP DA", "L4 bytes 0 & 1", "L4 bytes 2 & 3"))

    return [count("tcp4"), count("tcp6")]


def channels(dev=DEV):
    """Combined channels in use, as `ethtool -l` prints them."""
    text = subprocess.run(["ethtool", "-l", dev], check=True, capture_output=True, text=True).stdout
    return int(re.search(r"Current hardware settings:.*?^Combined:\s+(\d+)", text, re.M | re.S)[1])


def xps(dev=DEV):
    """The transmit queue of each CPU, by the masks of the queues."""
    queues = {}
    for path in sorted(glob.glob(f"/sys/class/net/{dev}/queues/tx-*/xps_cpus")):
        with open(path) as text:
            mask = int(text.read().replace(",", ""), 16)
        for cpu in range(mask.bit_length()):
            if mask >> cpu & 1:
                queues.setdefault(str(cpu), int(re.search(r"tx-(\d+)", path)[1]))
    return queues


class Arrival:
    """What was true when this was made: make a new one after a change."""

    def __init__(self, dev=DEV):
        self.key, self.table = indirection(dev)
        self.cpus = queue_cpus(dev)
        self.rps = [rps_cpus(queue, dev) for queue in range(len(self.cpus))]
        self.queues = range(len(glob.glob(f"/sys/class/net/{dev}/queues/rx-*")))

    def cpu(self, remote, remote_port, local, local_port):
        value = toeplitz(self.key, flow_bytes((remote, remote_port), (local, local_port)))
        queue = self.table[value % len(self.table)]
        rps = self.rps[queue]
        return rps[value * len(rps) >> 32] if rps else self.cpus[queue]

    def reachable(self):
        """The CPUs that any flow can arrive on. (A table that names more queues than there are is
        not in force.)"""
        queues = set(self.table)
        if max(queues) >= len(self.queues):
            queues = set(self.queues)
        return set().union(*(self.rps[queue] or {self.cpus[queue]} for queue in queues))


class Peer:
    """The host's side of the wire; see peer.py for what can be asked of it."""

    def __init__(self):
        self.stream = socket.create_connection((HOST[4], 7000), timeout=60).makefile("rw")

    def __call__(self, do, **order):
        self.stream.write(json.dumps({"do": do, **order}) + "\n")
        self.stream.flush()
        return json.loads(self.stream.readline())


def incoming_cpu(sock):
    return sock.getsockopt(socket.SOL_SOCKET, SO_INCOMING_CPU)


def arrivals_in(family, count):
    """(remote, port, local, port, CPU) of connections the host's side opened to this one."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with socket.create_server((GUEST[family], 5000), family=kind, backlog=4096) as server:
        answer = Peer()
        answer.stream.write(json.dumps({"do": "open", "to": GUEST[family], "port": 5000,
                                        "count": count}) + "\n")
        answer.stream.flush()
        server.settimeout(10)
        seen = []
        with contextlib.suppress(TimeoutError):
            for _ in range(count):
                sock, remote = server.accept()
                with sock:
                    seen.append((*remote[:2], GUEST[family], 5000, incoming_cpu(sock)))
        errors = json.loads(answer.stream.readline())["errors"]
        if errors:
            print(errors)
        answer("close")
    return seen


def arrivals_out(family, count, ports=None):
    """The same of connections this side opened; what arrives is the host's answer."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    seen = []
    for port in ports or [0] * count:
        with socket.socket(kind) as sock:
            sock.settimeout(10)
            # Closed by reset: no port must be missing in the next test.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, port != 0)
            sock.bind((GUEST[family], port))
            sock.connect((HOST[family], 8001))
            sock.recv(1)
            seen.append((HOST[family], 8001, *sock.getsockname()[:2], incoming_cpu(sock)))
    return seen


def heeds_incoming_cpu(count=64):
    """A socket for each CPU, each of which prefers its own: does every connection find it?"""
    cpus = range(os.cpu_count())
    right = seen = 0
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(
            (GUEST[4], 5001), backlog=count, reuse_port=True)) for _ in cpus]
        for cpu, server in zip(cpus, servers):
            server.setsockopt(socket.SOL_SOCKET, SO_INCOMING_CPU, cpu)
            server.setblocking(False)
        peer = Peer()
        peer("open", to=GUEST[4], port=5001, count=count)
        for cpu, server in zip(cpus, servers):
            with contextlib.suppress(BlockingIOError):
                while True:
                    with server.accept()[0] as sock:
                        seen += 1
                        right += incoming_cpu(sock) == cpu
        peer("close")
    return seen == count and right == seen


def arrivals(direction, family, count):
    return (arrivals_in if direction == "in" else arrivals_out)(family, count)


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def observe(direction, family, count, astray):
    arrival = Arrival()
    seen = arrivals(direction, family, count)
    right = sum(arrival.cpu(*flow[:4]) == flow[4] for flow in seen)
    spread = collections.Counter(flow[4] for flow in seen)
    print(f"{direction} IPv{family}: {right} of {len(seen)} on the predicted CPU, by CPU: {dict(sorted(spread.items()))}")
    if astray:
        return len(seen) == count and right < 0.6 * count
    # All on one CPU would be no proof of anything.
    return right == count and set(spread) == arrival.reachable()


def main(verb, *arguments):
    if verb == "show":
        arrival = Arrival()
        print(json.dumps({"key": arrival.key.hex(":"), "table": arrival.table,
                          "queue_cpus": arrival.cpus, "tx_cpus": queue_cpus(side="output"),
                          "fields": fields(), "queues": channels(), "xps": xps()}))
    elif verb == "receiving":
        print(*sorted(Arrival().reachable()), sep=",")
    elif verb == "incoming":
        print("yes" if heeds_incoming_cpu() else "no")
    elif verb == "predict":
        arrival = Arrival()
        for line in sys.stdin:
            remote, remote_port, local, local_port = line.split()
            print(arrival.cpu(remote, int(remote_port), local, int(local_port)))
    elif verb == "observe":
        astray = arguments[0] == "astray"
        count, *ways = arguments[astray:]
        # A moved interrupt comes once more to the old CPU, which then polls what there is.
        arrivals_out(4, 50)
        right = [observe(direction, int(family), int(count), astray)
                 for direction, family in zip(ways[::2], ways[1::2])]
        return 0 if all(right) else 1
    elif verb == "flows":
        count, direction, family = arguments
        for remote, remote_port, local, local_port, cpu in arrivals(direction, int(family), int(count)):
            print(endpoint(remote, remote_port), endpoint(local, local_port), cpu)
    elif verb == "from":
        for flow in arrivals_out(int(arguments[0]), 0, [int(line) for line in sys.stdin]):
            print(flow[4])
    elif verb == "peer":
        order = dict(argument.split("=", 1) for argument in arguments[1:])
        numbers = {name: int(order[name]) for name in ("port", "count", "clients") if name in order}
        print(json.dumps(Peer()(arguments[0], **order | numbers)))
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["help"])))
