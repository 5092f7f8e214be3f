"""A thread that waits and ends, and whose number another process gets before anything is served.

    reused_thread.py PORT

In a pid name space of its own, so that numbers can be chosen. Prints the CPUs of that other process
once this one serves, as a list.
"""
import os
import select
import socket
import sys
import threading
import time

number = 0


def wait_once():
    global number
    number = threading.get_native_id()
    reading, _ = os.pipe()
    epoll = select.epoll()
    epoll.register(reading, select.EPOLLIN)
    epoll.poll(0.01)


def child_with(wanted):
    """A process of that number, which does nothing."""
    while os.path.exists(f"/proc/{os.getpid()}/task/{wanted}"):
        time.sleep(0.001)
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(wanted - 1))
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    if child != wanted:
        sys.exit(f"got number {child}, not {wanted}")
    return child


thread = threading.Thread(target=wait_once)
thread.start()
thread.join()
other = child_with(number)
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
serving = select.epoll()
serving.register(listener, select.EPOLLIN)
serving.poll(0.01)
print(sorted(os.sched_getaffinity(other)), sorted(os.sched_getaffinity(0)))
os.kill(other, 9)
