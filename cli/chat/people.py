"""Say who an author of the log is: you, a user by name, a rule or a role."""

from __future__ import annotations

from uuid import UUID

from cli.chat.client import Api, ChatError

ITEMS = 100
SOMEONE_ELSE = "another user"


class People:
    """Learn names from the API when they are needed first: the caller's own, then those of a session's transcript."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._names: dict[str, str] = {}
        self._asked: set[UUID] = set()

    def name(self, author: str, session_id: UUID) -> str:
        """Return `you` or a user's name; SOMEONE_ELSE when the session's newest items name no such user."""
        kind, _, name = author.partition(":")
        if kind == "role":
            return f"any {name}"
        if kind != "user":
            return author.replace(":", " ")
        if name not in self._names and session_id not in self._asked:
            self._asked.add(session_id)
            self._learn(session_id)
        return self._names.get(name, SOMEONE_ELSE)

    def _learn(self, session_id: UUID) -> None:
        """Ask for the names. Without an answer they stay unknown: nobody's work depends on them."""
        try:
            me = self._api.send("GET", "/api/me", most_tries=1)["userId"]
            users = self._api.send("GET", f"/api/sessions/{session_id}/transcript?limit={ITEMS}", most_tries=1)["users"]
        except ChatError:
            return
        self._names |= {**users, me: "you"}
