"""`python -m tests.record_logs`: record the logs in portal/tests/logs anew, with what each folds to.

It starts Runyard with a scripted model, has each agent work, and reads the sessions' logs. The real agents must be
installed. `python -m tests.record_logs demo codex` records those alone; `--fold` only folds the logs that are there.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.acceptance.stack import running_stack
from tests.acceptance.talk import Talk
from tests.model_server.starter import model_server
from tests.record_logs.folded import write_folded, write_rows
from tests.record_logs.generated import generated_logs
from tests.record_logs.normalize import normalized
from tests.record_logs.scenes import AGENTS, SCENES, Recording
from tests.structure.repository import ROOT

FOLDER = ROOT / "portal/tests/logs"
GENERATED = ROOT / "portal/tests/generated_logs.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Record the logs that the fold of transcripts is tested with.")
    parser.add_argument("agents", nargs="*", help=f"of {', '.join(AGENTS)}; all by default")
    parser.add_argument("--fold", action="store_true", help="fold the recorded logs and record nothing")
    given = parser.parse_args()
    if not given.fold:
        record(given.agents or AGENTS)
    for log in sorted(FOLDER.glob("*.jsonl")):
        write_folded(log)
    write_rows(GENERATED, generated_logs())


def record(agents: list[str]) -> None:
    """Write a log for each agent and scene."""
    with (
        tempfile.TemporaryDirectory() as folder,
        model_server() as model,
        running_stack(Path(folder), model_url=model.url) as stack,
        Talk(stack.url, stack.token) as talk,
    ):
        for agent in agents:
            for name, scene in SCENES[agent].items():
                model.reset()
                events = scene(Recording(agent, talk, model, stack))
                lines = normalized(events, folder=folder, model_url=model.url, token=stack.token)
                (FOLDER / f"{agent}-{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
                print(f"{agent}-{name}: {len(lines)} events", flush=True)


if __name__ == "__main__":
    main()
