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
    module_digests,
    normalized,
    text_digest,
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


def test_digests_follow_imports(package: Path) -> None:
    names = set(module_digests({"dlparadox.training"}, package))
    assert names == {"dlparadox.training", "dlparadox.files"}
    assert "dlparadox.seeding" in module_digests({"dlparadox.labels"}, package)
    assert set(module_digests({"dlparadox.bounds.rademacher"}, package)) == {
        "dlparadox.bounds", "dlparadox.bounds.rademacher"
    }  # fmt: skip
    assert {"dlparadox.data", "dlparadox.data.sets", "dlparadox.data.raw"} <= set(
        module_digests({"dlparadox.data"}, package)
    )


def test_a_digest_changes_with_the_module_alone(package: Path) -> None:
    before = module_digests({"dlparadox.labels"}, package)
    assert list(before) == sorted(before)
    path = package / "seeding.py"
    path.write_text(path.read_text() + "\nX = 1\n")
    after = module_digests({"dlparadox.labels"}, package)
    assert {name for name in before if before[name] != after[name]} == {"dlparadox.seeding"}


def test_modules_that_import_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import dlparadox.b")
    (tmp_path / "b.py").write_text("import dlparadox.a")
    assert set(module_digests({"dlparadox.a"}, tmp_path)) == {"dlparadox.a", "dlparadox.b"}


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no module 'dlparadox\.nothing' in"):
        module_digests({"dlparadox.nothing"})


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
        ("kernels", False, False),
    ],
)
def test_which_modules_a_chapters_digest_sees(
    chapter: Path, package: Path, module: str, run: bool, record: bool
) -> None:
    before = [total(chapter, package, record=flag) for flag in (False, True)]
    path = package / f"{module}.py"
    path.write_text(path.read_text() + "\nNEW = 1\n")
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
