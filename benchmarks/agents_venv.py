"""The venv of the Microsoft 365 Agents SDK, made unless it was made from just these versions."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parent
_VENV = _FOLDER / ".venv-agents"
_REQUIREMENTS = _FOLDER / "requirements-agents.txt"


class NotInstalledError(Exception):
    """The SDK cannot be installed here, for a reason in one sentence."""


def agents_interpreter() -> Path:
    """Return the interpreter that has the SDK; raise NotInstalledError when it cannot be had."""
    interpreter = _VENV / "bin" / "python"
    made_from = _VENV / ".made-from"
    versions = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    wanted = f"{sys.executable} {_VENV} {versions}"
    if made_from.exists() and made_from.read_text() == wanted:
        return interpreter
    print("Installing the Agents SDK, to compare with ...", flush=True)
    shutil.rmtree(_VENV, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(_VENV))
    pip = [str(interpreter), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    _run(*pip, "-r", str(_REQUIREMENTS))
    # Written last: what was interrupted half-way has none.
    made_from.write_text(wanted)
    return interpreter


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or ["it failed silently"]
        raise NotInstalledError(f"The Agents SDK could not be installed: {lines[-1]}") from error
