"""Parameters of a chapter are checked before anything runs, with one clear error."""

import subprocess
import sys
from pathlib import Path

import pytest

from dlparadox.press.errors import PressError
from dlparadox.press.parameters import checked, defaults, effective, paper_parameters, parsed
from dlparadox.press.paths import Project

TINY = Path(__file__).resolve().parents[1] / "fixtures" / "tiny.md"


def test_defaults_are_the_literals_of_the_first_cell() -> None:
    assert defaults(TINY) == {
        "profile": "quick",
        "seed": 0,
        "n_seeds": 3,
        "device": "cpu",
        "samples": 2000,
        "corruption": [0.0, 1.0],
        "name": "ten classes",
    }


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("width=1024 seed=7", {"width": 1024, "seed": 7}),
        ("corruption=[0,0.5]  seed=1", {"corruption": [0, 0.5], "seed": 1}),
        ("corruption=[0, 0.5] seed=1", {"corruption": [0, 0.5], "seed": 1}),
        ("name='two words' device=cuda:1", {"name": "two words", "device": "cuda:1"}),
        ("flag=true step=1e-3", {"flag": True, "step": "1e-3"}),
    ],
)
def test_text_is_read_as_yaml(text: str, values: dict[str, object]) -> None:
    assert parsed(text) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width", "written name=value"),
        ("width 5 seed=1", "got 'width 5'"),
        ("seed=1 seed=2", "given twice"),
        ("corruption=[0, seed=2", "cannot be read"),
    ],
)
def test_text_that_is_not_parameters_is_refused(text: str, message: str) -> None:
    with pytest.raises(PressError, match=message):
        parsed(text)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"samples": 10}, {"samples": 10}),
        ({"corruption": [0, 1, 0.5]}, {"corruption": [0.0, 1.0, 0.5]}),
        ({"corruption": ["1e-3"]}, {"corruption": [0.001]}),
        ({"profile": "paper"}, {"profile": "paper"}),
    ],
)
def test_values_take_the_type_of_the_default(given: dict[str, object], taken: dict[str, object]) -> None:
    assert checked(TINY, given) == taken


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"sample": 10},
            r"unknown parameter 'sample'; did you mean 'samples'\? parameters: corruption, device",
        ),
        ({"samples": "many"}, "samples must be a whole number, like its default 2000; got 'many'"),
        ({"samples": 1.5}, "got 1.5"),
        ({"samples": True}, "got True"),
        ({"corruption": 0.5}, "corruption must be a list, each item a number, like its default"),
        ({"corruption": [0.1, "half"]}, r"got \[0.1, 'half'\]"),
        ({"name": 3}, "name must be text"),
        ({"profile": "quik"}, "unknown profile 'quik'; did you mean 'quick'"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(PressError, match=message):
        checked(TINY, given)


def test_a_parameters_cell_holds_literals_only(project: Project) -> None:
    path = project.source("tiny")
    path.write_text(path.read_text().replace("samples = 2000", "samples = 2 * n_seeds"))
    with pytest.raises(PressError, match=r"`name = literal` only; got `samples = 2 \* n_seeds`"):
        defaults(path)
    path.write_text(path.read_text().replace("parameters, ", ""))
    with pytest.raises(PressError, match="0 cells tagged `parameters`"):
        defaults(path)


def test_the_paper_run_has_its_own_file(project: Project) -> None:
    with pytest.raises(PressError, match="tiny has no run at the paper's scale; write its parameters into"):
        paper_parameters(project, "tiny")
    path = project.paper_parameters("tiny")
    path.parent.mkdir()
    path.write_text("samples: 5\n")
    with pytest.raises(PressError, match="`profile: paper`"):
        paper_parameters(project, "tiny")
    path.write_text("profile: paper\nsamples: 5\n")
    assert effective(project, "tiny", "paper") == {**defaults(TINY), "profile": "paper", "samples": 5}


def test_the_command_line_starts_without_torch() -> None:
    code = (
        "import sys, dlparadox.press.__main__, dlparadox.press.parameters, dlparadox.digests;"
        "from dlparadox.press import book, pairs, execute; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
