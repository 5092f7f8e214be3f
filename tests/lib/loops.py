"""A server that tells which CPUs its threads may use, for testing who gets pinned.

    loops.py PORT

Starts a helper that waits for nothing, then two threads one after the other that wait for a listener
each with its own epoll instance. Each, once it waited, starts two threads, a forked child and another
program in three ways. Then the second chooses its own affinity and waits again. Prints a line of JSON: the CPUs
of each, as a list.
"""
import ctypes
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading

report = {}
looked = threading.Semaphore(0)
done = threading.Event()


def cpus():
    return sorted(os.sched_getaffinity(0))


def look(name):
    report[name] = cpus()


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


def in_c11_thread(function, *arguments):
    routine = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: function(*arguments) or 0)
    thread, libc = ctypes.c_ulong(), ctypes.CDLL(None)
    libc.thrd_create(ctypes.byref(thread), routine, None)
    libc.thrd_join(thread, None)


def forked():
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, json.dumps(cpus()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return json.loads(os.read(reading, 4096))


def executed():
    program = "import os; print(sorted(os.sched_getaffinity(0)))"
    return json.loads(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE,
                                     check=True).stdout)


def spawned():
    reading, writing = os.pipe()
    program = "import os; print(sorted(os.sched_getaffinity(0)))"
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", program], os.environ,
                           file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    os.waitpid(child, 0)
    return json.loads(os.read(reading, 4096))


def by_system():
    with tempfile.NamedTemporaryFile() as out:
        os.system("taskset -cp $$ >" + out.name)
        text = out.read().decode().split()[-1]
    return sorted(cpu for part in text.split(",") for cpu in range(
        int(part.split("-")[0]), int(part.split("-")[-1]) + 1))


def loop(name, listener):
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    epoll.poll(0.01)
    look(name)
    in_thread(look, name + " thread")
    in_c11_thread(look, name + " C11 thread")
    report[name + " fork"] = forked()
    report[name + " exec"] = executed()
    report[name + " posix_spawn"] = spawned()
    report[name + " system"] = by_system()
    look(name + " afterwards")
    if name == "second":
        os.sched_setaffinity(0, {0})
        epoll.poll(0.01)
        look("second by its own choice")
    looked.release()
    done.wait()


def main():
    listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
    helper = threading.Thread(target=lambda: (done.wait(), look("helper")))
    helper.start()
    loops = [threading.Thread(target=loop, args=(name, listener)) for name in ("first", "second")]
    for thread in loops:
        thread.start()
        looked.acquire()
    done.set()
    for thread in loops + [helper]:
        thread.join()
    look("main")
    print(json.dumps(report), flush=True)


main()
