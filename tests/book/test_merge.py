"""A page is today's text with the outputs of the run; what does not fit is an error that says what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from example_book import SLUG, executed

from dlparadox.press.errors import PageError
from dlparadox.press.merge import write_page

FIGURE = "Accuracy on random labels reaches one after fifty epochs."


def page_of(project: Path) -> Any:
    return nbformat.read(write_page(SLUG, project), as_version=4)


def text_of(notebook: Any) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def html_of(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(output.data["text/html"] for output in outputs if "text/html" in output.get("data", {}))


def edit_text(project: Path, old: str, new: str) -> None:
    path = project / "experiments" / f"{SLUG}.md"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def edit_run(project: Path, change: Callable[[Any], None]) -> None:
    path = project / "build" / "quick" / f"{SLUG}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def test_page_is_a_valid_notebook_with_card_first_and_run_record_last(project: Path) -> None:
    page = page_of(project)
    nbformat.validate(page)
    assert page.cells[0].source == "# Noise, learned by heart"
    card, last = page.cells[1].source, page.cells[-1].source
    for part in (
        "1 min 1 s",
        "512 MiB",
        "5 (0 to 4)",
        "make chapter NAME=random-labels",
        "notebooks/random-labels.ipynb",
    ):
        assert part in card
    for part in (
        "torch 2.13.0",
        "0123456789ab",
        "digits",
        "abababab",
        "../data/random-labels/quick/runs.csv",
        "seed = 0",
    ):
        assert part in last


def test_summary_fills_in_numbers_and_citations(project: Path) -> None:
    assert "It fits 100.0% of the random labels, as Zhang et al. (2017) saw." in page_of(project).cells[1].source


def test_description_in_the_front_matter_is_preferred(project: Path) -> None:
    edit_text(project, "kernelspec:", "description: Networks memorize *noise*.\nkernelspec:")
    assert '<p class="dlp-summary">Networks memorize noise.</p>' in page_of(project).cells[1].source


def test_prose_is_todays_and_outputs_are_matched_by_order(project: Path) -> None:
    edit_text(project, "Can a network fit labels that mean nothing?", "New words.\n\n## A new heading\n\nMore.")
    page = page_of(project)
    assert "## A new heading" in text_of(page)
    check = next(cell for cell in page.cells if "chapter.check" in cell.source)
    assert check.outputs[0].data["text/plain"] == "reproduced  random-labels/memorizes"


def test_comments_in_code_may_change_without_a_run(project: Path) -> None:
    edit_text(project, "seed = 0  # base seed", "seed = 0  # where the random numbers start")
    assert "where the random numbers start" in page_of(project).cells[3].source


def test_machine_leaves_no_trace(project: Path) -> None:
    def trace(notebook: Any) -> None:
        notebook.metadata["papermill"] = {"output_path": str(project / "build")}
        notebook.cells[0].metadata["papermill"] = {"start_time": "2026-11-21T01:00:00"}
        notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text=f"read {project.resolve()}/src/x.py")]

    edit_run(project, trace)
    text = write_page(SLUG, project).read_text(encoding="utf-8")
    assert str(project) not in text and "papermill" not in text.replace("application/papermill", "")
    assert "read src/x.py" in text
    assert "Parameters\\nseed" not in text and "injected" not in text
    assert "100%|####" not in text


def test_figure_is_described_and_leads_to_its_data(project: Path) -> None:
    html = html_of(page_of(project))
    assert f'role="img" fill="currentColor" aria-label="{FIGURE}"' in html
    assert '<a class="dlp-csv" href="../data/random-labels/quick/runs.csv" download>' in html
    assert (project / "book/generated/files/data/random-labels/quick/runs.csv").read_text().startswith("seed,epochs")
    assert "#0072b2" not in html and "var(--dlp-data-blue)" in html
    assert 'id="figure_1"' not in html and 'id="fits-figure_1"' in html


def test_animation_leads_to_its_data_too(project: Path) -> None:
    html = html_of(page_of(project))
    assert '<figure class="dlp-figure" id="figure-learning"><div class="dlp-player"' in html
    assert html.count('class="dlp-csv"') == 2


def as_png(notebook: Any) -> None:
    from example_book import PIXEL

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/svg+xml" in output.get("data", {}):
                output.data = {"image/png": PIXEL}


def test_png_becomes_a_file_with_its_description(project: Path) -> None:
    edit_run(project, as_png)
    assert f'<img class="dlp-print" src="../figures/random-labels/fits.png" alt="{FIGURE}"' in html_of(page_of(project))
    image = project / "book/generated/files/figures/random-labels/fits.png"
    assert image.read_bytes().startswith(b"\x89PNG")


def without_description(notebook: Any) -> None:
    notebook.cells[2].outputs[1].metadata = {}


def with_empty_description(notebook: Any) -> None:
    notebook.cells[2].outputs[1].metadata["dlparadox"]["alt"] = " "


def with_unknown_table(notebook: Any) -> None:
    notebook.cells[2].outputs[1].metadata["dlparadox"]["table"] = "nothing"


def with_empty_glue(notebook: Any) -> None:
    notebook.cells[-1].outputs[0].data = {"application/papermill.record/text/plain": "''"}


def with_undefined_glue(notebook: Any) -> None:
    notebook.cells[-1].outputs[0].data = {"application/papermill.record/text/plain": "nan"}


def without_glue(notebook: Any) -> None:
    notebook.cells[-1].outputs = []


def with_error(notebook: Any) -> None:
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="corruption must lie in [0, 1]", traceback=[])
    notebook.cells[-1].outputs.append(error)


def with_one_cell_less(notebook: Any) -> None:
    del notebook.cells[-1]


def with_other_code(notebook: Any) -> None:
    notebook.cells[-1].source = "chapter.save(1)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_description, "an image without a description; show it with chapter.figure"),
        (with_empty_description, "alt should state its finding"),
        (with_unknown_table, "shows the table 'nothing', but the quick record has: runs"),
        (with_empty_glue, "the glued value 'share' is 'empty'"),
        (with_undefined_glue, "the glued value 'share' is 'nan'"),
        (without_glue, "the text uses 'share', which no cell glued"),
        (with_error, "ValueError: corruption must lie in"),
        (with_one_cell_less, "the text has 5 code cells, the run had 4; run the chapter again"),
        (with_other_code, "is not what ran; run the chapter again"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_does_not_fit_is_an_error(project: Path, change: Callable[[Any], None], message: str) -> None:
    edit_run(project, change)
    with pytest.raises(PageError, match="chapter random-labels: ") as caught:
        write_page(SLUG, project)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (project / "book" / "chapters").exists()


def test_glued_text_keeps_its_digits(project: Path) -> None:
    def unquoted(notebook: Any) -> None:
        notebook.cells[-1].outputs[0].data = {"application/papermill.record/text/plain": "0.10"}

    edit_run(project, unquoted)
    output = page_of(project).cells[-2].outputs[0]
    assert output.data["application/papermill.record/text/plain"] == "'0.10'"


def test_a_chapter_that_was_not_run_is_an_error(project: Path) -> None:
    (project / "build" / "quick" / f"{SLUG}.ipynb").unlink()
    with pytest.raises(PageError, match=r"random-labels\.ipynb is missing; run the chapter first"):
        write_page(SLUG, project)


def test_a_text_without_title_is_an_error(project: Path) -> None:
    edit_text(project, "# Noise, learned by heart\n", "")
    with pytest.raises(PageError, match="does not begin with a title"):
        write_page(SLUG, project)


@pytest.mark.parametrize("damage", ["{", "[]", '{"schema": "other"}'])
def test_damaged_record_is_one_clear_line(project: Path, damage: str) -> None:
    (project / "build" / "quick" / SLUG / "record.json").write_text(damage)
    with pytest.raises(PageError, match="chapter random-labels: ") as caught:
        write_page(SLUG, project)
    assert "record.json" in str(caught.value) and "\n" not in str(caught.value)


def test_record_of_another_chapter_is_refused(project: Path) -> None:
    path = project / "build" / "quick" / SLUG / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chapter": "double-descent"}))
    with pytest.raises(PageError, match="is the quick record of 'double-descent'"):
        write_page(SLUG, project)


def test_example_runs_as_the_text_says() -> None:
    assert len(executed().cells) == 6


def lead_figure(project: Path, name: str) -> None:
    directive = f"""
:::{{figure}} figures/{SLUG}/{name}.svg
:name: fig-lead
:alt: Even random labels are fitted in fifty passes.

**How long?** After {{glue:text}}`share`.
:::
"""
    edit_text(project, "## Question", directive + "\n## Question")


def test_text_can_show_a_figure_of_the_run_before_the_code(project: Path) -> None:
    lead_figure(project, "fits")
    page = text_of(page_of(project))
    assert 'aria-label="Even random labels are fitted in fifty passes."' in page
    assert ":name: fig-lead" in page and "**How long?** After {glue:text}`share`." in page
    assert 'id="text-fits-figure_1"' in page and "../data/random-labels/quick/runs.csv" in page


def test_text_cannot_show_a_figure_that_the_run_did_not_make(project: Path) -> None:
    lead_figure(project, "other")
    with pytest.raises(
        PageError,
        match="the text shows the figure 'other', which the run did not make; it made: fits, learning",
    ):
        write_page(SLUG, project)
