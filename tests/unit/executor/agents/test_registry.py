"""providers.toml: what is right is resolved, what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.agents.declared import declare
from executor.agents.provider import Counts, Provider
from executor.agents.registry import BadRegistry, load_registry

ROOT = Path(__file__).parents[4]


def load(folder: Path, text: str, **environment: str) -> dict[str, Provider]:
    file = folder / "providers.toml"
    file.write_text(text, encoding="utf-8")
    return dict(load_registry(file, agents_dir=folder / "agents", environment=environment).providers)


def fault(folder: Path, text: str) -> str:
    with pytest.raises(BadRegistry) as caught:
        load(folder, text)
    return caught.value.detail.removeprefix(str(folder))


def test_the_shipped_file_has_the_four_providers() -> None:
    registry = load_registry(ROOT / "providers.toml", agents_dir=Path("agents"), environment={})

    assert list(registry.providers) == ["claude-code", "codex", "opencode", "demo"]
    found = registry.find("codex-cli")
    assert found
    assert found.name == "codex"
    assert registry.find("nobody") is None


def test_two_lines_make_a_provider(tmp_path: Path) -> None:
    provider = load(tmp_path, '[providers.mine]\ncommand = "my-agent"\n')["mine"]

    assert (provider.title, provider.command, provider.dialect) == ("mine", "my-agent", "acp")
    assert (provider.mode, provider.options) == ("ask", ())


def test_variables_come_from_three_places(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    text = """[providers.a]
command = "x"
[providers.a.environment]
LITERAL = { value = "as it is" }
GIVEN = { from_env = "THEIR_KEY" }
UNSET = { from_env = "NOT_THERE" }
FILED = { secret_file = "key" }
LOST = { secret_file = "no-such-file" }
"""
    variables = load(tmp_path, text, THEIR_KEY="from outside")["a"].environment

    read = {one.name: (one.read(), one.secret) for one in variables}
    assert read == {
        "LITERAL": ("as it is", False),
        "GIVEN": ("from outside", True),
        "UNSET": (None, True),
        "FILED": ("from the file", True),
        "LOST": (None, True),
    }


@pytest.mark.parametrize(
    "value, said, expected",
    [
        ("https://gateway.example/v1", "", False),
        ("HTTP://127.0.0.1:1234/v1", "", False),
        ("xxxxxxxxxxxx", "", False),
        ("https://user:sesame@gateway.example", "", True),
        ("https://token@gateway.example", "", True),
        ("https://gateway.example/v1?key=sesame", "", True),
        ("https://[gateway", "", True),
        ("https:sk-abcdefgh", "", True),
        ("sk-abcdefgh", "", True),
        ("https://hooks.example/T0/B0/key", ", secret = true", True),
        ("sk-abcdefgh", ", secret = false", False),
    ],
)
def test_an_address_or_a_filler_from_the_environment_is_no_secret_unless_it_is_said(
    tmp_path: Path,
    value: str,
    said: str,
    expected: bool,  # noqa: FBT001 - a case of the table
) -> None:
    text = f'[providers.a]\ncommand = "x"\nenvironment.K = {{ from_env = "K"{said} }}\n'

    assert load(tmp_path, text, K=value)["a"].secrets() == ([value] if expected else [])


def test_an_address_in_a_secret_file_or_among_the_secrets_of_apps_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("https://hooks.example/key")
    text = '[providers.a]\ncommand = "x"\nenvironment.K = { secret_file = "key" }\n[secrets.hook]\nfrom_env = "HOOK"\n'

    secrets = load(tmp_path, text, HOOK="https://hooks.example/of-app")["a"].secrets()

    assert secrets == ["https://hooks.example/key", "https://hooks.example/of-app"]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    text = '[providers.a]\ncommand = "x"\nenvironment.K = { from_env = "K" }\n'

    assert "sesame" not in repr(load(tmp_path, text, K="open sesame")["a"])


@pytest.mark.parametrize(
    "text, expected",
    [
        ('[providers.a]\ncommand = "x"\nwhat = 1\n', "/providers.toml:3: providers.a.what: Extra inputs"),
        ('[providers.a]\ntitle = "x"\n', "/providers.toml:1: providers.a.command: Field required"),
        (
            '[providers.a]\ncommand = "x"\n\n[providers.b]\ncommand = "y"\nmode = "maybe"\n',
            "/providers.toml:6: providers.b.mode: Input should be 'auto' or 'ask'",
        ),
        (
            '[providers.a]\ncommand = "x"\n[providers.a.environment]\nK = { value = "1", from_env = "K" }\n',
            "/providers.toml:4: providers.a.environment.K: needs exactly one of value, from_env, secret_file",
        ),
        (
            '[providers.a]\ncommand = "x"\n[[providers.a.files]]\npath = "../x"\ncontent = ""\n',
            "/providers.toml:4: providers.a.files.0.path: must be a path inside the agent's home",
        ),
        (
            '[providers.a]\ncommand = "x"\naliases = ["b"]\n[providers.b]\ncommand = "y"\n',
            "the alias 'b' of 'a' is taken",
        ),
        ("[providers.a\n", "/providers.toml: Expected ']'"),
        ("", "providers: Field required"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in fault(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRegistry) as caught:
        load_registry(tmp_path / "none.toml", agents_dir=tmp_path, environment={})
    assert "none.toml" in caught.value.detail


def test_a_missing_program_is_declared(tmp_path: Path) -> None:
    provider = load(tmp_path, '[providers.a]\ncommand = "no-such-program"\n')["a"]

    declared = declare(provider)

    assert not declared.ready
    assert declared.reason == "The program 'no-such-program' is not installed. Install it on the worker."
    assert (declared.reason_code, declared.reason_values) == ("program_missing", {"program": "no-such-program"})


def test_a_missing_login_is_declared(tmp_path: Path) -> None:
    text = '[providers.a]\ncommand = "sh"\nlogin = ["KEY"]\nenvironment.KEY = { from_env = "KEY" }\n'

    without = declare(load(tmp_path, text, PATH="/bin:/usr/bin")["a"])
    with_key = declare(load(tmp_path, text, PATH="/bin:/usr/bin", KEY="k")["a"])

    assert (without.ready, with_key.ready) == (False, True)
    assert "KEY" in (without.reason or "")
    assert (without.reason_code, without.reason_values) == ("login_missing", {"variables": "KEY"})
    assert (with_key.reason_code, with_key.reason_values) == (None, {})


def test_the_demo_is_always_ready() -> None:
    registry = load_registry(ROOT / "providers.toml", agents_dir=Path("agents"), environment={})

    declared = {name: declare(one) for name, one in registry.providers.items()}

    assert declared["demo"].ready
    assert not declared["codex"].ready
    assert declared["claude-code"].version
    assert all(one.capabilities["humanLoop"] for one in declared.values())


def test_a_provider_declares_the_models_that_its_entry_names(tmp_path: Path) -> None:
    text = """[providers.a]
command = "x"
model = "small"
dialect = "codex"
[[providers.a.models]]
id = "big"
title = "Big"
context_size = 200000
[providers.a.prices]
version = "1"
[providers.a.prices.models.big]
input = 1
output = 1
[providers.a.prices.models.tiny]
input = 1
output = 1
"""
    declared = declare(load(tmp_path, text)["a"])
    models = [(model.id, model.title, model.context_size) for model in declared.models]
    assert models == [("big", "Big", 200000), ("small", "small", None), ("tiny", "tiny", None)]
    assert declared.sandboxes == ["read-only", "workspace-write", "danger-full-access"]


def test_a_byte_order_mark_is_no_part_of_the_file_or_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfsk-0123456789\r\n")
    text = '\ufeff[providers.a]\ncommand = "a"\n[providers.a.environment]\nK = { secret_file = "key" }\n'

    [variable] = load(tmp_path, text)["a"].environment

    assert variable.read() == "sk-0123456789"


def test_what_an_agents_numbers_cover_is_read(tmp_path: Path) -> None:
    told = load(tmp_path, '[providers.a]\ncommand = "a"\ncounts = { tokens = "session", cost = "process" }\n')["a"]
    untold = load(tmp_path, '[providers.a]\ncommand = "a"\n')["a"]

    assert (told.counts, untold.counts) == (Counts(tokens="session", cost="process"), Counts())


def test_secrets_of_apps_are_known_to_every_provider_and_are_never_plain(tmp_path: Path) -> None:
    text = '[providers.a]\ncommand = "x"\n[secrets.tracker]\nfrom_env = "TRACKER_TOKEN"\n'
    provider = load(tmp_path, text, TRACKER_TOKEN="a-long-secret-value")["a"]

    assert provider.app_secrets["tracker"].read() == "a-long-secret-value"
    assert "a-long-secret-value" in provider.secrets()
    assert "a-long-secret-value" not in repr(provider)
    for entry in ('value = "plain"', 'from_env = "X"\nsecret = false'):
        assert "is always a secret" in fault(tmp_path, f'[providers.a]\ncommand = "x"\n[secrets.s]\n{entry}\n')
