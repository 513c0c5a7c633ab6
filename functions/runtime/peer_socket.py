"""Write to a peer without waiting for it."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from struct import pack
from typing import Any

MOST_UNSENT = 4 * 1024 * 1024
SEND_SECONDS = 10


class PeerSocket(socket.socket):
    """A socket that keeps bytes which the peer does not take at once. The main loop sends them after the thread.

    `read_ahead` holds the bytes behind the request that a thread has now.
    """

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.read_ahead = b""
        self.unsent: deque[memoryview] = deque()
        with suppress(OSError):  # it has gone again
            self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, pack("@ll", SEND_SECONDS, 0))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send or keep all of the data. A socket with the app's own time-out, as of a stream, writes as usual.

        Raises BrokenPipeError when more than MOST_UNSENT bytes are kept and the peer takes none for SEND_SECONDS.
        """
        if self.gettimeout() is not None:
            super().sendall(data, flags)
            return
        self.unsent.append(memoryview(data))
        self.send_kept()
        while self.unsent_bytes > MOST_UNSENT:
            self._send_patiently(self.unsent.popleft(), flags)

    def send_kept(self) -> int:
        """Send kept bytes that the peer takes now. Returns their number; raises OSError when the peer has gone."""
        total = 0
        with suppress(BlockingIOError):
            while self.unsent:
                sent = self.send(self.unsent[0], socket.MSG_DONTWAIT)
                total += sent
                rest = self.unsent.popleft()[sent:]
                if rest:
                    self.unsent.appendleft(rest)
        return total

    @property
    def unsent_bytes(self) -> int:
        return sum(map(len, self.unsent))

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """Give the socket and the bytes read ahead to another owner. The server forgets the connection.

        A thread calls this while it has the request, and then ends it without an answer (StopIteration).
        """
        return socket.socket(self.family, self.type, self.proto, fileno=self.detach()), self.read_ahead

    @property
    def is_handed_over(self) -> bool:
        return self.fileno() < 0

    def _send_patiently(self, data: memoryview, flags: int) -> None:
        try:
            super().sendall(data, flags)
        except BlockingIOError:
            raise BrokenPipeError("the peer does not read") from None
