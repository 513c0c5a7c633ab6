"""The guards of the test run catch what they are there for: shown on small test runs of their own."""

from __future__ import annotations

import psutil
import pytest

from tests.structure.repository import ROOT

RUN = ("-p", "tests.guards", "-p", "no:cacheprovider")


@pytest.fixture(autouse=True)
def _guards_are_found(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("RUNYARD_TEST_NO_SKIPS", raising=False)
    pytester.makeini("[pytest]\nmarkers =")


def test_a_process_that_a_test_leaves_fails_the_run_and_is_ended(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import subprocess
        def test_leaves_one(tmp_path):
            process = subprocess.Popen(["sh", "-c", "sleep 98765 & echo $!"], stdout=subprocess.PIPE, text=True)
            open("pid", "w").write(process.stdout.readline())
            process.wait()
    """)
    result = pytester.runpytest_subprocess(*RUN)
    assert result.ret == 1
    assert "sleep 98765" in "\n".join(result.errlines + result.outlines)
    left = int((pytester.path / "pid").read_text())
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


def test_a_run_that_leaves_nothing_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import subprocess
        def test_ends_its_process():
            subprocess.run(["true"], check=True)
    """)
    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=1)


def test_a_call_beyond_loopback_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import socket
        def test_calls_out():
            try:
                socket.create_connection(("192.0.2.1", 80), timeout=1)
            except Exception:
                pass
        def test_calls_itself():
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname()).close()
    """)
    result = pytester.runpytest_subprocess(*RUN)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*CalledBeyondLoopback*192.0.2.1*"])


def test_a_skip_fails_where_none_is_allowed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile("""
        import pytest
        def test_skips():
            pytest.skip("no such server here")
    """)
    pytester.runpytest_subprocess(*RUN).assert_outcomes(skipped=1)
    monkeypatch.setenv("RUNYARD_TEST_NO_SKIPS", "1")
    result = pytester.runpytest_subprocess(*RUN)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no such server here*"])


def test_a_module_that_skips_itself_fails_where_none_is_allowed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("""
        import pytest
        pytest.skip("not on this system", allow_module_level=True)
    """)
    monkeypatch.setenv("RUNYARD_TEST_NO_SKIPS", "1")
    result = pytester.runpytest_subprocess(*RUN)
    result.assert_outcomes(errors=1)
