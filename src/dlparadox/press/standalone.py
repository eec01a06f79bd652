"""A chapter as a notebook that stands alone: opened elsewhere, it installs the package, or says how to."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from dlparadox.files import write_text
from dlparadox.press.glued import filled
from dlparadox.press.links import Repository, repository
from dlparadox.press.markup import bibliography

__all__ = ["plain_markdown", "setup_source", "standalone_notebook", "write_standalone"]

_CITE = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
_ROLE = re.compile(r"\{(?:prf:ref|ref|doc|numref|eq|term|download)\}`(?:([^`<]+?)\s*<[^`>]*>|([^`]+))`")
_FENCE = re.compile(r"^(?P<fence>:{3,}|`{3,})\{(?P<kind>[\w:-]+)\}[ \t]*(?P<title>[^\n]*)$")


def setup_source(where: Repository | None) -> str:
    """Source of the first cell: make sure that the package can be imported."""
    head = "# Makes the book's package available when this notebook is opened alone.\nimport importlib.util\n"
    if where is None:
        return head + (
            "\nif importlib.util.find_spec('dlparadox') is None:\n"
            "    raise ModuleNotFoundError(\n"
            "        'dlparadox is not installed: run `pip install -e .` in a copy of the book, '\n"
            "        'then restart this notebook with that Python'\n    )"
        )
    return head + (
        "import subprocess\nimport sys\n\n"
        "if importlib.util.find_spec('dlparadox') is None:\n"
        f"    package = 'dlparadox @ git+{where.url}'\n"
        "    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', package], check=True)\n"
        "    importlib.invalidate_caches()"
    )


def standalone_notebook(source: Any, values: Mapping[str, str], references: Mapping[str, str]) -> Any:
    """The notebook to download: the chapter's cells without outputs, its text readable without Jupyter Book.

    Args:
        source: the chapter as read from its MyST text.
        values: what the run on the page glued.
        references: citation key -> author and year.
    """
    cells = [nbformat.v4.new_code_cell(setup_source(repository()), metadata={"tags": ["setup"]}, id="setup")]
    for index, cell in enumerate(source.cells):
        if cell.cell_type == "code":
            metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
            new = nbformat.v4.new_code_cell(cell.source, metadata=metadata, id=f"cell-{index}")
        else:
            new = nbformat.v4.new_markdown_cell(plain_markdown(cell.source, values, references), id=f"cell-{index}")
        cells.append(new)
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def plain_markdown(text: str, values: Mapping[str, str], references: Mapping[str, str]) -> str:
    """MyST text as plain Markdown: roles become their text, boxes become quotations with a bold title."""
    text = filled(text, values)
    text = _CITE.sub(
        lambda match: "; ".join(references.get(key.strip(), key) for key in match.group(1).split(",")), text
    )
    text = _ROLE.sub(lambda match: match.group(1) or match.group(2), text)
    text = re.sub(r"^\([\w:-]+\)=\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?<!!)\[([^\]\n]+)\]\((?!https?:)[^)\s]+\)", r"\1", text)  # pages that are not there
    lines: list[str] = []
    fences: list[tuple[str, str]] = []
    for line in text.splitlines():
        opened = _FENCE.match(line)
        if opened:
            fences.append((opened["fence"], opened["kind"]))
            lines.append(_heading(opened["kind"], opened["title"]))
        elif fences and line.strip() == fences[-1][0]:
            lines.append("$$" if fences.pop()[1] == "math" else "")
        elif not (fences and re.match(r":[\w-]+:", line)):
            lines.append(line)
    return "\n".join(lines)


def _heading(kind: str, title: str) -> str:
    """What a box of MyST begins with in plain Markdown."""
    name = kind.rsplit(":", 1)[-1].capitalize()
    match kind.rsplit(":", 1)[-1]:
        case "math":
            return "$$"
        case "figure" | "div":
            return ""
        case "exercise" | "solution" | "proof":
            return f"**{name}**"
        case "theorem" | "lemma" | "corollary" | "proposition" | "definition":
            return f"**{name}: {title}**" if title else f"**{name}**"
    return f"**{title or name}**"


def write_standalone(source: Any, values: Mapping[str, str], root: Path, slug: str) -> Path:
    """Write the notebook to download into the folder that the site serves, and return its path."""
    references = bibliography(root / "book" / "references.bib")
    notebook = standalone_notebook(source, values, references)
    path = root / "book" / "generated" / "files" / "notebooks" / f"{slug}.ipynb"
    write_text(path, nbformat.writes(notebook) + "\n")
    return path
