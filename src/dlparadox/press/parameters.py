"""Parameters of a chapter: read from its first cell, given by people, checked before anything runs.

papermill only warns of an unknown name and accepts any value, so a typing error would cost a whole run.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlparadox.digests import code_cells
from dlparadox.press.errors import PressError, unknown
from dlparadox.press.paths import PROFILES, Project

__all__ = [
    "checked",
    "defaults",
    "effective",
    "of_one_seed",
    "paper_parameters",
    "parsed",
    "profile_parameters",
    "seeds_of",
]

_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


def defaults(md_path: Path) -> dict[str, Any]:
    """Names and values of the cell tagged ``parameters``, which holds literals only.

    Raises:
        PressError: without such a cell, or for a line in it that is not ``name = literal``.
    """
    sources = [cell.source for cell in code_cells(md_path) if "parameters" in cell.metadata.get("tags", [])]
    if len(sources) != 1:
        raise PressError(f"{md_path} has {len(sources)} cells tagged `parameters`; give it exactly one")
    values: dict[str, Any] = {}
    for node in ast.parse(sources[0]).body:
        try:
            assert isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            values[node.targets[0].id] = ast.literal_eval(node.value)
        except (AssertionError, ValueError):
            line = ast.unparse(node)
            raise PressError(f"{md_path}: the parameters cell holds `name = literal` only; got `{line}`") from None
    return values


def parsed(text: str) -> dict[str, Any]:
    """Parameters written as ``width=1024 seed=7 corruption=[0, 0.5]``; each value is read as YAML.

    Raises:
        PressError: for text that is not ``name=value``, a value that is not YAML, or a name given twice.
    """
    import yaml

    head, *rest = re.split(r"(?:^|\s)([A-Za-z_]\w*)=", text.strip())
    if head:
        raise PressError(f"parameters are written name=value, separated by spaces; got {head!r}")
    values: dict[str, Any] = {}
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        if name in values:
            raise PressError(f"parameter {name!r} is given twice; give it once")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise PressError(f"{name}={value} cannot be read; write a number, a word or a list like [0, 0.5]") from None
    return values


def paper_parameters(project: Project, slug: str) -> dict[str, Any]:
    """Parameters of a chapter's run at the paper's scale, from its YAML file.

    Raises:
        PressError: if the file is missing, is not a mapping, or does not say ``profile: paper``.
    """
    import yaml

    path = project.paper_parameters(slug)
    if not path.is_file():
        raise PressError(f"{slug} has no run at the paper's scale; write its parameters into {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise PressError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict) or values.get("profile") != "paper":
        raise PressError(f"{path} must hold `name: value` lines, with `profile: paper` among them")
    return values


def profile_parameters(project: Project, slug: str, profile: str) -> dict[str, Any]:
    """What a profile's run gives a chapter: nothing for ``quick``, the YAML file for ``paper``.

    Raises:
        PressError: for an unknown profile, or one that the chapter does not have.
    """
    project.build(profile)
    return paper_parameters(project, slug) if profile == "paper" else {}


def effective(project: Project, slug: str, profile: str) -> dict[str, Any]:
    """All parameters that a profile's run of a chapter has, defaults included."""
    source = project.source(slug)
    return {**defaults(source), **checked(source, profile_parameters(project, slug, profile))}


def seeds_of(values: Mapping[str, Any]) -> list[int]:
    """All seeds that a run with these parameters uses; where an experiment has its own number, as many as the most."""
    most = max(count for name, count in values.items() if _counts_seeds(name))
    return [values["seed"] + index for index in range(most)]


def of_one_seed(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The same parameters for one seed: ``seed`` is the base, and every number of seeds is one."""
    return {name: 1 if _counts_seeds(name) else value for name, value in values.items()} | {"seed": seed}


def _counts_seeds(name: str) -> bool:
    return name.endswith("_seeds")


def checked(md_path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given``, each value of the type that its default has in the chapter.

    A whole number stands for a number where a number is wanted, and so does ``1e-3``, text to YAML.

    Raises:
        PressError: for an unknown name, an ill-typed value, or an unknown profile.
    """
    known = defaults(md_path)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise unknown("parameter", name, known)
        values[name] = _converted(value, known[name])
        if values[name] is _MISFIT:
            default = known[name]
            raise PressError(f"{name} must be {_described(default)}, like its default {default!r}; got {value!r}")
    if (profile := values.get("profile", PROFILES[0])) not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    return values


_MISFIT = object()


def _converted(value: Any, default: Any) -> Any:
    """``value`` as the type of ``default``, or ``_MISFIT``; the items of a list follow the default's."""
    if default is None:
        return value
    if isinstance(default, float) and not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            return float(value)
        except ValueError:
            return _MISFIT
    if isinstance(default, list | tuple) and isinstance(value, list | tuple):
        sample = next((item for item in default if isinstance(item, float)), default[0] if default else None)
        items = [_converted(item, sample) for item in value]
        return _MISFIT if any(item is _MISFIT for item in items) else items
    return value if type(value) is type(default) else _MISFIT


def _described(default: Any) -> str:
    if isinstance(default, list | tuple):
        kinds = sorted({_NAMES.get(type(item), "anything") for item in default})
        return f"a list, each item {kinds[0]}" if kinds else "a list"
    return _NAMES.get(type(default), type(default).__name__)
