"""Imports point one way: folders of functions -> shared; import-linter holds what is in shared."""

from pathlib import Path

import grimp
import pytest

PROJECT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent.name for path in PROJECT.glob("*/triggers.py"))


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("shared", "local", *FOLDERS, cache_dir=None)


def test_folders_of_functions_import_shared_and_never_each_other(imports):
    layers = [{"local"}, set(FOLDERS), {"shared"}]

    assert imports.find_illegal_dependencies_for_layers(layers) == set()


def test_a_trigger_imports_a_service_and_a_service_a_request(imports):
    layers = ["triggers", "service", "request"]

    assert imports.find_illegal_dependencies_for_layers(layers, containers=set(FOLDERS)) == set()
