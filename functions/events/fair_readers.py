"""Read for users in turn: a user who asks for much waits for earlier readings of his own, and holds up nobody else."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

Reading = Callable[[], None]


class FairReaders:
    """A small pool of threads. It holds at most `each` readings of a user; the others of that user wait, in order."""

    def __init__(self, threads: int, *, each: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._each = each
        self._begun: Counter[UUID] = Counter()
        self._waiting: defaultdict[UUID, deque[Reading]] = defaultdict(deque)
        self._lock = threading.Lock()

    def submit(self, user_id: UUID, read: Reading) -> None:
        """Read in a thread of the pool, once it is the user's turn. Must not wait: the hub's thread calls it."""
        with self._lock:
            if self._begun[user_id] >= self._each:
                self._waiting[user_id].append(read)
                return
            self._begun[user_id] += 1
        self._begin(user_id, read)

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, user_id: UUID, read: Reading) -> None:
        try:
            self._pool.submit(self._run, user_id, read)
        except RuntimeError:  # the process stops
            return

    def _run(self, user_id: UUID, read: Reading) -> None:
        try:
            read()
        finally:
            self._go_on(user_id)

    def _go_on(self, user_id: UUID) -> None:
        with self._lock:
            if not self._waiting[user_id]:
                del self._waiting[user_id]
                self._begun[user_id] -= 1
                if not self._begun[user_id]:
                    del self._begun[user_id]
                return
            read = self._waiting[user_id].popleft()
        self._begin(user_id, read)
