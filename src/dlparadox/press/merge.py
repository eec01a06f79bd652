"""A chapter's page: today's text with the outputs of the run, a card before it and a run record after it.

Outputs are matched to the text's code cells by their order, so an edit of prose needs no run.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from dlparadox.digests import normalized
from dlparadox.files import atomic_path, write_text
from dlparadox.press.cards import opening_card, plain_summary, run_record
from dlparadox.press.errors import PageError
from dlparadox.press.evidence import Chapter, chapter_evidence
from dlparadox.press.figures import figure_name
from dlparadox.press.glued import check_glue, glued_values
from dlparadox.press.markup import bibliography, cited
from dlparadox.press.pagefigures import PageFigures
from dlparadox.press.standalone import plain_markdown, write_standalone

__all__ = ["merged", "write_page"]

INJECTED = "injected-parameters"


def write_page(slug: str, root: Path) -> Path:
    """Assemble a chapter's page from its text, its executed notebook and its records; return the page's path.

    Writes ``book/chapters/<slug>.ipynb`` and, under ``book/generated/files``, the notebook to download, the
    tables as CSV and the image files; each atomically.

    Args:
        slug: the chapter.
        root: the project's folder.

    Raises:
        PageError: naming the chapter, what is missing or does not fit, and the remedy.
    """
    try:
        source = jupytext.read(root / "experiments" / f"{slug}.md")
        executed = nbformat.read(root / "build" / "quick" / f"{slug}.ipynb", as_version=4)
    except FileNotFoundError as error:
        raise PageError(f"chapter {slug}: {error.filename} is missing; run the chapter first") from None
    chapter = chapter_evidence(slug, root)
    try:
        page = merged(source, executed, chapter, root)
        values = glued_values(page.cells)
        write_standalone(source, values, root, slug)
    except PageError as error:
        raise PageError(f"chapter {slug}: {error}") from error
    _copy_tables(chapter, root / "book" / "generated" / "files" / "data" / slug)
    path = root / "book" / "chapters" / f"{slug}.ipynb"
    write_text(path, nbformat.writes(page) + "\n")
    return path


def merged(source: Any, executed: Any, chapter: Chapter, root: Path) -> Any:
    """The page as a notebook.

    Args:
        source: the chapter as read from its MyST text.
        executed: the notebook that papermill ran; only its code cells count.
        chapter: its records.
        root: the project's folder, cut from outputs that name it.
    """
    ran = [
        cell for cell in executed.cells if cell.cell_type == "code" and INJECTED not in cell.metadata.get("tags", [])
    ]
    code = [cell for cell in source.cells if cell.cell_type == "code"]
    if len(code) != len(ran):
        raise PageError(f"the text has {len(code)} code cells, the run had {len(ran)}; run the chapter again")
    values = glued_values(ran)
    check_glue("\n".join(cell.source for cell in source.cells if cell.cell_type == "markdown"), values)
    figures = PageFigures(ran, chapter, root)
    outputs = iter(ran)
    cells: list[Any] = []
    for index, cell in enumerate(source.cells):
        if cell.cell_type == "code":
            cells.append(_code_cell(cell, next(outputs), figures, root, index))
        else:
            cells.append(nbformat.v4.new_markdown_cell(figures.placed(cell.source), id=f"cell-{index}"))
    references = bibliography(root / "book" / "references.bib")
    summary = plain_summary(plain_markdown(_summary(source), values, references))
    title, rest = _split_title(cells.pop(0))
    head = [nbformat.v4.new_markdown_cell(title, id="title")]
    head.append(nbformat.v4.new_markdown_cell(opening_card(chapter, summary), id="opening-card"))
    if rest.strip():
        head.append(nbformat.v4.new_markdown_cell(rest, id="opening"))
    last = nbformat.v4.new_markdown_cell(run_record(chapter), id="run-record")
    kernel = {"kernelspec": dict(source.metadata.get("kernelspec", {})), "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=[*head, *cells, last], metadata=kernel)


def _split_title(first: Any) -> tuple[str, str]:
    """The first Markdown cell, parted after its title line."""
    lines = first.source.splitlines() if first.cell_type == "markdown" else []
    place = next((index for index, line in enumerate(lines) if line.startswith("# ")), None)
    if place is None:
        raise PageError("the text does not begin with a title; the first cell should start with '# '")
    return "\n".join(lines[: place + 1]), "\n".join(lines[place + 1 :])


def _summary(source: Any) -> str:
    """What the chapter shows, in a sentence: its ``description``, else the first paragraph of its text."""
    if text := source.metadata.get("description"):
        return str(text)
    prose = "\n\n".join(cell.source for cell in source.cells if cell.cell_type == "markdown")
    blocks = (block.strip() for block in prose.split("\n\n"))
    starts = ("#", "`", ":", "$", "|", "-", "(", "%", "!", "<")
    paragraph = next((block for block in blocks if block and not block.startswith(starts)), "")
    if not paragraph:
        raise PageError("nothing says what the chapter shows; add `description:` to the front matter of its text")
    return paragraph


def _code_cell(cell: Any, ran: Any, figures: PageFigures, root: Path, index: int) -> Any:
    if not _same_code(cell.source, ran.source):
        first = cell.source.strip().splitlines()[:1]
        raise PageError(
            f"the code cell that begins {first[0] if first else ''!r} is not what ran; run the chapter again"
        )
    new = nbformat.v4.new_code_cell(cell.source, metadata=dict(cell.metadata), id=f"cell-{index}")
    new.execution_count = ran.execution_count
    new.outputs = [_output(output, figures, root) for output in ran.outputs if not _is_progress(output)]
    return new


def _same_code(text: str, ran: str) -> bool:
    try:
        return normalized(text) == normalized(ran)
    except SyntaxError:
        return text.strip() == ran.strip()


def _is_progress(output: Any) -> bool:
    """Progress bars and warnings go to the error stream; a page shows neither."""
    return bool(output.output_type == "stream" and output.name == "stderr")


def _output(output: Any, figures: PageFigures, root: Path) -> Any:
    """One output as the page shows it; a figure becomes HTML with its description and a link to its data."""
    if output.output_type == "error":
        raise PageError(f"a cell ended with {output.ename}: {output.evalue}; repair it and run the chapter again")
    if output.output_type == "stream":
        return nbformat.v4.new_output("stream", name="stdout", text=_without_paths(output.text, root))
    if "scrapbook" in output.metadata:
        return _quoted(output)
    if (about := figure_name(output)) is None:
        data = {kind: _without_paths(content, root) for kind, content in output.data.items()}
        if "card" in output.metadata.get("dlparadox", {}):
            data["text/html"] = _linked(data["text/html"], root)
        return nbformat.v4.new_output("display_data", data=data)
    data = {"text/html": figures.html(about["figure"]), "text/plain": about["alt"]}
    return nbformat.v4.new_output("display_data", data=data)


def _linked(card: str, root: Path) -> str:
    """A verdict card with its source's citation keys turned into links to the references."""
    known = bibliography(root / "book" / "references.bib")

    def replaced(match: re.Match[str]) -> str:
        return match[1] + cited(match[2], known, page="../references.html", html=True) + match[3]

    return re.sub(r"(<dt>Source</dt><dd>)(.*?)(</dd>)", replaced, card, flags=re.DOTALL)


def _quoted(output: Any) -> Any:
    """A glued text in quotes: without them ``0.10`` is read as a number and shown as ``0.1``."""
    for kind, content in output.data.items():
        if kind.endswith("text/plain") and content[:1] not in {"'", '"'}:
            output.data[kind] = repr(content)
    return output


def _without_paths(content: Any, root: Path) -> Any:
    """Text without the folders of the machine it was made on."""
    if not isinstance(content, str):
        return content
    return content.replace(f"{root.resolve()}/", "").replace(f"{Path.home()}/", "~/")


def _copy_tables(chapter: Chapter, folder: Path) -> None:
    for profile, record in chapter.records():
        for name, about in record.tables.items():
            with atomic_path(folder / profile / f"{name}.csv") as temporary:
                shutil.copyfile(record.path.parent / about["file"], temporary)
