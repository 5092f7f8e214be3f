"""fill_range.py ADDRESS PORT THREADS FILE: connects until no port is left, holds all until every
process that fills has done so (FILE has two lines then), and appends to FILE:

    COUNT  connections that it got
    REFUSED BEGUN  when a connect() was first told that there is no port, and when the last one that
                   went well was begun, in ns of the host's clock: over all processes that fill, the
                   latter has to be the earlier one
and to FILE.took how long it takes, in ns, to be told that there is no port, once there is none."""
import errno
import socket
import statistics
import sys
import threading
import time

ADDRESS, PORT, THREADS, FILE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
held, refused, lock = [], [], threading.Lock()


def connect():
    """Whether it went well, when it was begun, when it was over."""
    connection = socket.socket(FAMILY)
    begun = time.monotonic_ns()
    try:
        connection.connect((ADDRESS, PORT))
    except OSError as error:
        over = time.monotonic_ns()
        assert error.errno == errno.EADDRNOTAVAIL, error
        connection.close()
        with lock:
            refused.append(over)
        return False, begun, over
    with lock:
        held.append((begun, connection))
    return True, begun, time.monotonic_ns()


def fill():
    failures = 0
    while failures < 20:
        failures += not connect()[0]


threads = [threading.Thread(target=fill) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open(FILE, "a") as out:
    out.write(f"{len(held)} {min(refused)} {max((begun for begun, _ in held), default=0)}\n")
deadline = time.time() + 20
while len(open(FILE).readlines()) < 2 and time.time() < deadline:
    time.sleep(0.05)


def refusal():
    went_well, begun, over = connect()
    assert not went_well, "a port after all"
    return over - begun


# The best of some medians: the other process is at it, too, and who knows who else.
took = min(statistics.median(refusal() for _ in range(25)) for _ in range(8))
with open(FILE + ".took", "a") as out:
    out.write(f"{round(took)}\n")
while len(open(FILE + ".took").readlines()) < 2 and time.time() < deadline:
    time.sleep(0.05)
