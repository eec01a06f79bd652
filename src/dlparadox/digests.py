"""Digests of code: what a result was computed with, blind to comments, docstrings and layout.

A chapter has to run again when its digest changes; a recorded run is *stale* when its digest has changed since.
Only text is read here: nothing is imported, so that the digest of a chapter costs milliseconds.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "RootImportError",
    "chapter_digest",
    "code_cells",
    "imported_modules",
    "module_digests",
    "normalized",
    "text_digest",
]

PACKAGE = "dlparadox"
SOURCE = Path(__file__).resolve().parent

#: Modules that show a result but cannot change it: left out of a record's digest, not of the rerun rule.
PRESENTATION = frozenset(
    f"{PACKAGE}.{name}" for name in ("chapters", "claims", "plotting", "press", "records", "wording")
)


class RootImportError(ValueError):
    """A chapter imports the package root, which hides what it uses."""


def text_digest(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def normalized(source: str) -> str:
    """The syntax tree of ``source`` as text: comments, docstrings, layout and positions dropped."""
    tree = ast.parse(_without_magics(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if _is_text(first):
                node.body = node.body[1:]
        if not getattr(node, "type_params", True):
            del node.type_params  # type: ignore[attr-defined]  # new in Python 3.12
    # Python 3.13 leaves empty fields out unless told otherwise; a digest must be the same under every version.
    return ast.dump(tree, **({"show_empty": True} if sys.version_info >= (3, 13) else {}))


def _is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _without_magics(source: str) -> str:
    """IPython magics and shell lines turned into calls: the rest then parses, and none is taken for a docstring."""
    lines = source.splitlines()
    return "\n".join(f"__magic__({line!r})" if line.startswith(("%", "!")) else line for line in lines)


@cache
def imported_modules(source: str) -> frozenset[str]:
    """Submodules of this package that ``source`` imports directly, for example ``{"dlparadox.training"}``.

    Raises:
        RootImportError: if the package root itself is imported.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(_without_magics(source))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.startswith(PACKAGE + ".") and _path(name) else node.module for name in submodules]
        else:
            continue
        if PACKAGE in names:
            raise RootImportError(
                f"`{ast.unparse(node)}` imports the package root, which hides what is used; "
                f"import from a submodule, for example `from {PACKAGE}.training import fit`"
            )
        found.update(name for name in names if name.startswith(PACKAGE + "."))
    return frozenset(found)


def _path(module: str, source: Path = SOURCE) -> Path | None:
    """File of a module of this package, or None where there is none."""
    base = source.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def module_digests(names: Iterable[str], source: Path = SOURCE) -> dict[str, str]:
    """Digest of each module in ``names`` and of all that they import from this package, transitively.

    Args:
        names: full module names, for example ``{"dlparadox.training"}``.
        source: folder of the package.
    """
    digests: dict[str, str] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        path = _path(name, source)
        if path is None:
            raise ModuleNotFoundError(f"no module {name!r} in {source}")
        text = path.read_text(encoding="utf-8")
        digests[name] = text_digest(normalized(text))
        parents = {name.rsplit(".", 1)[0]} - {PACKAGE}
        waiting |= (imported_modules(text) | parents) - set(digests)
    return dict(sorted(digests.items()))


def code_cells(md_path: Path) -> list[Any]:
    """Code cells of a chapter's MyST text, as notebook cells."""
    return list(_code_cells(md_path.read_text(encoding="utf-8")))


@cache
def _code_cells(text: str) -> tuple[Any, ...]:
    import jupytext

    return tuple(cell for cell in jupytext.reads(text, fmt="md").cells if cell.cell_type == "code")


def chapter_digest(
    md_path: Path, parameters: Mapping[str, Any], *, for_record: bool = False, source: Path = SOURCE
) -> dict[str, Any]:
    """Digest of all that decides what a chapter computes.

    Args:
        md_path: the chapter's MyST text.
        parameters: the parameters of the run, JSON values.
        for_record: leave out what only shows results (cells tagged ``figure``, the modules in ``PRESENTATION``).
        source: folder of the package.

    Returns:
        ``{"total", "code", "parameters": digests, "modules": {name: digest}}``.
    """
    cells = code_cells(md_path)
    if for_record:
        cells = [cell for cell in cells if "figure" not in cell.metadata.get("tags", [])]
    texts = [cell.source for cell in cells if "parameters" not in cell.metadata.get("tags", [])]
    imported = set().union(*(imported_modules(text) for text in texts))
    if for_record:
        imported = {name for name in imported if not _presents(name)}
    modules = module_digests(imported, source)
    parts = {
        "code": text_digest("\n".join(normalized(text) for text in texts)),
        "parameters": text_digest(json.dumps(dict(parameters), sort_keys=True)),
        "modules": modules,
    }
    return {"total": text_digest(json.dumps(parts, sort_keys=True)), **parts}


def _presents(module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in PRESENTATION)
