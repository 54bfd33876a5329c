"""How the programs that `npm ci` put into `node_modules` are started."""

from pathlib import Path

from local.processes import ProcessError

FOLDER = Path(__file__).parent


def node_command(script: str, *, preload: Path | None = None) -> list[str]:
    """Make a command of a script in `node_modules`, which ends when we are gone."""
    path = FOLDER / "node_modules" / script
    if not path.exists():
        raise ProcessError(f"{path} is missing; `npm ci` in {FOLDER} installs it.")
    preloads = [FOLDER / "lifeline.cjs", *([preload] if preload else [])]
    return ["node", *(f"--require={preload}" for preload in preloads), str(path)]
