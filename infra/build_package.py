# ruff: noqa: INP001  # A script beside the templates, no package.
"""Build what is deployed: the app with the packages that it needs, in a folder or a zip file.

    python3 infra/build_package.py [--zip app.zip]

Nothing is built in Azure: what was tested is what runs. Any Python 3.11 or newer can run this
script. But the packages are picked by the Python version of Azure: it has to be on this machine, or
uv, which gets it.
"""

import argparse
import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / ".local" / "functionapp"
_PACKAGES = Path(".python_packages", "lib", "site-packages")
_FILES = ("function_app.py", "host.json", "requirements.txt")
# The oldest Linux that wheels may be for; Flex Consumption's is newer.
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_TIME = (1980, 1, 1, 0, 0, 0)


def what_ships(project: Path = PROJECT) -> list[str]:
    """Return what the app consists of: what is named here, and the folders that it imports."""
    imported = {
        node.module.partition(".")[0]
        for node in ast.walk(ast.parse((project / "function_app.py").read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    folders = {name for name in imported | {"shared"} if (project / name).is_dir()}
    return sorted({*_FILES, *folders})


def python_in_azure(project: Path = PROJECT) -> str:
    """Return the version of Python that the app is deployed on."""
    found = re.search(
        r"^var pythonVersion = '(.+)'$", (project / "infra/main.bicep").read_text(), re.MULTILINE
    )
    if found is None:
        raise SystemExit("infra/main.bicep does not say pythonVersion.")
    return found[1]


def copy_app(target: Path, project: Path = PROJECT) -> None:
    """Make the target anew, with the app in it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in what_ships(project):
        source = project / name
        if source.is_dir():
            shutil.copytree(
                source, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
            )
        else:
            shutil.copy(source, target / name)


def find_python(version: str) -> list[str]:
    """Return the command of a Python of this version that has pip."""
    candidates = [
        [f"python{version}"],
        ["py", f"-{version}"],
        ["uv", "run", "--no-project", "--python", version, "--with", "pip", "python"],
    ]
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        candidates.insert(0, [sys.executable])
    for command in candidates:
        if shutil.which(command[0]):
            pip = [*command, "-m", "pip", "--version"]
            found = subprocess.run(pip, capture_output=True, check=False)  # noqa: S603  # from above
            if found.returncode == 0:
                return command
    raise SystemExit(
        f"The app runs on Python {version}, and only that Python can pick its packages. Install "
        f"Python {version}, or uv, which gets it: https://docs.astral.sh/uv/"
    )


def install_packages(target: Path, python: list[str]) -> None:
    """Install the packages for the Linux of Azure."""
    platforms = [option for each in _PLATFORMS for option in ("--platform", each)]
    subprocess.run(  # noqa: S603  # pip, with arguments of our own
        [
            *(*python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--requirement", target / "requirements.txt", "--target", target / _PACKAGES),
            *("--only-binary", ":all:", "--implementation", "cp", "--no-compile", *platforms),
        ],
        check=True,
    )
    # Commands, for the Python that installed them.
    shutil.rmtree(target / _PACKAGES / "bin", ignore_errors=True)


def zip_folder(folder: Path, target: Path) -> None:
    """Put a folder into a zip file, hidden files too; the same files make the same zip file."""
    target.unlink(missing_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def main() -> None:
    """Build the package."""
    arguments = argparse.ArgumentParser(description="Build what is deployed.")
    arguments.add_argument("--zip", type=Path, help="the zip file to make of it")
    zip_file = arguments.parse_args().zip
    python = find_python(python_in_azure())
    copy_app(PACKAGE)
    install_packages(PACKAGE, python)
    if zip_file is not None:
        zip_folder(PACKAGE, zip_file)
    sys.stdout.write(f"Built {zip_file or PACKAGE}\n")


if __name__ == "__main__":
    main()
