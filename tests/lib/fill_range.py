"""fill_range.py ADDRESS PORT THREADS FILE: connects until no port is left, holds all until every
process that fills has done so (FILE has two lines then), and appends how many it got."""
import errno
import socket
import sys
import threading
import time

ADDRESS, PORT, THREADS, FILE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
held, lock = [], threading.Lock()


def fill():
    failures = 0
    while failures < 20:
        connection = socket.socket()
        try:
            connection.connect((ADDRESS, PORT))
        except OSError as error:
            assert error.errno == errno.EADDRNOTAVAIL, error
            failures += 1
            connection.close()
            continue
        with lock:
            held.append(connection)


threads = [threading.Thread(target=fill) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open(FILE, "a") as out:
    out.write(f"{len(held)}\n")
deadline = time.time() + 20
while len(open(FILE).readlines()) < 2 and time.time() < deadline:
    time.sleep(0.05)
