"""A pool of threads that use memcached through pymemcache and check every answer:

    memcache_client.py HOST PORT ROUNDS
"""
import sys
import threading

from pymemcache.client.base import Client, PooledClient

host, port, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
server = (host, port)
wrong = []


def check(got, wanted, what):
    if got != wanted:
        wrong.append(f"{what}: {got!r}, not {wanted!r}")


def use(client, name):
    check(client.set(name, b"x" * 5000, noreply=False), True, "set")
    check(client.get(name), b"x" * 5000, "get")
    check(client.add(name, b"no", noreply=False), False, "add")
    check(client.set(name + "n", b"1", noreply=False), True, "set")
    check(client.incr(name + "n", 41), 42, "incr")
    value, token = client.gets(name)
    check(client.cas(name, b"new", token, noreply=False), True, "cas")
    check(client.cas(name, b"old", token, noreply=False), False, "cas again")
    check(client.get_many([name, name + "n"]), {name: b"new", name + "n": b"42"}, "get_many")
    check(client.delete(name, noreply=False), True, "delete")


def churn(number):
    for i in range(rounds * 10):
        client = Client(server, timeout=10)
        use(client, f"own{number}.{i}")
        client.close()


def share(number):
    for i in range(rounds * 20):
        use(pool, f"pool{number}.{i}")


def guarded(work, number):
    try:
        work(number)
    except Exception as error:
        wrong.append(f"{work.__name__}: {error!r}")


pool = PooledClient(server, max_pool_size=4, timeout=10)
threads = [
    threading.Thread(target=guarded, args=(work, number))
    for work in (churn, share)
    for number in range(4)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("\n".join(sorted(set(wrong))) if wrong else f"{rounds * 120} rounds, every answer right")
sys.exit(bool(wrong))
