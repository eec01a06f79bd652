"""Numbers in prose: what a run glued, and whether every number the prose asks for is there.

A page shows such a number through the ``glue`` role. A missing or empty one is an error here already, before
the page is built.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dlparadox.press.errors import PageError

__all__ = ["check_glue", "filled", "glued_values"]

_ROLE = re.compile(r"\{glue(?::(?:text|any|md))?\}`([^`]+)`")
_DIRECTIVE = re.compile(r"^\s*(?:`{3,}|:{3,})\{glue(?::\w+)?\}\s+(\S+)", re.MULTILINE)
_EMPTY = {"", "nan", "None", "inf", "-inf"}


def glued_values(cells: Iterable[Any]) -> dict[str, str]:
    """Name -> text of everything that the cells of an executed notebook glued.

    Raises:
        PageError: for a name glued twice, or a value that is empty or not a number after all.
    """
    values: dict[str, str] = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            about = output.get("metadata", {}).get("scrapbook")
            if about:
                name = about["name"]
                if name in values:
                    raise PageError(f"{name!r} is glued twice; give the second one another name")
                values[name] = _text(output["data"], about.get("mime_prefix", ""), name)
    return values


def _text(data: Mapping[str, Any], prefix: str, name: str) -> str:
    if any(key.startswith(f"{prefix}{kind}") for key in data for kind in ("image/", "text/html")):
        return "(shown on the page)"
    content = data.get(f"{prefix}text/plain", "")
    text = content if isinstance(content, str) else "".join(content)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if text.strip() in _EMPTY:
        raise PageError(f"the glued value {name!r} is {text.strip() or 'empty'!r}; glue a finite number or a text")
    return text


def check_glue(text: str, values: Mapping[str, str]) -> None:
    """Check that every name that the text uses was glued; Sphinx checks those of other pages.

    Raises:
        PageError: naming the missing ones, and those that exist.
    """
    used = [match.group(1) for pattern in (_ROLE, _DIRECTIVE) for match in pattern.finditer(text)]
    missing = sorted({name for name in used if "::" not in name and _bare(name, values) not in values})
    if missing:
        known = ", ".join(sorted(values)) or "nothing"
        raise PageError(f"the text uses {', '.join(map(repr, missing))}, which no cell glued; glued are: {known}")


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with each glue role replaced by its value, for readers without Jupyter Book."""
    return _ROLE.sub(lambda match: _formatted(match.group(1), values), text)


def _bare(reference: str, values: Mapping[str, str]) -> str:
    return reference if reference in values else reference.rsplit(":", 1)[0]


def _formatted(reference: str, values: Mapping[str, str]) -> str:
    name = _bare(reference, values)
    if name == reference or name not in values:
        return values.get(name, f"({reference})")
    specification = reference.rsplit(":", 1)[1]
    try:
        return format(float(values[name]), specification)
    except ValueError:
        return values[name]
