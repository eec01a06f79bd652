"""Runs at the scale of the papers: the parameters in ``experiments/paper``, the records kept."""

from pathlib import Path

from dlparadox.files import atomic_path
from dlparadox.press.errors import PressError
from dlparadox.press.execute import execute
from dlparadox.press.parameters import paper_parameters
from dlparadox.press.paths import Project

__all__ = ["publish_record", "run_paper"]


def run_paper(project: Project, slug: str) -> Path:
    """Run a chapter at the paper's scale and keep its record under ``experiments/records/``; return its path.

    Finished cells of the sweep lie in ``build/paper/cells``, so a run that was killed goes on where it was.
    """
    parameters = paper_parameters(project, project.chapter(slug))
    execute(project, slug, parameters, project.build("paper"))
    return publish_record(project, slug)


def publish_record(project: Project, slug: str) -> Path:
    """Copy the record of a finished paper-scale run, with its tables, to where it is committed.

    Tables are named for their content and the record comes last: a reader meets the old one or the new one.

    Raises:
        PressError: if the record is of another chapter or profile.
        RecordError: if it is missing or damaged.
    """
    from dlparadox.records import load_record

    source = project.build("paper") / slug
    record = load_record(source / "record.json")
    if (record.chapter, record.profile) != (slug, "paper"):
        raise PressError(
            f"{record.path} is the {record.profile} record of {record.chapter}, not the paper one of {slug}; "
            f"run `make paper NAME={slug}`"
        )
    target = project.recorded(slug)
    tables = [str(table["file"]) for table in record.tables.values()]
    for name in [*tables, "record.json"]:
        with atomic_path(target / name) as temporary:
            temporary.write_bytes((source / name).read_bytes())
    for left in {path.name for path in target.glob("*.csv")} - set(tables):
        (target / left).unlink()
    return target / "record.json"
