"""slow_upstream.py PORT SECONDS ADDRESS...: an HTTP server that answers each request after a while,
so that as many connections to it are open at once as requests are under way, and keeps them open.
A request for /now is answered at once."""
import asyncio
import sys

PORT, DELAY, ADDRESSES = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain\r\n\r\nhello\n"


async def serve(reader, writer):
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            if not request.startswith(b"GET /now"):
                await asyncio.sleep(DELAY)
            writer.write(ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    servers = [await asyncio.start_server(serve, host, PORT, backlog=4096) for host in ADDRESSES]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
