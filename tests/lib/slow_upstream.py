"""slow_upstream.py PORT SECONDS ADDRESS...: an HTTP server that answers each request after a while,
so that as many connections to it are open at once as requests are under way, and keeps them open.
A request for /now is answered at once, one for /now/soon after 10 ms, and then the connection is
closed. With PAIRS in the environment, a line "PEER OWN SESSION" goes to that file for each request with
a header X-Session: the two addresses, and what the header says."""
import asyncio
import os
import re
import sys

PORT, DELAY, ADDRESSES = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain\r\n\r\nhello\n"
PAIRS = open(os.environ["PAIRS"], "a", buffering=1) if "PAIRS" in os.environ else None


def text(address):
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


def note(request, writer):
    session = re.search(rb"\r\nX-Session: (\S+)\r\n", request, re.IGNORECASE)
    if PAIRS and session:
        ends = (text(writer.get_extra_info(name)) for name in ("peername", "sockname"))
        print(*ends, session[1].decode(), file=PAIRS)


async def serve(reader, writer):
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            note(request, writer)
            last = request.startswith(b"GET /now/soon")
            if last:
                await asyncio.sleep(0.01)
            elif not request.startswith(b"GET /now"):
                await asyncio.sleep(DELAY)
            writer.write(ANSWER)
            await writer.drain()
            if last:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    servers = [await asyncio.start_server(serve, host, PORT, backlog=4096) for host in ADDRESSES]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
