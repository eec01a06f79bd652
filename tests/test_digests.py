"""Digests of code: blind to comments, docstrings and layout, and to nothing else."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlparadox import digests
from dlparadox.digests import (
    RootImportError,
    chapter_digest,
    code_cells,
    imported_modules,
    normalized,
    text_digest,
    used_code,
)

CODE = '''
"""Module."""
import os  # the system


class Thing:
    """A thing."""

    size = 3

    def grow(self, by=1):
        """Grows."""
        return self.size + by
'''


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace('"""Module."""', '"""Another text."""'),
        CODE.replace('"""Module."""', ""),
        CODE.replace('    """A thing."""\n', ""),
        CODE.replace('        """Grows."""\n', ""),
        CODE.replace("  # the system", ""),
        CODE.replace("self.size + by", "(self.size\n                + by)"),
        CODE + "\n\n\n# the end\n",
    ],
)
def test_comments_docstrings_and_layout_do_not_matter(other: str) -> None:
    assert other != CODE and normalized(other) == normalized(CODE)


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("size = 3", "size = 4"),
        CODE.replace("size = 3", "size = 3.0"),
        CODE.replace("size = 3", "size = '3'"),
        CODE.replace("by=1", "by=2"),
        CODE.replace("self.size + by", "by + self.size"),
        CODE.replace("grow", "Grow"),
        CODE.replace("import os", "import sys as os"),
        CODE.replace("    size = 3", '    size = 3\n    """Not a docstring, but a statement."""'),
    ],
)
def test_code_matters(other: str) -> None:
    assert normalized(other) != normalized(CODE)


@given(st.lists(st.sampled_from(["x = 1", "# c", "", "if x:\n    y = 2", "%time z", "!ls", "f('%s')"]), max_size=8))
def test_normal_form_is_that_of_the_tree(lines: list[str]) -> None:
    source = "\n".join(lines)
    bare = "\n".join(line for line in lines if line and not line.startswith("#"))
    assert normalized(source) == normalized(bare)
    assert normalized(source) == normalized("\n\n" + source + "\n# end")


def test_the_normal_form_is_the_same_under_every_python() -> None:
    # Python 3.12 added type_params, Python 3.13 leaves empty fields out; old records must stay comparable.
    assert normalized("def f(x):\n    'doc'\n    return g()") == (
        "Module(body=[FunctionDef(name='f', args=arguments(posonlyargs=[], args=[arg(arg='x')], "
        "kwonlyargs=[], kw_defaults=[], defaults=[]), body=[Return(value=Call(func=Name(id='g', ctx=Load()), "
        "args=[], keywords=[]))], decorator_list=[])], type_ignores=[])"
    )
    assert normalized("class A: 'doc'") == (
        "Module(body=[ClassDef(name='A', bases=[], keywords=[], body=[], decorator_list=[])], type_ignores=[])"
    )


@pytest.mark.parametrize("place", ["", "x = 1\n"])
def test_magics_matter_wherever_they_stand(place: str) -> None:
    assert normalized(place + "%matplotlib inline") != normalized(place + "%matplotlib widget")
    assert normalized(place + "!pip install a") != normalized(place)
    assert imported_modules(place + "%load x\nfrom dlparadox.labels import INPUTS") == {"dlparadox.labels"}


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from dlparadox.training import fit", {"training"}),
        ("import dlparadox.training", {"training"}),
        ("import dlparadox.training as t, os", {"training"}),
        ("from dlparadox import training, labels as l", {"training", "labels"}),
        ("from dlparadox.bounds import rademacher", {"bounds.rademacher"}),
        ("from dlparadox.bounds.rademacher import massart_bound", {"bounds.rademacher"}),
        ("from dlparadox.data import load", {"data"}),
        ("from dlparadox.data import *", {"data"}),
        ("def f():\n    from dlparadox.models import mlp", {"models"}),
        ("import os, torch\nfrom dlparadoxical import x", set()),
        ("text = 'import dlparadox.training'", set()),
    ],
)
def test_imported_modules(source: str, modules: set[str]) -> None:
    assert imported_modules(source) == {f"dlparadox.{name}" for name in modules}


@pytest.mark.parametrize(
    "source",
    [
        "import dlparadox",
        "import dlparadox as d",
        "import os, dlparadox",
        "from dlparadox import __doc__",
        "from dlparadox import fit",
        "from dlparadox import training, fit",
        "from dlparadox import *",
        "def f():\n    import dlparadox",
    ],
)
def test_an_import_of_the_root_is_refused(source: str) -> None:
    with pytest.raises(RootImportError, match=r"imports the package root, .*import from a submodule, for example"):
        imported_modules(source)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    shutil.copytree(digests.SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def used(source: Path, module: str, name: str = "*") -> dict[str, str]:
    return used_code([(f"dlparadox.{module}", name)], source)


def test_digests_follow_imports(package: Path) -> None:
    assert set(used(package, "training")) == {"dlparadox.training", "dlparadox.files"}
    assert set(used(package, "training", "fit")) == {"dlparadox.training", "dlparadox.files"}
    assert set(used(package, "training", "accuracy")) == {"dlparadox.training"}
    assert "dlparadox.seeding" in used(package, "labels")
    assert {"dlparadox.data", "dlparadox.data.sets", "dlparadox.data.raw"} <= set(used(package, "data", "load"))


def test_a_digest_changes_with_the_module_alone(package: Path) -> None:
    before = used(package, "labels")
    assert list(before) == sorted(before)
    path = package / "seeding.py"
    path.write_text(path.read_text().replace("return ", "return None or "))
    after = used(package, "labels")
    assert {name for name in before if before[name] != after[name]} == {"dlparadox.seeding"}


def test_modules_that_import_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import dlparadox.b")
    (tmp_path / "b.py").write_text("import dlparadox.a")
    assert set(used(tmp_path, "a")) == {"dlparadox.a", "dlparadox.b"}


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no module 'dlparadox\.nothing' in"):
        used_code([("dlparadox.nothing", "*")])


MODULES = {
    "engine": """
'''Engine.'''
from math import cos, sin
from dlparadox.parts import bolt, nut as screw
from dlparadox import gears
__all__ = ["run"]
LIMIT = 3
OTHER = 4
SIZES: dict[str, int] = {}
def run(x):
    '''Run.'''
    return step(x) if x < LIMIT else screw(x)
def step(x):
    return Wheel(sin(x)).turn()
class Wheel:
    def turn(self):
        return local(self)
def local(wheel):
    from dlparadox.parts import washer
    return washer
def unused(x):
    return cos(OTHER) + bolt(x) + gears.big
def registry(function):
    SIZES[function.__name__] = 1
    return function
@registry
def registered():
    return hidden()
def hidden():
    return 5
print("at import", end="")
""",
    "parts": """
ODD = 7
def bolt(x):
    return ODD
def nut(x):
    return 2
washer = 1
STATE = {}
STATE['a'] = 1
""",
    "gears": """
big = 1
small = 2
if big:
    huge = 3
""",
}

#: Edit -> (module, old, new, the modules whose part in ``engine.run`` changes)
PARTS: dict[str, tuple[str, str, str, set[str]]] = {
    "a used function": ("engine", "step(x) if", "step(x + 1) if", {"engine"}),
    "a function used by a used one": ("engine", "Wheel(sin(x))", "Wheel(x)", {"engine"}),
    "a method of a used class": ("engine", "local(self)", "local(None)", {"engine"}),
    "a used constant": ("engine", "LIMIT = 3", "LIMIT = 5", {"engine"}),
    "where a used name comes from": ("engine", "from math import cos, sin", "from numpy import cos, sin", {"engine"}),
    "another name behind a used one": ("engine", "nut as screw", "bolt as screw", {"engine", "parts"}),
    "an unused function": ("engine", "cos(OTHER) +", "", set()),
    "an unused constant": ("engine", "OTHER = 4", "OTHER = 5", set()),
    "an unused import": ("engine", "import cos, sin", "import tan as cos, sin", set()),
    "a new function": ("engine", "LIMIT = 3", "LIMIT = 3\ndef new():\n    return 1", set()),
    "the list of public names": ("engine", '["run"]', '["run", "step"]', set()),
    "what runs at import": ("engine", '"at import"', '"at the import"', {"engine"}),
    "a decorator of the package": ("engine", "= 1\n    return function", "= 2\n    return function", {"engine"}),
    "a registered function": ("engine", "return hidden()", "return 1", {"engine"}),
    "what a registered function uses": ("engine", "return 5", "return 6", {"engine"}),
    "a name that is renamed at its import": ("parts", "return 2", "return 3", {"parts"}),
    "a name imported inside a function": ("parts", "washer = 1", "washer = 2", {"parts"}),
    "an unused name elsewhere": ("parts", "ODD = 7", "ODD = 8", set()),
    "an assignment into something": ("parts", "STATE['a'] = 1", "STATE['a'] = 2", {"parts"}),
    "what that assignment changes": ("parts", "STATE = {}", "STATE = {'b': 1}", {"parts"}),
    "a definition in a module imported for another": ("gears", "small = 2", "small = 3", set()),
    "a condition in a module imported for another": ("gears", "huge = 3", "huge = 4", {"gears"}),
}


@pytest.mark.parametrize(("module", "old", "new", "changed"), PARTS.values(), ids=PARTS)
def test_only_what_is_used_of_a_module_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str, changed: set[str]
) -> None:
    monkeypatch.setattr(digests, "SOURCE", tmp_path)  # where a name may turn out to be a submodule
    monkeypatch.setattr(digests._path, "__defaults__", (tmp_path,))
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    digests.imported_names.cache_clear()
    digests._statements.cache_clear()
    before = used(tmp_path, "engine", "run")
    path = tmp_path / f"{module}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    after = used(tmp_path, "engine", "run")
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert names == {f"dlparadox.{name}" for name in changed}
    digests.imported_names.cache_clear()
    digests._statements.cache_clear()


def test_a_name_that_no_definition_binds_counts_as_the_whole_module(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def known():\n    return 1\n")
    before = used(tmp_path, "a", "made_at_run_time")
    (tmp_path / "a.py").write_text("def known():\n    return 2\n")
    assert used(tmp_path, "a", "made_at_run_time") != before


def test_what_a_parent_package_runs_at_its_import_counts(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "__init__.py").write_text("import os\nos.environ['X'] = '1'\ndef f():\n    return 1\n")
    (tmp_path / "p" / "q.py").write_text("def g():\n    return 1\n")
    before = used(tmp_path, "p.q", "g")
    assert set(before) == {"dlparadox.p", "dlparadox.p.q"}
    path = tmp_path / "p" / "__init__.py"
    path.write_text(path.read_text().replace("return 1", "return 2"))
    assert used(tmp_path, "p.q", "g") == before
    path.write_text(path.read_text().replace("'1'", "'2'"))
    assert used(tmp_path, "p.q", "g").keys() == before.keys() and used(tmp_path, "p.q", "g") != before


CHAPTER = """
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

```{code-cell} ipython3
:tags: [parameters]

profile = "quick"
```

```{code-cell} ipython3
from dlparadox.chapters import open_chapter
from dlparadox.labels import corrupt_labels
value = 1
```

Prose.

```{code-cell} ipython3
:tags: [figure, hide-input]

from dlparadox.plotting import figure
color = "blue"
```
"""


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    path = tmp_path / "chapter.md"
    path.write_text(CHAPTER.lstrip())
    return path


def total(path: Path, source: Path, parameters: dict[str, object] | None = None, *, record: bool = False) -> str:
    digest = chapter_digest(path, parameters or {"profile": "quick"}, for_record=record, source=source)
    assert digest.keys() == {"total", "code", "parameters", "modules"}
    return str(digest["total"])


def test_code_cells_of_a_chapter(chapter: Path) -> None:
    assert [cell.source.splitlines()[0] for cell in code_cells(chapter)] == [
        'profile = "quick"',
        "from dlparadox.chapters import open_chapter",
        "from dlparadox.plotting import figure",
    ]


#: What changes -> (old, new, changes the digest of a run, changes the digest of a record)
EDITS = {
    "prose": ("Prose.", "Other prose.", False, False),
    "comment": ("value = 1", "value = 1  # one", False, False),
    "code": ("value = 1", "value = 2", True, True),
    "figure": ('"blue"', '"red"', True, False),
    "defaults of parameters": ('profile = "quick"', 'profile = "paper"', False, False),
    "tags of a cell": ("[figure, hide-input]", "[hide-input]", False, True),
}


@pytest.mark.parametrize(("old", "new", "run", "record"), EDITS.values(), ids=EDITS)
def test_what_a_chapters_digest_sees(chapter: Path, package: Path, old: str, new: str, run: bool, record: bool) -> None:
    before = [total(chapter, package, record=flag) for flag in (False, True)]
    chapter.write_text(chapter.read_text().replace(old, new))
    after = [total(chapter, package, record=flag) for flag in (False, True)]
    assert [a != b for a, b in zip(before, after, strict=True)] == [run, record]


@pytest.mark.parametrize(
    ("module", "run", "record"),
    [
        ("labels", True, True),
        ("seeding", True, True),
        ("plotting", True, False),
        ("chapters", True, False),
        ("claims", True, False),
        ("records", True, False),
        ("press/merge", False, False),
        ("neighbours", False, False),
    ],
)
def test_which_modules_a_chapters_digest_sees(
    chapter: Path, package: Path, module: str, run: bool, record: bool
) -> None:
    before = [total(chapter, package, record=flag) for flag in (False, True)]
    path = package / f"{module}.py"
    path.write_text(path.read_text() + "\nprint('NEW', end='')\n")
    after = [total(chapter, package, record=flag) for flag in (False, True)]
    assert [a != b for a, b in zip(before, after, strict=True)] == [run, record]


def test_parameters_of_the_run_matter_whatever_their_order(chapter: Path, package: Path) -> None:
    one = total(chapter, package, {"seed": 0, "width": 5})
    assert one == total(chapter, package, {"width": 5, "seed": 0})
    assert one != total(chapter, package, {"seed": 1, "width": 5})
    assert one != total(chapter, package, {"seed": 0, "width": 5.0})


def test_a_chapter_that_imports_the_root_is_refused(chapter: Path) -> None:
    chapter.write_text(chapter.read_text().replace("value = 1", "import dlparadox"))
    with pytest.raises(RootImportError):
        chapter_digest(chapter, {})


def test_text_digests() -> None:
    assert text_digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
