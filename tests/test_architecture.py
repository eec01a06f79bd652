"""The shape of the code: who imports whom, what a module may do, how long it may be."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from dlparadox.digests import SOURCE, imported_modules

#: Each imports only from those before it; plotting and chapters are apart; press comes last.
ORDER = (
    "seeding", "files", "checkpoints", "digests", "data", "labels", "models", "training", "neighbours",
    "kernels", "ode", "expressivity", "leastsquares", "bounds", "memorization", "sweeps", "claims", "scaling",
    "ranking", "wording", "records", "parameters", "provenance", "chapters", "plotting", "press",
)  # fmt: skip
ALLOWED = {name: set(ORDER[: index + 1]) for index, name in enumerate(ORDER)}
ALLOWED["plotting"] = {"claims", "plotting"}

FILES = sorted(SOURCE.rglob("*.py"))
CORE = [path for path in FILES if "press" not in path.relative_to(SOURCE).parts and path != SOURCE / "__init__.py"]


def module(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(["dlparadox", *(part for part in parts if part != "__init__")])


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def test_every_module_has_its_place() -> None:
    assert {module(path).split(".")[1] for path in FILES if path != SOURCE / "__init__.py"} == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_modules_import_from_those_above_only(path: Path) -> None:
    imported = {found.split(".")[1] for found in imported_modules(path.read_text())}  # refuses the root, too
    if path == SOURCE / "__init__.py":
        assert not imported
    else:
        assert imported <= ALLOWED[module(path).split(".")[1]]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_are_absolute_and_spelled_out(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import escapes the digests"
            assert [alias.name for alias in node.names] != ["*"]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            assert ast.unparse(node.func) not in {"__import__", "importlib.import_module"}


GLOBAL_SETTINGS = {
    "torch.manual_seed",
    "torch.cuda.manual_seed_all",
    "torch.seed",
    "torch.set_rng_state",
    "torch.set_default_dtype",
    "torch.set_num_threads",
    "np.random.seed",
    "numpy.random.seed",
    "random.seed",
}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_seeds_or_configures_globally(path: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not calls & GLOBAL_SETTINGS


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_does_not_print(path: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not calls & {"print", "sys.stdout.write"}


@pytest.mark.parametrize("path", CORE, ids=name)
def test_random_numbers_come_from_a_named_generator(path: Path) -> None:
    draws = {"rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in draws:
            assert "generator" in {keyword.arg for keyword in node.keywords}, ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_short_and_say_what_they_are_for(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("path", CORE, ids=name)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            documentation = ast.get_docstring(node, clean=False)
            lines = (node.end_lineno or 0) - node.lineno + 1 - len((documentation or "").splitlines())
            assert lines <= 45, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", CORE, ids=name)
def test_public_names_are_listed_and_documented(path: Path) -> None:
    found = importlib.import_module(module(path))
    listed = getattr(found, "__all__", [])
    assert listed == sorted(listed, key=lambda item: (item != item.upper(), item[0].islower(), item))
    for public in listed:
        value = getattr(found, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            text = value.__doc__ or ""
            assert text.strip() and not text.startswith(f"{public}("), f"{public} has no docstring"


@pytest.mark.parametrize("path", CORE, ids=name)
def test_signatures_are_typed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [argument.arg for argument in arguments if not argument.annotation]
            assert set(bare) <= {"self", "cls"}, f"{node.name}: {bare}"
            assert node.returns is not None, f"{node.name} has no return type"


_IMPORTS = """
import importlib, random, sys
import numpy as np, torch
states = lambda: (
    torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate(),
    torch.get_default_dtype(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
)
before = states()
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert states() == before, name
assert not any(name.startswith("dlparadox.press") for name in sys.modules)
"""


def test_importing_the_core_changes_nothing_and_needs_no_press() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _IMPORTS, *map(module, CORE)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""


def test_the_plain_package_needs_none_of_the_tools_of_the_book() -> None:
    tools = (
        "jupytext",
        "papermill",
        "snakemake",
        "sphinx",
        "myst_nb",
        "nbformat",
        "pytest",
        "hypothesis",
        "yaml",
    )
    for path in CORE:
        tree = ast.parse(path.read_text())
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
        assert not {found.split(".")[0] for found in names} & set(tools), path
