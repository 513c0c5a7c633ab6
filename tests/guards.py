"""What every test run promises: nothing beyond loopback is called, no process is left, no skip goes unseen, and no test
leaves another working directory behind."""

from __future__ import annotations

import ipaddress
import os
import secrets
import sys
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

NO_SKIPS = "RUNYARD_TEST_NO_SKIPS"
MARK = "RUNYARD_TEST_RUN"
GRACE_SECONDS = 5.0

_mark = secrets.token_hex(8)


class CalledBeyondLoopback(BaseException):
    """A test reached for the network. Not an Exception, so that no retry of the code under test swallows it."""


def refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: sockets of this process reach loopback and local paths only."""
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        if isinstance(address, tuple) and not is_loopback(str(address[0])):
            raise CalledBeyondLoopback(f"{event} to {address!r}")


def is_loopback(host: str) -> bool:
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def pytest_configure(config: pytest.Config) -> None:
    if runs_tests(config):
        os.environ[MARK] = _mark
        sys.addaudithook(refuse_network)


def runs_tests(config: pytest.Config) -> bool:
    """False for the process that only hands tests to its workers."""
    return hasattr(config, "workerinput") or not config.getoption("numprocesses", default=None)


@pytest.fixture(autouse=True)
def same_working_directory() -> Generator[None]:
    """A test that changes the working directory, which all tests of its process share, changes it back."""
    before = Path.cwd()
    yield
    after = Path.cwd()
    os.chdir(before)
    assert after == before


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """After all fixtures are gone, no process that a test started is left."""
    result = yield
    if runs_tests(session.config):
        left = survivors()
        if left:
            pytest.exit(f"processes left by tests: {', '.join(left)}", returncode=1)
    return result


def survivors() -> list[str]:
    """Processes with the mark of this run that outlive a short grace; they are killed and described."""
    marked = [process for process in psutil.process_iter() if carries_mark(process)]
    _, left = psutil.wait_procs(marked, timeout=GRACE_SECONDS)
    descriptions = [describe(process) for process in left]
    for process in left:
        process.kill()
    return descriptions


def carries_mark(process: psutil.Process) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == _mark
    except psutil.Error:
        return False


def describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return str(process.pid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where a skip would hide that something was not tried, it is a failure with the reason of the skip."""
    if os.environ.get(NO_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped, although {NO_SKIPS} is set: {report.longrepr}"
