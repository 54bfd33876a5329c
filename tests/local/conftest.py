import os
import sys

import pytest


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """The current folder of a command that changes the environment, which is undone."""
    environment, path = dict(os.environ), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
