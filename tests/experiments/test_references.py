"""Every reference in experiments/ was really executed, holds text only, and agrees with the book's run."""

import re
from pathlib import Path

import pytest
from nbformat import NotebookNode

from dlparadox.press.pairs import pair_problems, read_notebook
from dlparadox.press.paths import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
CHAPTERS = PROJECT.chapters()
VERDICT = re.compile(r"^(reproduced|not reproduced|inconclusive|void|not run)  ([\w-]+)/([\w-]+)$")
MACHINE = re.compile(r"(/home/|/Users/|/root/|/tmp/|[A-Z]:\\Users)")


def code_cells(slug: str) -> list[NotebookNode]:
    """The code cells of a chapter's reference."""
    return [cell for cell in read_notebook(PROJECT.reference(slug)).cells if cell.cell_type == "code"]


def texts(cell: NotebookNode) -> list[str]:
    """What a cell of a reference printed or showed, as text."""
    return [output.get("text") or output.data["text/plain"] for output in cell.outputs]


def verdicts(slug: str) -> dict[str, str]:
    """Verdict of each claim in a chapter's reference, without those that only the paper-scale run can check."""
    matches = [VERDICT.match(line) for cell in code_cells(slug) for text in texts(cell) for line in text.splitlines()]
    return {match[3]: match[1] for match in matches if match and match[1] != "not run"}


def test_pairs_are_in_step() -> None:
    assert pair_problems(PROJECT) == []


@pytest.mark.parametrize("slug", CHAPTERS)
def test_the_reference_was_really_executed(slug: str) -> None:
    counts = [cell.execution_count for cell in code_cells(slug) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), f"`make reference NAME={slug}` executes it"


@pytest.mark.parametrize("slug", CHAPTERS)
def test_the_reference_holds_text_only(slug: str) -> None:
    notebook = read_notebook(PROJECT.reference(slug))
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in code_cells(slug):
        assert not {"papermill", "execution"} & set(cell.metadata)
        for output in cell.outputs:
            assert output.output_type in {"stream", "display_data", "execute_result"}
            assert output.get("name", "stdout") == "stdout"
            assert set(output.get("data", {"text/plain": ""})) == {"text/plain"}
        for text in texts(cell):
            assert not MACHINE.search(text), f"a path of one machine: {text}"


@pytest.mark.parametrize("slug", CHAPTERS)
def test_a_chapter_that_loads_data_names_them_in_its_record(slug: str) -> None:
    source = "\n".join(cell.source for cell in code_cells(slug))
    assert bool(re.search(r"(?<!\.)\bload\(", source)) == ("chapter.uses(" in source)


@pytest.mark.parametrize("slug", CHAPTERS)
def test_verdict_cells_are_compared(slug: str) -> None:
    for cell in code_cells(slug):
        if "chapter.check(" in cell.source or any(VERDICT.match(text) for text in texts(cell)):
            assert "nbval-check-output" in cell.metadata.get("tags", []), cell.source
            assert [bool(VERDICT.match(text)) for text in texts(cell)] == [True], "one verdict in each such cell"


@pytest.mark.parametrize("slug", CHAPTERS)
def test_the_book_agrees_with_the_reference(slug: str) -> None:
    from dlparadox.records import load_record

    path = PROJECT.build("quick") / slug / "record.json"
    if not path.is_file():
        pytest.skip("the chapter has not run yet; `make book` runs it")
    measured = {claim["name"]: claim["verdict"] for claim in load_record(path).claims}
    assert measured == verdicts(slug)
    assert "void" not in measured.values()
