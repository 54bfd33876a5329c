"""`python -m local openapi`: writes openapi.yaml from the app's own functions and models.

With `--check` it writes nothing, and fails when the file is not what it would write.
"""

import argparse
import sys
from pathlib import Path

from local.environment import StartError

ROOT = Path(__file__).parents[1]
FILE = ROOT / "openapi.yaml"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its options."""
    parser = commands.add_parser(
        "openapi", help="write openapi.yaml from the code", description=__doc__
    )
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    parser.add_argument("--file", type=Path, default=FILE, help="another file than openapi.yaml")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    """Write the file, or check it; 0 when it is what the code says."""
    # Not at the top: what runs the host shall not import the app before its settings are there.
    from local.functions import load_functions
    from local.openapi_document import to_yaml

    file: Path = arguments.file
    try:
        text = to_yaml(load_functions(ROOT))
    except StartError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    if not arguments.check:
        file.write_text(text, encoding="utf-8")
        print(f"Wrote {file.name}.")
        return 0
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        print(f"{file.name} is what the code says.")
        return 0
    print(
        f"{file.name} is not what the code says; write it with `python -m local openapi`.",
        file=sys.stderr,
    )
    return 1
