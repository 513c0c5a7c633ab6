"""Every error that a caller can meet. `code` is stable and machine-readable; the message is a sentence for people.

The edge owns the only table from these classes to HTTP: functions/http/problems.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class RunyardError(Exception):
    """Something went wrong in Runyard."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str | None = None, *, code: str | None = None, **members: object) -> None:
        self.detail = detail or (self.__doc__ or "").strip().splitlines()[0]
        self.problem_code = code or self.code
        self.members = members
        super().__init__(self.detail)


class NotFound(RunyardError):
    """There is no such thing, or it is not yours to see."""

    code = "not_found"


class Conflict(RunyardError):
    """The request does not fit the present state."""

    code = "conflict"


class CapabilityMissing(Conflict):
    """The provider cannot do what the request asks for."""

    code = "capability_missing"


class StaleEpoch(Conflict):
    """The session's workspace has moved to another worker since."""

    code = "stale_epoch"


class WrongSession(Conflict):
    """This executor belongs to another session."""

    code = "wrong_session"


class StaleAttempt(Conflict):
    """A later attempt of this run has begun since."""

    code = "stale_attempt"


class StaleClaim(Conflict):
    """Another job has claimed this run since."""

    code = "stale_claim"


class EventGap(Conflict):
    """Events are missing before these; send again from `expected`."""

    code = "gap"


class EventNumberConflict(Conflict):
    """An event with this number was stored already with another id."""

    code = "n_conflict"


class AlreadyAnswered(Conflict):
    """Somebody has answered this request already."""

    code = "already_answered"


class IdempotencyKeyReused(Conflict):
    """This idempotency key was used before with another body."""

    code = "idempotency_key_reused"


class SessionBusy(Conflict):
    """The session has a live run and the request said `reject`."""

    code = "session_busy"


class NotQueued(Conflict):
    """The run is not in the queue, or not any more."""

    code = "not_queued"


class StaleRevision(Conflict):
    """The run has been edited since; `run` is how it is now."""

    code = "stale_revision"


class Invalid(RunyardError):
    """The request cannot be understood."""

    code = "invalid"


class InvalidId(Invalid):
    """An id of the request is not a UUID."""

    code = "invalid_id"


class WorkspaceRefused(Invalid):
    """The workspace is not, or cannot be made, what the app's runtime manifest says."""

    code = "workspace_refused"

    def __init__(self, detail: str | None = None, *, paths: Iterable[str] = ()) -> None:
        self.paths = list(paths)
        super().__init__(detail, ok=False, reason=self.code, paths=self.paths)


class PathOutsideWorkspace(WorkspaceRefused):
    """A path must lie below /workspace or /agent, without `..` and without a link that leads out."""

    code = "path_outside_workspace"


class RequiredPathsMissing(WorkspaceRefused):
    """The workspace lacks paths that the app requires."""

    code = "required_paths_missing"


class RuntimeVersionMismatch(WorkspaceRefused):
    """The app is made for another version of the executor."""

    code = "runtime_version_mismatch"


class SeedConflict(WorkspaceRefused):
    """The session and the app's seeds have different things at the same path."""

    code = "seed_conflict"


class TooLarge(RunyardError):
    """The request is larger than the limit."""

    code = "too_large"


class Unauthenticated(RunyardError):
    """Sign in, or send a valid bearer token."""

    code = "unauthenticated"


class BadSignature(Unauthenticated):
    """The callback's signature is missing or wrong, or five minutes away from our time: compare the clocks."""

    code = "bad_signature"


class Forbidden(RunyardError):
    """You are signed in but may not do this."""

    code = "forbidden"


class Unavailable(RunyardError):
    """Runyard cannot do this right now; try again shortly."""

    code = "unavailable"
