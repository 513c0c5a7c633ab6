"""Serve by a gunicorn worker whose main loop owns each connection until its request is whole.

Threads see whole requests only. A slow or silent peer costs a socket and some memory, and never a thread. gthread
performs whole requests as it always does.
"""

from __future__ import annotations

import errno
import selectors
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from functions.runtime.peer_socket import PeerSocket
from functions.runtime.refusals import RefusedRequest, refusal_bytes, refusal_of, request_too_slow, server_full
from functions.runtime.served_port import HEAD_SECONDS, Peer, ServedPort

READ_BYTES = 65_536
ACCEPTED_TOGETHER = 64
SWEEP_SECONDS = 0.5
PARTING_SECONDS = 2.0
STOPPING_SECONDS = 5.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Door(ThreadWorker):  # type: ignore[misc]
    """gthread with our own reading. `serve_ports` must be called before the main loop begins."""

    public: ServedPort
    others: Mapping[Any, ServedPort]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worker_connections = self.max_keepalived = sys.maxsize  # each port has a limit of its own
        self._swept_at = 0.0

    def serve_ports(self, public: ServedPort, others: Mapping[Any, ServedPort]) -> None:
        """Set the ports. `others` maps the address of a listener to its port; all others are public."""
        self.public, self.others = public, others

    @property
    def ports(self) -> list[ServedPort]:
        return [self.public, *self.others.values()]

    # What comes in

    def accept(self, listener: socket.socket) -> None:
        """Accept up to ACCEPTED_TOGETHER connections: a flood of them must not hold up other peers."""
        port = self.others.get(listener.getsockname(), self.public)
        for _ in range(ACCEPTED_TOGETHER):
            try:
                accepted, address = listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._make_room(port)
                elif error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED):
                    raise
                return
            self._welcome(PeerSocket(accepted), address, port)

    def _welcome(self, sock: PeerSocket, address: Any, port: ServedPort) -> None:
        try:
            peer = Peer(self.cfg, sock, address, port)
        except OSError:  # it has gone again
            sock.close()
            return
        is_full = port.peers >= port.most_peers and not self._make_room(port)
        self.nr_conns += 1
        port.peers += 1
        self._listen_to(peer)
        if is_full:
            self._refuse(peer, server_full("This server has as many connections as it can take."))

    def _listen_to(self, peer: Peer) -> None:
        peer.port.waiting[peer] = None
        self.poller.register(peer.sock, selectors.EVENT_READ, partial(self._read, peer))

    def _read(self, peer: Peer, _sock: socket.socket) -> None:
        if peer not in peer.port.waiting:  # ended earlier in this turn of the loop
            return
        try:
            received = peer.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        if received:
            self._take(peer, received)
        else:
            self._end(peer)

    def _take(self, peer: Peer, received: bytes) -> None:
        port, reader = peer.port, peer.reader
        had_begun, had_head = reader.has_begun, reader.has_head
        port.hold(peer, len(received))
        try:
            is_whole = peer.take(received)
        except RefusedRequest as refusal:
            self._refuse(peer, refusal)
            return
        except Exception:  # a fault of the parser ends one connection and not the loop
            self.log.exception("A request could not be read")
            self._end(peer)
            return
        if is_whole:
            self._pass_on(peer)
        elif not had_begun and reader.has_begun:
            port.waiting[peer] = port.waiting.pop(peer)  # it is the youngest now
        if reader.has_head and not had_head and reader.is_waited_for:
            self._send(peer, CONTINUE)
        self._bound_memory(port)

    def _pass_on(self, peer: Peer) -> None:
        """Give the request to a thread. The loop forgets the socket until the thread has answered."""
        if peer.port.is_overloaded and not peer.goes_first:
            self._refuse(peer, server_full("Too many requests wait for this server. Try again shortly."))
            return
        self._forget(peer)
        peer.parser = peer.reader.whole()
        peer.sock.read_ahead = peer.reader.rest
        self.enqueue_req(peer)

    def handle(self, conn: Peer) -> Any:
        """Serve a request in a thread, whose log lines must not name the ids of its last request."""
        structlog.contextvars.clear_contextvars()
        return super().handle(conn)

    def enqueue_req(self, conn: Peer) -> None:
        threads = conn.port.begin_work(conn)
        future = threads.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    # What is answered

    def finish_request(self, conn: Peer, fs: Any) -> None:
        """Go on after the thread: send the rest, await a request, close, or forget a socket given away."""
        conn.port.end_work(conn)
        conn.is_kept = not fs.cancelled() and fs.exception() is None and fs.result()
        if conn.sock.is_handed_over:
            self._count_out(conn)
        elif conn.sock.unsent:
            self._send_answer_left(conn)
        else:
            self._after_answer(conn)

    def _after_answer(self, peer: Peer) -> None:
        if peer.is_kept:
            self._await_next(peer)
        else:
            self._part(peer)

    def _send_answer_left(self, peer: Peer) -> None:
        """Go on sending an answer: the peer reads more slowly than the thread wrote."""
        peer.port.hold(peer, peer.sock.unsent_bytes)
        peer.port.reading[peer] = None
        self.poller.register(peer.sock, selectors.EVENT_WRITE, partial(self._write, peer))
        peer.begin_answer()
        self._write(peer, peer.sock)
        self._bound_memory(peer.port)

    def _write(self, peer: Peer, _sock: socket.socket) -> None:
        if peer not in peer.port.reading:
            return
        try:
            is_sent = peer.send_answer()
        except OSError:
            self._end(peer)
            return
        if is_sent:
            peer.port.release(peer)
            self._forget(peer)
            self._after_answer(peer)

    def _await_next(self, peer: Peer) -> None:
        peer.sock.settimeout(0)
        rest = peer.expect_request(seconds=self.cfg.keepalive if self.alive else PARTING_SECONDS)
        self._listen_to(peer)
        if rest:
            self._take(peer, rest)

    def _refuse(self, peer: Peer, refusal: RefusedRequest) -> None:
        self.log.debug("Refused a request: %s", refusal.problem_code)
        self._forget(peer)
        self._send(peer, refusal_bytes(refusal))
        self._part(peer)

    def _send(self, peer: Peer, answer: bytes) -> None:
        """Send a few bytes. They fit into the send buffer of every peer that reads at all."""
        with suppress(OSError):
            peer.sock.send(answer)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:  # noqa: ARG002  gthread's signature
        """Answer an error with a problem. gthread calls this in a thread, before any answer."""
        refusal = refusal_of(exc)
        if refusal.status >= 500:
            self.log.error("Error handling request %s", getattr(req, "path", ""), exc_info=exc)
        with suppress(OSError):
            client.sendall(refusal_bytes(refusal))

    # What ends

    def _part(self, peer: Peer) -> None:
        """Close in stages (RFC 9112, section 9.6): the peer has PARTING_SECONDS to read the answer. Never blocks."""
        peer.port.release(peer)
        try:
            peer.sock.shutdown(socket.SHUT_WR)
            peer.sock.settimeout(0)
            self.poller.register(peer.sock, selectors.EVENT_READ, partial(self._pass_over, peer))
        except OSError:
            self._close(peer)
        else:
            peer.port.parting[peer] = None
            peer.timeout = time.monotonic() + PARTING_SECONDS

    def _pass_over(self, peer: Peer, _sock: socket.socket) -> None:
        if peer not in peer.port.parting:
            return
        try:
            is_open = bool(peer.sock.recv(READ_BYTES))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            is_open = False
        if not is_open:
            self._end(peer)

    def _end(self, peer: Peer) -> None:
        """Close at once, without an answer."""
        self._forget(peer)
        self._close(peer)

    def _forget(self, peer: Peer) -> None:
        for peers in (peer.port.waiting, peer.port.reading, peer.port.parting):
            peers.pop(peer, None)
        with suppress(KeyError, ValueError, OSError):
            self.poller.unregister(peer.sock)

    def _close(self, peer: Peer) -> None:
        peer.port.release(peer)
        self._count_out(peer)
        with suppress(OSError):
            peer.sock.close()

    def _count_out(self, peer: Peer) -> None:
        self.nr_conns -= 1
        peer.port.peers -= 1

    # Limits

    def _make_room(self, port: ServedPort) -> bool:
        """End one connection. Returns False when threads are at work for all of them."""
        for peers in (port.parting, port.waiting, port.reading):
            if peers:
                self._end(next(iter(peers)))
                return True
        return False

    def _bound_memory(self, port: ServedPort) -> None:
        while port.held_bytes > port.most_bytes and (peer := port.hoarder()):
            if peer in port.waiting:
                self._refuse(peer, server_full("Too many large requests come in at once."))
            else:
                self._end(peer)

    def murder_pending(self) -> None:
        """End peers that are too slow. gthread's loop calls this in every turn."""
        now = time.monotonic()
        if now < self._swept_at + SWEEP_SECONDS:
            return
        self._swept_at = now
        for port in self.ports:
            for peer in port.late(now):
                self._end_late(peer)

    def _end_late(self, peer: Peer) -> None:
        if peer not in peer.port.waiting or not peer.reader.has_begun:
            self._end(peer)
        elif peer.reader.has_head:
            self._refuse(peer, request_too_slow("The body came in too slowly."))
        else:
            self._refuse(peer, request_too_slow(f"The headers did not come in within {HEAD_SECONDS:.0f} s."))

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002  gthread's signature
        """End all peers. gthread's loop calls this with `force` when it ends."""
        if force:
            for port in self.ports:
                for peer in [*port.waiting, *port.reading, *port.parting]:
                    self._end(peer)

    def _cap_keepalive(self, deadline: float) -> None:
        """Shorten all time-outs. gthread's loop calls this when it begins to stop. Begun requests get longer."""
        for port in self.ports:
            for peer in port.waiting:
                until = time.monotonic() + STOPPING_SECONDS if peer.reader.has_begun else deadline
                peer.timeout = min(peer.timeout, until)
