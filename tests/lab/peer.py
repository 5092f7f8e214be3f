#!/usr/bin/env python3
"""The other end of the guest's wire: a client and an upstream, told what to do by the guest.

The guest sends one JSON object a line to port 7000 and gets one back a line:
  {"do": "open", "to": ADDR, "port": P, "count": N, "path": PATH or null}
      opens N connections from this side's addresses in turn and keeps them open; with a path
      asks for it over HTTP once on each. -> {"flows": [[addr, port, status, body], ...],
      "errors": {text: count}}
  {"do": "close"}                  closes what "open" left open -> {}
  {"do": "load", "to": ADDR, "port": P, "path": PATH, "clients": N}
      N clients that ask again and again, a new connection for each request, until "stop" -> {}
  {"do": "stop"}                   -> {"requests": N, "errors": {text: count}}

Port 8000 is an HTTP upstream with keep-alive; of "/hold" it sends only the start, and the rest
never. Port 8001 sends a byte to who connects. Both keep a connection until the other side closes.
"""
import asyncio
import collections
import json
import socket

SOURCES = {
    socket.AF_INET: ["10.77.0.1", "10.77.0.102", "10.77.0.103", "10.77.0.104"],
    socket.AF_INET6: ["fd77::1", "fd77::102", "fd77::103", "fd77::104"],
}
PATIENCE = 10  # seconds for a connect and for an answer
AT_ONCE = 32  # connects under way: more and a slow guest's queues overflow
PAUSE = 0.02  # seconds between a load's requests: one that leaves the guest no CPU delays its tests


class Client:
    def __init__(self):
        self.held = []
        self.busy = []
        self.loading = False
        self.requests = 0
        self.errors = collections.Counter()

    async def one(self, to, port, path, source, keep):
        """Connects and asks once. Returns (writer, [addr, port, status, body])."""
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(to, port, local_addr=(source, 0)), PATIENCE)
        try:
            addr, local = writer.get_extra_info("sockname")[:2]
            status, body = None, None
            if path:
                how = "keep-alive" if keep else "close"
                host = f"[{to}]" if ":" in to else to
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
                             f"Connection: {how}\r\n\r\n".encode())
                status, body = await asyncio.wait_for(self.answer(reader), PATIENCE)
            return writer, [addr, local, status, body]
        except BaseException:
            writer.transport.abort()
            raise

    @staticmethod
    async def answer(reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        length = 0
        for line in head[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        body = await reader.readexactly(length)
        return int(head[0].split()[1]), body.decode("latin-1")

    @staticmethod
    def sources(to):
        return SOURCES[socket.AF_INET6 if ":" in to else socket.AF_INET]

    async def open(self, to, port, count, path=None):
        sources, flows, errors = self.sources(to), [], collections.Counter()
        gate = asyncio.Semaphore(AT_ONCE)

        async def nth(n):
            async with gate:
                try:
                    writer, flow = await self.one(to, port, path, sources[n % len(sources)], True)
                    self.held.append(writer)
                    flows.append(flow)
                except (OSError, EOFError, asyncio.TimeoutError) as error:
                    errors[repr(error)] += 1

        await asyncio.gather(*(nth(n) for n in range(count)))
        return {"flows": flows, "errors": errors}

    async def close(self):
        # Not all at once: a packet for a full ring stops a queue of the wire (see guest/init).
        for n, writer in enumerate(self.held):
            writer.transport.abort()
            if n % AT_ONCE == 0:
                await asyncio.sleep(0.02)
        self.held = []
        return {}

    async def load(self, to, port, path, clients):
        async def keep_asking(source):
            while self.loading:
                try:
                    writer, (_, _, status, _) = await self.one(to, port, path, source, False)
                    writer.close()
                    self.requests += status == 200
                    if status != 200:
                        self.errors[f"status {status}"] += 1
                except (OSError, EOFError, asyncio.TimeoutError) as error:
                    self.errors[repr(error)] += 1
                await asyncio.sleep(PAUSE)

        sources = self.sources(to)
        self.requests, self.errors = 0, collections.Counter()
        self.loading = True
        self.busy = [asyncio.create_task(keep_asking(sources[n % len(sources)]))
                     for n in range(clients)]
        return {}

    async def stop(self):
        # Not cancelled: wait_for() of this Python now and then loses a cancellation.
        self.loading = False
        await asyncio.gather(*self.busy, return_exceptions=True)
        self.busy = []
        return {"requests": self.requests, "errors": self.errors}


async def upstream(reader, writer):
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith(b"GET /hold "):
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok\n")
                await reader.read()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
            await writer.drain()
    except (OSError, EOFError):
        pass
    finally:
        writer.close()


async def greet(reader, writer):
    try:
        writer.write(b"x")
        await reader.read()
    except OSError:
        pass
    finally:
        writer.close()


async def main():
    client = Client()
    verbs = {"open": client.open, "close": client.close, "load": client.load, "stop": client.stop}

    async def control(reader, writer):
        while line := await reader.readline():
            order = json.loads(line)
            answer = await verbs[order.pop("do")](**order)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    servers = [await asyncio.start_server(how, ["0.0.0.0", "::"], port, backlog=4096)
               for how, port in ((control, 7000), (upstream, 8000), (greet, 8001))]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
