"""Which CPU the packets of a flow must arrive on, worked out bit by bit from the definition: the
second opinion that the soft NIC is tested against. Shares nothing with it or with the library.

    toeplitz.py check KEY TABLE QUEUE_CPUS [TRANSFORM [FIELDS]] < `observe --list`
        prints "TOTAL RIGHT" and the first few connections that are wrong
"""
import socket
import sys


def toeplitz(key, data):
    window = int.from_bytes(key, "big")
    width = 8 * len(key)
    result = 0
    for i in range(8 * len(data)):
        if data[i // 8] >> (7 - i % 8) & 1:
            result ^= window >> (width - 32 - i) & 0xFFFFFFFF
    return result


def flow_bytes(remote, local, transform="none", fields="4-tuple"):
    """`remote` and `local` are (address, port); the sender of the packets comes first."""
    family = socket.AF_INET6 if ":" in remote[0] else socket.AF_INET
    addresses = [int.from_bytes(socket.inet_pton(family, end[0]), "big") for end in (remote, local)]
    ports = [remote[1], local[1]]
    if transform != "none":
        for pair in (addresses, ports):
            both = pair[0] ^ pair[1]
            pair[:] = [both if transform == "symmetric-xor" else pair[0] | pair[1], both]
    size = 16 if family == socket.AF_INET6 else 4
    data = b"".join(a.to_bytes(size, "big") for a in addresses)
    if fields == "4-tuple":
        data += b"".join(p.to_bytes(2, "big") for p in ports)
    return data


def split(endpoint):
    address, port = endpoint.rsplit(":", 1)
    return address.strip("[]"), int(port)


def check(key, table, queue_cpus, transform="none", fields="4-tuple"):
    key = bytes.fromhex(key.replace(":", ""))
    table = [int(word) for word in table.split()]
    queue_cpus = [int(word) for word in queue_cpus.split()]
    total = right = 0
    for line in sys.stdin:
        word = line.split()
        if len(word) < 7 or word[0].startswith("#") or word[3] not in ("accepted", "upstream"):
            continue
        value = toeplitz(key, flow_bytes(split(word[5]), split(word[4]), transform, fields))
        want = queue_cpus[table[value % len(table)]]
        total += 1
        right += want == int(word[6])
        if want != int(word[6]) and total - right <= 3:
            print(f"predicted CPU {want}: {line.strip()}", file=sys.stderr)
    print(total, right)


if __name__ == "__main__":
    check(*sys.argv[2:])
