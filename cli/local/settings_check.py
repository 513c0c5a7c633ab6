"""Check the settings of all parts before any of them starts: each part's own program reads them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from cli.local.data_dir import CLONE
from cli.local.own_secrets import hidden_names
from cli.local.supervisor import StartFailed
from schema.sealed_environment import sealed

API_CHECK = """
import sys
from functions.runtime.settings import read_settings
from schema.sealed_environment import CONTROL_PLANE_SECRETS, BadSecretFile, seal
from schema.settings import BadSetting
try:
    seal(CONTROL_PLANE_SECRETS)
    read_settings()
except (BadSecretFile, BadSetting) as error:
    sys.exit(error.detail)
"""
CHECKS = (("-c", API_CHECK), ("-m", "jobs", "check-settings"))
CHECK_SECONDS = 60


def check_settings(env: Mapping[str, str], *, has_trial_store: bool) -> None:
    """Raise StartFailed with a sentence for each bad setting. The trial store's own settings are made later."""
    given = {**env, "RUNYARD_WITHOUT_STORE": "1"} if has_trial_store else dict(env)
    with sealed(given, hidden_names(given)) as (env, descriptor):
        checks = [
            subprocess.Popen(
                [sys.executable, *arguments], cwd=CLONE, env=env, pass_fds=[descriptor], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
            for arguments in CHECKS
        ]  # fmt: skip
    said = [check.communicate(timeout=CHECK_SECONDS)[1].strip() for check in checks]
    bad = [words for check, words in zip(checks, said, strict=True) if check.returncode != 0]
    if bad:
        sentences = "\n".join(dict.fromkeys(line for words in bad for line in words.splitlines()))
        raise StartFailed(f"Nothing was started. Correct these settings, then try again:\n{sentences}")
