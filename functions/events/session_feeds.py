"""Bring sessions' logs to the hub's peers: each session is read once for all that are at its end.

A peer that is behind, or whose buffer is full, is read apart at its own pace, so it never holds up the others. The
hub's thread keeps the order; small pools of threads read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import structlog
from psycopg import OperationalError

from functions.events.fair_readers import FairReaders
from functions.events.pages import PAGE, FramePage, read_page
from functions.runtime.database import Database
from functions.runtime.log_notifier import KnownHead, LogNotifier
from functions.runtime.socket_hub import FAILED, SocketHub
from functions.runtime.socket_peer import SocketPeer
from handlers.event_log import FEW_EVENTS

READERS, READERS_BEHIND, BEHIND_OF_A_USER = 4, 4, 3
RETRY_SECONDS = 1.0
Asked = tuple[UUID, UUID, int, int]
"""User, session, cursor and limit of a page that is being read apart."""

_log = structlog.get_logger("functions.events.session_feeds")


@dataclass(eq=False)
class Feed:
    """A session's log while it has subscriptions. `read` is how far it was read, `delivered` how far the hub is.

    The notifier wakes it by `set()`. `is_reading` until the page that was read is delivered.
    """

    feeds: SessionFeeds
    session_id: UUID
    read: int
    delivered: int
    head: KnownHead = field(init=False)
    listening: AbstractContextManager[KnownHead] = field(init=False)
    subscriptions: set[Subscription] = field(default_factory=set)
    live: set[Subscription] = field(default_factory=set)
    limit: int = PAGE
    is_reading: bool = False
    is_woken: bool = False

    def set(self) -> None:
        if self.head.seq > self.read:
            self.feeds.wake(self)


@dataclass(eq=False, slots=True)
class Subscription:
    """A peer's reading of a session's log: a LogCursor. It is live in its feed, or read apart."""

    feed: Feed
    peer: SocketPeer
    user_id: UUID
    queued: int
    sent: int
    limit: int = PAGE
    is_reading: bool = False
    is_over: bool = False


class SessionFeeds:
    """The feeds. `subscribe` and `end` are called in the hub's thread."""

    def __init__(self, hub: SocketHub, database: Database, notifier: LogNotifier) -> None:
        self._hub = hub
        self._database = database
        self._notifier = notifier
        self._feeds: dict[UUID, Feed] = {}
        self._asked: dict[Asked, list[Subscription]] = {}
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="feed")
        self._readers_behind = FairReaders(READERS_BEHIND, each=BEHIND_OF_A_USER, name="feed-behind")

    def stop(self) -> None:
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._readers_behind.stop()

    def apart(self, user_id: UUID, do: Callable[[], None]) -> None:
        """Do for the user, in a reading thread, what the hub must not wait for."""
        self._readers_behind.submit(user_id, do)

    def subscribe(
        self, peer: SocketPeer, session_id: UUID, *, user_id: UUID, after: int, last_seq: int
    ) -> Subscription:
        """Send the peer every event after the cursor, once and in order. The log ends at `last_seq` or later."""
        feed = self._feeds.get(session_id) or self._begin(session_id, last_seq)
        subscription = Subscription(feed, peer, user_id, queued=after, sent=after)
        feed.subscriptions.add(subscription)
        self._go_on(subscription)
        return subscription

    def end(self, subscription: Subscription) -> None:
        feed = subscription.feed
        subscription.is_over = True
        feed.live.discard(subscription)
        feed.subscriptions.discard(subscription)
        if not feed.subscriptions and self._feeds.get(feed.session_id) is feed:
            del self._feeds[feed.session_id]
            feed.listening.__exit__(None, None, None)

    def go_on(self, subscription: Subscription) -> None:
        """The peer has room again."""
        if subscription not in subscription.feed.live:
            self._go_on(subscription)

    def _begin(self, session_id: UUID, last_seq: int) -> Feed:
        feed = Feed(self, session_id, read=last_seq, delivered=last_seq)
        feed.listening = self._notifier.listening(session_id, feed)
        feed.head = feed.listening.__enter__()
        self._feeds[session_id] = feed
        self.wake(feed)  # the log may have grown before it was listened to
        return feed

    # A feed, for all that are at its end

    def wake(self, feed: Feed) -> None:
        """Read the feed. Any thread may call this; one reads at a time."""
        with self._lock:
            feed.is_woken = feed.is_reading
            if feed.is_reading:
                return
            feed.is_reading = True
        try:
            self._readers.submit(self._read, feed)
        except RuntimeError:  # the process stops
            return

    def _read(self, feed: Feed) -> None:
        try:
            is_little = feed.head.seq - feed.read < FEW_EVENTS
            limit = FEW_EVENTS if is_little else feed.limit
            page = read_page(self._database, feed.session_id, after=feed.read, limit=limit)
        except Exception as error:  # noqa: BLE001  the outermost loop of a reader: it is told and retried
            _tell(error)
            self._hub.call(lambda: self._hub.later(RETRY_SECONDS, partial(self._done, feed, again=True)))
            return
        if not page.written.json:
            self._done(feed, again=False)
            return
        feed.read, feed.limit = page.last_seq, page.next_limit
        self._hub.call(partial(self._deliver, feed, page))

    def _done(self, feed: Feed, *, again: bool) -> None:
        with self._lock:
            feed.is_reading = False
            again = again or feed.is_woken
        if again and self._feeds.get(feed.session_id) is feed:
            self.wake(feed)

    def _deliver(self, feed: Feed, page: FramePage) -> None:
        feed.delivered = page.last_seq
        for subscription in list(feed.live):
            self._hub.guard(subscription.peer, lambda _, reader=subscription: self._give_live(reader, page))  # type: ignore[misc]
        self._done(feed, again=page.is_full or feed.head.seq > feed.read)

    def _give_live(self, subscription: Subscription, page: FramePage) -> None:
        if subscription.peer.has_space_for(page.size):
            self._give(subscription, page)
        else:
            subscription.feed.live.discard(subscription)
            self._go_on(subscription)

    def _give(self, subscription: Subscription, page: FramePage) -> None:
        if page.last_seq <= subscription.queued:
            return
        for piece in page.pieces_after(subscription.queued):
            self._hub.send(subscription.peer, piece.frames, subscription, piece.last_seq)

    # A subscription that is behind

    def _go_on(self, subscription: Subscription) -> None:
        """Join the feed's end, or read on when the peer has room."""
        if subscription.is_over or subscription.is_reading:
            return
        if subscription.queued >= subscription.feed.delivered:
            subscription.feed.live.add(subscription)
        elif not subscription.peer.has_room:
            subscription.peer.waits_for_room = True
        else:
            self._ask(subscription)

    def _ask(self, subscription: Subscription) -> None:
        """Read a page. Other readers of the same user who ask for it meanwhile get it too."""
        subscription.is_reading = True
        key = (subscription.user_id, subscription.feed.session_id, subscription.queued, subscription.limit)
        asking = self._asked.setdefault(key, [])
        asking.append(subscription)
        if len(asking) == 1:
            self._readers_behind.submit(subscription.user_id, partial(self._read_apart, key))

    def _read_apart(self, key: Asked) -> None:
        _, session_id, after, limit = key
        try:
            page = read_page(self._database, session_id, after=after, limit=limit)
        except OperationalError as error:
            _tell(error)
            self._hub.call(lambda: self._hub.later(RETRY_SECONDS, partial(self._answer, key, None)))
        except Exception as error:  # noqa: BLE001  the outermost loop of a reader
            _tell(error)
            self._hub.call(partial(self._fail, key))
        else:
            self._hub.call(partial(self._answer, key, page))

    def _answer(self, key: Asked, page: FramePage | None) -> None:
        for subscription in self._asked.pop(key):
            self._hub.guard(subscription.peer, lambda _, reader=subscription: self._give_apart(reader, page))  # type: ignore[misc]

    def _give_apart(self, subscription: Subscription, page: FramePage | None) -> None:
        subscription.is_reading = False
        if page is not None and not subscription.is_over:
            subscription.limit = page.next_limit
            self._give(subscription, page)
        self._go_on(subscription)

    def _fail(self, key: Asked) -> None:
        for subscription in self._asked.pop(key):
            self._hub.close(subscription.peer, FAILED, "the log could not be read")


def _tell(error: Exception) -> None:
    if isinstance(error, OperationalError):
        _log.warning("the database did not answer a reader; retrying", reason=str(error).splitlines()[:1])
    else:
        _log.error("a log could not be read", exc_info=error)
