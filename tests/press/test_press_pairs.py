"""Pairs out of step are found and put right, and a reference holds text only."""

from collections.abc import Callable

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

from dlparadox.press.errors import PressError
from dlparadox.press.pairs import pair_problems, read_notebook, source_notebook, sync, write_notebook
from dlparadox.press.paths import Project
from dlparadox.press.reference import make_reference, text_outputs


@pytest.fixture
def paired(project: Project) -> Project:
    """A project whose two pairs are in step, each code cell of `tiny` with an output."""
    for slug in project.chapters():
        notebook = source_notebook(project, slug)
        for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
            cell.execution_count, cell.outputs = count, [new_output("stream", text=f"output {count}\n")]
        write_notebook(notebook, project.reference(slug))
    assert pair_problems(project) == []
    return project


def _text(notebook: NotebookNode) -> None:
    notebook.cells[0].source = notebook.cells[0].source.replace("differ", "agree")


def _code(notebook: NotebookNode) -> None:
    notebook.cells[1].source = notebook.cells[1].source.replace("samples = 2000", "samples = 1000")


def _tag(notebook: NotebookNode) -> None:
    verdict = next(cell for cell in notebook.cells if "nbval-check-output" in cell.metadata.get("tags", []))
    verdict.metadata.tags = []


def _extra(notebook: NotebookNode) -> None:
    notebook.cells.append(new_code_cell("1"))


def _missing(notebook: NotebookNode) -> None:
    notebook.cells.pop()


def _kind(notebook: NotebookNode) -> None:
    notebook.cells[0].cell_type = "raw"


CHANGES = [
    (_text, "cell 1 (markdown) differs in line 3:\n  .md:    How often does a label drawn again differ"),
    (_code, "cell 2 (code) differs in line 5:\n  .md:    samples = 2000"),
    (_tag, "has the metadata\n  .md:    {'tags': ['nbval-check-output']}\n  .ipynb: {'tags': []}"),
    (_extra, "the .md has 7 cells and the .ipynb 8"),
    (_missing, "the .md has 7 cells and the .ipynb 6"),
    (_kind, "cell 1 is markdown in the .md and raw in the .ipynb"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[change.__name__[1:] for change, _ in CHANGES])
def test_a_pair_out_of_step_is_found_and_put_right(
    paired: Project, change: Callable[[NotebookNode], None], message: str
) -> None:
    path = paired.reference("tiny")
    before = path.read_text()
    notebook = read_notebook(path)
    change(notebook)
    write_notebook(notebook, path)
    problems = pair_problems(paired)
    assert len(problems) == 1
    assert problems[0].startswith("tiny: ")
    assert message in problems[0]
    assert sync(paired, "tiny")
    assert pair_problems(paired) == []
    if change not in (_code, _missing):  # these lost a cell that ran
        assert path.read_text() == before


def test_ids_and_traces_of_a_run_do_not_count(paired: Project) -> None:
    path = paired.reference("tiny")
    notebook = read_notebook(path)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"other-{number}"
        cell.metadata["papermill"] = {"duration": 1.0}
    write_notebook(notebook, path)
    assert pair_problems(paired) == []


def test_sync_keeps_outputs_of_cells_that_are_still_there(paired: Project) -> None:
    source = paired.source("tiny")
    source.write_text(
        source.read_text().replace('print("drawn")', 'print("drawn again")').replace("often", "frequently")
    )
    assert sync(paired, "tiny")
    cells = [cell for cell in read_notebook(paired.reference("tiny")).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [1, 2, None, 4, 5]
    assert cells[3].outputs[0].text == "output 4\n"
    assert not sync(paired, "tiny")


def test_halves_without_the_other_are_named(paired: Project) -> None:
    paired.reference("plain").unlink()
    paired.source("tiny").unlink()
    first, second = pair_problems(paired)
    assert "plain.ipynb is missing; `make reference NAME=plain`" in first
    assert "tiny.ipynb has no tiny.md" in second


def test_damaged_halves_are_named(paired: Project) -> None:
    paired.reference("tiny").write_text("{")
    with pytest.raises(PressError, match=r"tiny\.ipynb is not a whole notebook"):
        pair_problems(paired)
    paired.source("tiny").write_text("# No header\n")
    with pytest.raises(PressError, match="names no kernel"):
        source_notebook(paired, "tiny")


def test_a_reference_keeps_text_only() -> None:
    glue = {"application/papermill.record/text/plain": "'3'", "text/plain": "'3'"}
    outputs = [
        new_output("stream", name="stdout", text="one\n"),
        new_output("stream", name="stderr", text="50%|###"),
        new_output("stream", name="stdout", text="two\n"),
        new_output(
            "display_data",
            {"image/png": "aaaa", "text/html": "<b>", "text/plain": "a figure"},
            metadata={"a": 1},
        ),
        new_output("display_data", {"text/html": "<b>"}),
        new_output("display_data", {"text/plain": "<object at 0x7f00>"}),
        new_output("display_data", glue),
    ]
    assert text_outputs(outputs) == [
        new_output("stream", name="stdout", text="one\ntwo\n"),
        new_output("display_data", {"text/plain": "a figure"}),
    ]
    with pytest.raises(PressError, match="ValueError: no"):
        text_outputs([new_output("error", ename="ValueError", evalue="no", traceback=[])])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "build/quick/tiny.ipynb is missing; run `make book`"),
        (("drawn", "other"), "ran other code than tiny.md has now"),
        (("output 3", "{root}/build"), "tiny prints a path of this machine"),
    ],
)
def test_a_reference_comes_from_a_run_of_this_text(
    paired: Project, change: tuple[str, str] | None, message: str
) -> None:
    executed = paired.build("quick") / "tiny.ipynb"
    if change:
        executed.parent.mkdir(parents=True)
        text = paired.reference("tiny").read_text()
        executed.write_text(text.replace(change[0], change[1].format(root=paired.root)))
    with pytest.raises(PressError, match=message):
        make_reference(paired, "tiny")


def test_a_comment_in_the_code_needs_no_new_run(paired: Project) -> None:
    executed = paired.build("quick") / "tiny.ipynb"
    executed.parent.mkdir(parents=True)
    executed.write_text(paired.reference("tiny").read_text())
    source = paired.source("tiny")
    source.write_text(source.read_text().replace('print("drawn")', 'print("drawn")  # all of them'))
    assert nbformat.read(make_reference(paired, "tiny"), as_version=4)
    assert pair_problems(paired) == []
