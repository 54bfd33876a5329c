"""The templates are Bicep, and fit together. The compiler checks the types, in CI."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import pytest

from tests.infra.bicep import BicepFile, Declared
from tests.infra.files import BICEP, INFRA, changed, parsed


def faults(texts: Mapping[str, str]) -> list[str]:
    return [f"{name}:{line}" for name, file in parsed(texts).items() for line in file.faults]


def loose_ends(texts: Mapping[str, str]) -> list[str]:
    """Return what is named in one file and is not in the other."""
    files = parsed(texts)
    return [*_unknown_modules(files), *_unknown_outputs(files), *_unknown_names(files)]


def _unknown_modules(files: Mapping[str, BicepFile]) -> Iterator[str]:
    used = {"main.bicep"}
    for name, file in files.items():
        for module in file.modules.values():
            path = str(PurePosixPath(name).parent / module.target)
            used.add(path)
            if path not in files:
                yield f"{name}: {module.name} is {path}, which does not exist"
                continue
            declared = files[path].parameters
            given = module.value.get("params", {})
            for parameter in given.keys() - declared.keys():
                yield f"{name}: {module.name} has no parameter {parameter}"
            for parameter in _required(declared) - given.keys():
                yield f"{name}: {module.name} wants the parameter {parameter}"
    for name in files.keys() - used:
        yield f"{name}: is no module of anything"


def _required(declared: Mapping[str, Declared]) -> set[str]:
    return {name for name, each in declared.items() if each.value is None}


def _unknown_outputs(files: Mapping[str, BicepFile]) -> Iterator[str]:
    used = set()
    for name, file in files.items():
        for module, output in re.findall(r"(\w+)!?\.outputs\.(\w+)", file.text):
            declared = file.modules.get(module)
            path = str(PurePosixPath(name).parent / declared.target) if declared else ""
            used.add((path, output))
            if path not in files or output not in files[path].outputs:
                yield f"{name}: {module} has no output {output}"
    for name in files.keys() - {"main.bicep"}:
        for output in files[name].outputs:
            if (name, output) not in used:
                yield f"{name}: the output {output} is not used"


def _unknown_names(files: Mapping[str, BicepFile]) -> Iterator[str]:
    for name, file in files.items():
        declared = {*file.parameters, *file.variables, *file.resources, *file.modules}
        for unknown in file.names - declared - file.local_names:
            yield f"{name}: {unknown} is nothing"
        for unused in {*file.parameters, *file.variables} - file.names:
            yield f"{name}: {unused} is not used"


def undocumented(texts: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: {parameter.name}"
        for name, file in parsed(texts).items()
        for parameter in file.parameters.values()
        if not parameter.decorators.get("description")
    ]


def test_each_file_is_bicep():
    assert len(BICEP) > 5
    assert faults(BICEP) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("main.bicep", "params: {", "params: "),
        ("modules/bot.bicep", "location: 'global'", "location: 'global"),
        ("modules/storage.bicep", "resource account ", "resorce account "),
    ],
)
def test_what_is_no_bicep_is_found(name, old, new):
    assert faults(changed(name, old, new)) != []


def test_modules_get_what_they_declare_and_give_what_is_used():
    assert loose_ends(BICEP) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("main.bicep", "tables: tables", "tabels: tables", "storage has no parameter tabels"),
        ("main.bicep", "tables: tables", "", "storage wants the parameter tables"),
        ("main.bicep", "modules/bot.bicep", "modules/bots.bicep", "modules/bots.bicep, which does"),
        ("main.bicep", "storage.outputs.name", "storage.outputs.id", "storage has no output id"),
        ("main.bicep", "tables: tables", "tables: tabels", "tabels is nothing"),
        ("main.bicep", "${suffix}", "${sufix}", "sufix is nothing"),
        ("main.bicep", "var queues = [", "var gone = 1\nvar queues = [", "gone is not used"),
        ("modules/bot.bicep", "output name", "output id string = bot.id\noutput name", "id is not"),
    ],
)
def test_what_does_not_fit_together_is_found(name, old, new, found):
    assert any(found in problem for problem in loose_ends(changed(name, old, new)))


def test_every_parameter_says_what_it_is_for():
    assert undocumented(BICEP) == []


def test_a_parameter_without_a_word_is_found():
    broken = changed("modules/bot.bicep", "@description('F0 or S1.')", "")

    assert undocumented(broken) == ["modules/bot.bicep: sku"]


def test_azd_fills_in_parameters_that_exist():
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    declared = parsed(BICEP)["main.bicep"].parameters

    assert given.keys() <= declared.keys()
    assert _required(declared) <= given.keys()


def test_files_that_are_loaded_exist():
    loaded = [
        (PurePosixPath(name).parent / path)
        for name, text in BICEP.items()
        for path in re.findall(r"loadTextContent\('(.+?)'\)", text)
    ]

    assert loaded
    assert all((INFRA / path).is_file() for path in loaded)
    json.loads((INFRA / "workbook.json").read_text())
