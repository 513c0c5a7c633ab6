"""`python -m tests.probe [providers...]` (`make probe`): try each pinned version of an agent against the scripted
model, and write what was found into executor/agents/proved.json.

It needs the agents (`make agents`), no account and no network. Versions that are not pinned any more leave the file.
`--only CHECK` tries one thing and keeps what was found of the same version before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from executor.agents.declared import pinned_version
from executor.agents.proved import PROOFS, PROVED, proof_of, proofs
from executor.agents.provider import Provider
from schema.executor_api import Proved
from schema.logs import configure_logs
from tests.integration.executor.agents.turns import scripted_agent
from tests.model_server.starter import ModelServer, model_server
from tests.probe.checks import CHECKS, holds, silence

PROVIDERS = ("claude-code", "codex", "opencode")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.probe", description="Prove what the agents can do.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PROVIDERS)}; all by default")
    parser.add_argument("--only", choices=CHECKS, help="try this alone")
    arguments = parser.parse_args()
    names = arguments.names or PROVIDERS
    if unknown := set(names) - set(PROVIDERS):
        parser.error(f"no such agent: {', '.join(sorted(unknown))}")
    configure_logs("probe", level="WARNING")
    known = dict(proofs())
    with model_server() as model:
        for name in names:
            npm, found = probed(name, model, only=arguments.only)
            known[npm] = found
            PROVED.write_bytes(PROOFS.dump_json(known, indent=2, by_alias=True) + b"\n")
    return 0


def probed(name: str, model: ModelServer, *, only: str | None) -> tuple[str, dict[str, Proved]]:
    """The proof of the version that is pinned now. SystemExit when it does not even answer: that proves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        agent = scripted_agent(name, model, Path(folder))
    version = pinned_version(agent)
    assert agent.npm
    assert version
    print(f"{agent.title} {version}", flush=True)
    if (why := silence(agent, model)) is not None:
        raise SystemExit(f"It does not answer: {why}")
    found = {check: _told(check, agent, model) for check in ([only] if only else CHECKS)}
    before = proof_of(agent.npm, version) if only else None
    known = before.capabilities if before else {}
    return agent.npm, {version: Proved(at=datetime.now(UTC).replace(microsecond=0), capabilities={**known, **found})}


def _told(check: str, agent: Provider, model: ModelServer) -> bool:
    found = holds(check, agent, model)
    print(f"  {check}: {'yes' if found else 'no'}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
