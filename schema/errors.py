"""Define every error that a caller can meet. `code` is stable and machine-readable; the message is a sentence for
people.

functions/http/problems.py holds the only table from these classes to HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class RunyardError(Exception):
    """Runyard failed unexpectedly. Retry, and check its logs if this persists."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str | None = None, *, code: str | None = None, **members: object) -> None:
        self.detail = detail or (self.__doc__ or "").strip().splitlines()[0]
        self.problem_code = code or self.code
        self.members = members
        super().__init__(self.detail)


class NotFound(RunyardError):
    """The requested object does not exist, or you may not see it."""

    code = "not_found"


class Conflict(RunyardError):
    """The request conflicts with the current state. Read the state, then decide again."""

    code = "conflict"


class CapabilityMissing(Conflict):
    """The provider does not support what the request asks for."""

    code = "capability_missing"


class StaleEpoch(Conflict):
    """The session's workspace has moved to another worker."""

    code = "stale_epoch"


class WrongSession(Conflict):
    """This executor belongs to another session."""

    code = "wrong_session"


class StaleAttempt(Conflict):
    """A later attempt of this run has begun."""

    code = "stale_attempt"


class StaleClaim(Conflict):
    """Another job has claimed this run."""

    code = "stale_claim"


class EventGap(Conflict):
    """Earlier events are missing. Send again from `expected`."""

    code = "gap"


class EventNumberConflict(Conflict):
    """An event with this number is already stored under another id."""

    code = "n_conflict"


class AlreadyAnswered(Conflict):
    """This request already has an answer."""

    code = "already_answered"


class IdempotencyKeyReused(Conflict):
    """This idempotency key was used with another body. Send a new key."""

    code = "idempotency_key_reused"


class SessionBusy(Conflict):
    """The session has a live run, and the request asked to be rejected in that case. Retry when the run has ended."""

    code = "session_busy"


class NotQueued(Conflict):
    """The run is not in the queue (any more)."""

    code = "not_queued"


class StaleRevision(Conflict):
    """The run has been edited since this revision. `run` is its current state."""

    code = "stale_revision"


class Invalid(RunyardError):
    """The request is invalid."""

    code = "invalid"


class InvalidId(Invalid):
    """An id of the request is not a UUID."""

    code = "invalid_id"


class WorkspaceRefused(Invalid):
    """The workspace does not match the app's runtime manifest and cannot be made to match."""

    code = "workspace_refused"

    def __init__(self, detail: str | None = None, *, paths: Iterable[str] = ()) -> None:
        self.paths = list(paths)
        super().__init__(detail, ok=False, reason=self.code, paths=self.paths)


class PathOutsideWorkspace(WorkspaceRefused):
    """The path must be below /workspace or /agent, without `..` and without a link that leads outside."""

    code = "path_outside_workspace"


class RequiredPathsMissing(WorkspaceRefused):
    """The workspace lacks paths that the app requires."""

    code = "required_paths_missing"


class RuntimeVersionMismatch(WorkspaceRefused):
    """The app requires another version of the executor."""

    code = "runtime_version_mismatch"


class SeedConflict(WorkspaceRefused):
    """The session and one of the app's seeds have different content at the same path."""

    code = "seed_conflict"


class TooLarge(RunyardError):
    """The request is larger than the limit."""

    code = "too_large"


class Unauthenticated(RunyardError):
    """Sign in, or send a valid bearer token."""

    code = "unauthenticated"


class BadSignature(Unauthenticated):
    """The callback's signature is missing, invalid or over five minutes off. Check the key and both clocks."""

    code = "bad_signature"


class Forbidden(RunyardError):
    """You may not do this."""

    code = "forbidden"


class Unavailable(RunyardError):
    """Runyard cannot do this right now. Try again shortly."""

    code = "unavailable"
