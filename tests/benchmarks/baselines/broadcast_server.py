"""The baseline of fan-out: `websockets` on asyncio, which sends each line of its standard input to all its peers."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main(port: int) -> None:
    peers: set[ServerConnection] = set()

    async def keep(peer: ServerConnection) -> None:
        peers.add(peer)
        await peer.wait_closed()
        peers.discard(peer)

    async with serve(keep, "127.0.0.1", port, compression=None):
        lines = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            broadcast(peers, line.decode().rstrip("\n"))
            await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
