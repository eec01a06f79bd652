"""Running one pure experiment over settings and seeds, cell by cell, so that an interrupted run goes on where it was.

An experiment is a function ``(setting, seed) -> rows``. Each finished cell is kept in a file whose name is a digest of
the function (with all it uses), the setting and the seed. The same notebook with one seed a job therefore fills the
cache from many machines, and the same notebook with all seeds gathers it.
"""

import ast
import hashlib
import inspect
import json
import sys
import textwrap
import time
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from dlparadox.checkpoints import checkpointing
from dlparadox.digests import PACKAGE, imported_names, normalized, text_digest, used_code
from dlparadox.files import write_text

__all__ = ["Experiment", "function_digest", "sweep"]

Setting = Mapping[str, str | int | float | bool | None]
Experiment = Callable[[dict[str, Any], int], Mapping[str, Any] | Sequence[Mapping[str, Any]]]


def sweep(
    function: Experiment, settings: Sequence[Setting], seeds: Sequence[int], *, cache: Path | None = None
) -> pd.DataFrame:
    """Run ``function(setting, seed)`` for every setting and seed and return one tidy table.

    Args:
        function: pure; what it returns (one row or several, each a mapping of scalars) depends on its arguments only.
        settings: mappings of scalars, one per cell; their keys become columns.
        seeds: the seeds each setting is run with.
        cache: folder of finished cells; None computes everything and keeps nothing.

    Returns:
        One line per row: the setting's columns, ``seed``, then what the function returned. ``table.attrs`` tells the
        ``seconds`` it took now and the ``resumed_seconds`` that the cells found in the cache took when they ran.

    Raises:
        ValueError: for an empty sweep, repeated cells, or a row that repeats a column of its setting.
        TypeError: if the function reads a global that the digest cannot follow.
    """
    cells = [(dict(setting), int(seed)) for setting in settings for seed in seeds]
    if not cells:
        raise ValueError(f"nothing to run: {len(settings)} settings and {len(seeds)} seeds; give at least one of each")
    digest = function_digest(function)
    keys = [_key(digest, setting, seed) for setting, seed in cells]
    if len(set(keys)) < len(keys):
        raise ValueError("two cells of the sweep have the same setting and seed; remove the repetition")
    if cache:
        cache.mkdir(parents=True, exist_ok=True)
    name = getattr(function, "__name__", "sweep")
    paths = [cache / f"{name}-{key}.json" if cache else None for key in keys]
    finished = [_read_cell(path, key) for path, key in zip(paths, keys, strict=True)]
    rows: list[dict[str, Any]] = []
    now = before = 0.0
    with _progress(name, len(cells), len(cells) - finished.count(None)) as bar:
        for (setting, seed), key, path, found in zip(cells, keys, paths, finished, strict=True):
            if found is None:
                found = _run_cell(function, setting, seed, key, path)
                now += found["seconds"]
                bar.update()
            else:
                before += found["seconds"]
            rows.extend(_joined(setting, seed, row) for row in found["rows"])
    table = pd.DataFrame(rows)
    table.attrs.update(seconds=now, resumed_seconds=before)
    return table


def _progress(name: str, cells: int, finished: int) -> "tqdm[Any]":
    return tqdm(
        total=cells, initial=finished, desc=name, unit="run", file=sys.stderr, dynamic_ncols=True, mininterval=1.0
    )


def _key(digest: str, setting: Setting, seed: int) -> str:
    text = json.dumps([digest, dict(setting), seed], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _joined(setting: Setting, seed: int, row: Mapping[str, Any]) -> dict[str, Any]:
    head = {**setting, "seed": seed}
    if repeated := head.keys() & row.keys():
        raise ValueError(f"the experiment returns columns that its setting already has: {sorted(repeated)}")
    return {**head, **row}


def _read_cell(path: Path | None, key: str) -> dict[str, Any] | None:
    """A finished cell, or None when there is none or its file is damaged (then it is computed again)."""
    if path is None or not path.is_file():
        return None
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    whole = isinstance(cell, dict) and cell.get("key") == key and cell.keys() >= {"rows", "seconds"}
    return cell if whole else None


def _run_cell(function: Experiment, setting: Setting, seed: int, key: str, path: Path | None) -> dict[str, Any]:
    start = time.perf_counter()
    with checkpointing(path.with_suffix(".checkpoint") if path else None):
        result = function(dict(setting), seed)
        cell = {
            "key": key,
            "setting": dict(setting),
            "seed": seed,
            "seconds": time.perf_counter() - start,
            "rows": [result] if isinstance(result, Mapping) else list(result),
        }
        text = json.dumps(cell, default=_scalar)
        if path:
            write_text(path, text)
    return json.loads(text)  # what a resumed run would read


def _scalar(value: Any) -> Any:
    if callable(item := getattr(value, "item", None)):
        return item()
    raise TypeError(f"an experiment returns rows of numbers, strings, booleans and None; got {type(value).__name__}")


def function_digest(function: Callable[..., Any]) -> str:
    """Digest of a function with everything it uses: helpers beside it, constants, modules of this package, versions.

    Raises:
        TypeError: if it reads a global whose value the digest cannot follow; hand such a value in through the setting.
    """
    parts: dict[str, str] = {}
    used: set[tuple[str, str]] = set()
    _follow(function, parts, used, set())
    return text_digest(json.dumps([parts, used_code(used)], sort_keys=True))


def _follow(function: Callable[..., Any], parts: dict[str, str], used: set[tuple[str, str]], seen: set[Any]) -> None:
    seen.add(function)
    source = textwrap.dedent(inspect.getsource(function))
    _add(parts, f"def {function.__qualname__}", normalized(source))
    used |= imported_names(source)
    scope = dict(inspect.getclosurevars(function).nonlocals)
    names = _names(function.__code__) | _names_outside(source)
    scope |= {name: value for name, value in function.__globals__.items() if name in names}
    for name, value in sorted(scope.items()):
        if inspect.isfunction(value) and value in seen:
            continue
        if _is_literal(value):
            _add(parts, name, repr(value))
            continue
        home = _home(value)
        if home.startswith(PACKAGE + "."):
            used.add((home, "*" if isinstance(value, types.ModuleType) else value.__qualname__.split(".")[0]))
        elif inspect.isfunction(value) and home == function.__module__:
            _follow(value, parts, used, seen)
        elif home and home != function.__module__:
            top = home.split(".")[0]
            parts[f"import {top}"] = str(getattr(sys.modules.get(top), "__version__", ""))
        else:
            raise TypeError(
                f"{function.__name__} reads the global {name!r} of type {type(value).__name__}, which a digest cannot "
                f"follow; hand what it needs in through the setting"
            )


def _add(parts: dict[str, str], name: str, text: str) -> None:
    """Keep a part under its name; two that share it, such as two lambdas, both count."""
    while parts.setdefault(name, text) != text:
        name += "'"


def _home(value: Any) -> str:
    """The module that defines a module, function or class; empty for any other object."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    if inspect.isclass(value) or inspect.isroutine(value):
        return getattr(value, "__module__", None) or type(value).__module__
    return ""


def _names(code: types.CodeType) -> set[str]:
    """Names that a function reads, those of the functions nested in it included."""
    nested = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*(_names(inner) for inner in nested))


def _names_outside(source: str) -> set[str]:
    """Names in decorators and default values of functions, read where the function is defined."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arguments):
            found += [*node.defaults, *node.kw_defaults]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found += node.decorator_list
    return {item.id for node in found if node for item in ast.walk(node) if isinstance(item, ast.Name)}


def _is_literal(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_literal(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return all(_is_literal(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool | complex | bytes)
