"""`local/setup.sh`, in a folder that needs no packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.local.host_process import PROJECT

INSTALLING = "Installing the Python packages"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "local").mkdir()
    shutil.copy(PROJECT / "local/setup.sh", tmp_path / "local")
    # As if Node's part were done.
    for name in ("package.json", "package-lock.json"):
        (tmp_path / "local" / name).touch()
    (tmp_path / "local/node_modules").mkdir()
    made_from = subprocess.run(["cksum"], input=b"", capture_output=True, check=True).stdout
    (tmp_path / "local/node_modules/.made-from").write_bytes(b"from " + made_from)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).touch()
    return tmp_path


def begin(folder, **environment):
    # As a shell or an editor has it that has activated what is there.
    path = [str(folder / ".venv/bin"), os.environ["PATH"], str(Path(sys.base_prefix) / "bin")]
    return subprocess.Popen(
        ["bash", "local/setup.sh"],
        cwd=folder,
        env={**os.environ, "PYTHON": "", "PATH": ":".join(path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def is_whole(folder):
    """Whether what was made has its own pip."""
    command = [folder / ".venv/bin/python", "-m", "pip", "--version"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_two_at_once_install_once_and_an_active_venv_is_not_made_from_itself(folder):
    # One that was made from something else.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)

    both = [begin(folder) for _ in range(2)]
    said = [each.communicate()[0] for each in both]

    assert [each.returncode for each in both] == [0, 0], said
    assert "".join(said).count(INSTALLING) == 1
    refused = begin(folder, PYTHON=str(folder / ".venv/bin/python"))
    assert "is in .venv, which is made from another one" in refused.communicate()[0]
    assert (refused.returncode, is_whole(folder)) == (1, True)
