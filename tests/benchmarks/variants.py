"""Our own app with one part left out: what that part is worth, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from flask import Flask

from functions.app import create_app
from functions.runtime.callback_batching import CallbackBatcher
from functions.runtime.database import Database
from functions.runtime.log_notifier import LogNotifier
from functions.runtime.process import ApiProcess, resident_process
from functions.runtime.settings import ApiSettings, read_settings
from handlers.callbacks.append_only import AppendOnlyCall, receive_append_only_calls
from schema.executor_api import CallbackAnswer


def without_hints() -> Flask:
    """Appends wake the readers of this process only."""

    def forget(_watch: LogNotifier) -> dict[object, int]:
        return {}

    LogNotifier._take_hints = forget  # type: ignore[assignment,method-assign]
    return create_app(read_settings())


def one_transaction_a_request() -> Flask:
    """The route as it is for calls with effects, for all calls."""
    settings = read_settings()
    return create_app(settings, process=replace(resident_process(settings), callback_batcher=_Nobody()))


def one_call_a_statement() -> Flask:
    """The short way, but each request with a statement and a connection of its own."""
    settings = read_settings()
    process: ApiProcess = resident_process(settings)
    return create_app(settings, process=replace(process, callback_batcher=_Single(process.callbacks, settings)))


class _Nobody(CallbackBatcher):
    def __init__(self) -> None:
        super().__init__(lambda _calls: {})

    def receive(self, call: AppendOnlyCall) -> CallbackAnswer | None:  # noqa: ARG002
        return None


class _Single(CallbackBatcher):
    def __init__(self, database: Database, settings: ApiSettings) -> None:
        super().__init__(lambda _calls: {})
        self._database = database
        self._lease_seconds = settings.run_lease_seconds

    def receive(self, call: AppendOnlyCall) -> CallbackAnswer | None:
        store = partial(receive_append_only_calls, calls=[call], lease_seconds=self._lease_seconds)
        return self._database.call_alone(store).get(call.run_id)
