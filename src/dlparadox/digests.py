"""Digests of code: what a result was computed with, blind to comments, docstrings and layout.

A chapter has to run again when its digest changes; a recorded run is *stale* when its digest has changed since.
Only text is read here: nothing is imported, so that the digest of a chapter costs milliseconds.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "RootImportError",
    "chapter_digest",
    "code_cells",
    "imported_modules",
    "imported_names",
    "normalized",
    "text_digest",
    "used_code",
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
    return _dump(ast.parse(_without_magics(source)))


def _dump(tree: ast.AST) -> str:
    """The normal form of a tree, which loses its docstrings on the way."""
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
def imported_names(source: str) -> frozenset[tuple[str, str]]:
    """What ``source`` imports from this package: pairs of a submodule and a name in it, or ``"*"`` for all of it.

    Raises:
        RootImportError: if the package root itself is imported.
    """
    return _imports(ast.parse(_without_magics(source)))


def imported_modules(source: str) -> frozenset[str]:
    """Submodules of this package that ``source`` imports directly, for example ``{"dlparadox.training"}``."""
    return frozenset(module for module, _ in imported_names(source))


def _imports(tree: ast.AST) -> frozenset[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            pairs = [(alias.name, "*") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            pairs = [_origin(node.module, alias.name) for alias in node.names]
        else:
            continue
        if any(module == PACKAGE for module, _ in pairs):
            raise RootImportError(
                f"`{ast.unparse(node)}` imports the package root, which hides what is used; "
                f"import from a submodule, for example `from {PACKAGE}.training import fit`"
            )
        found.update(pair for pair in pairs if pair[0].startswith(PACKAGE + "."))
    return frozenset(found)


def _origin(module: str, name: str) -> tuple[str, str]:
    """Where an imported name lives: it may be a submodule itself."""
    inner = f"{module}.{name}"
    return (inner, "*") if inner.startswith(PACKAGE + ".") and _path(inner) else (module, name)


def _path(module: str, source: Path = SOURCE) -> Path | None:
    """File of a module of this package, or None where there is none."""
    base = source.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@dataclass(frozen=True)
class _Statement:
    """A statement at the top of a module: the names it binds, the names it reads, what it imports from this package.

    ``free`` statements run whenever the module is imported, whoever uses it: all that is not a definition, and
    definitions decorated by this package, which may register them.
    """

    binds: frozenset[str]
    reads: frozenset[str]
    imports: frozenset[tuple[str, str]]
    text: str
    free: bool


@cache
def _statements(source: str) -> tuple[_Statement, ...]:
    tree = ast.parse(source)
    own = {name for node in tree.body for name in _bound(node)} - _foreign(tree)
    return tuple(
        statement
        for node in tree.body
        for part in _parts(node)
        if (statement := _statement(part, own)).binds != {"__all__"} and not _is_text(part)
    )


def _parts(node: ast.stmt) -> list[ast.stmt]:
    """An import of several names as several imports, each of which counts only for those who use it."""
    if isinstance(node, ast.ImportFrom):
        return [ast.ImportFrom(module=node.module, names=[alias], level=node.level) for alias in node.names]
    if isinstance(node, ast.Import):
        return [ast.Import(names=[alias]) for alias in node.names]
    return [node]


def _statement(node: ast.stmt, own: set[str]) -> _Statement:
    binds = _bound(node)
    decorators = getattr(node, "decorator_list", [])
    registers = any(_names(decorator) & own for decorator in decorators)
    return _Statement(
        binds=binds,
        reads=_names(node),
        imports=_imports(node),
        text=_dump(node),
        free=registers or "*" in binds or not binds,
    )


def _bound(node: ast.stmt) -> frozenset[str]:
    """Names that a definition binds; none for a statement that does anything else."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return frozenset({node.name})
        case ast.Import():
            return frozenset(alias.asname or alias.name.split(".")[0] for alias in node.names)
        case ast.ImportFrom():
            return frozenset(alias.asname or alias.name for alias in node.names)
        case ast.Assign() if all(isinstance(target, ast.Name) for target in node.targets):
            return frozenset(target.id for target in node.targets if isinstance(target, ast.Name))
        case ast.AnnAssign() if isinstance(node.target, ast.Name):
            return frozenset({node.target.id})
    return frozenset()


def _foreign(tree: ast.Module) -> set[str]:
    """Names that a module imports from other packages."""
    outside = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) and not _imports(node)]
    return {name for node in outside for name in _bound(node)}


def _names(node: ast.AST) -> frozenset[str]:
    return frozenset(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def used_code(names: Iterable[tuple[str, str]], source: Path = SOURCE) -> dict[str, str]:
    """Digest of each module of this package that ``names`` use, directly or through others: of the part they use.

    A definition counts if it can be reached from a used name; other statements count in every module that is imported
    on the way, since they run at its import. So a module can grow without making old results stale.

    Args:
        names: pairs of a full module name and a name in it, or ``"*"`` for the whole module.
        source: folder of the package.
    """
    used: dict[str, set[int]] = {}
    waiting = list(names)
    seen: set[tuple[str, str]] = set()
    while waiting:
        pair = waiting.pop()
        if pair in seen:
            continue
        seen.add(pair)
        module, name = pair
        statements = _module_statements(module, source)
        if module not in used:
            used[module] = set()
            waiting += [(module, "")]  # what runs at its import
            waiting += [(module.rsplit(".", 1)[0], "")] if module.count(".") > 1 else []
            waiting += [(other, "") for statement in statements for other, _ in statement.imports]
        known = frozenset().union(*(statement.binds for statement in statements))
        for index, statement in enumerate(statements):
            whole = name == "*" or (name and name not in known)
            if index not in used[module] and (whole or statement.free or name in statement.binds):
                used[module].add(index)
                waiting += [(module, read) for read in statement.reads & known]
                waiting += statement.imports
    parts = {
        module: [statement.text for index, statement in enumerate(_module_statements(module, source)) if index in kept]
        for module, kept in sorted(used.items())
    }
    return {module: text_digest(json.dumps(texts)) for module, texts in parts.items() if texts}


def _module_statements(module: str, source: Path) -> tuple[_Statement, ...]:
    path = _path(module, source)
    if path is None:
        raise ModuleNotFoundError(f"no module {module!r} in {source}")
    return _statements(path.read_text(encoding="utf-8"))


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
        ``{"total", "code", "parameters": digests, "modules": {module: digest of what is used of it}}``.
    """
    cells = code_cells(md_path)
    if for_record:
        cells = [cell for cell in cells if "figure" not in cell.metadata.get("tags", [])]
    texts = [cell.source for cell in cells if "parameters" not in cell.metadata.get("tags", [])]
    imported = set().union(*(imported_names(text) for text in texts))
    if for_record:
        imported = {(module, name) for module, name in imported if not _presents(module)}
    modules = used_code(imported, source)
    parts = {
        "code": text_digest("\n".join(normalized(text) for text in texts)),
        "parameters": text_digest(json.dumps(dict(parameters), sort_keys=True)),
        "modules": modules,
    }
    return {"total": text_digest(json.dumps(parts, sort_keys=True)), **parts}


def _presents(module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in PRESENTATION)
