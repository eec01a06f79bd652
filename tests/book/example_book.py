"""A small project with one chapter, as a run would have left it: text, executed notebook, records, tables."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import pandas as pd
import yaml

from dlparadox.claims import Claim, at_least, check, equals
from dlparadox.digests import chapter_digest
from dlparadox.plotting import COLORS, player
from dlparadox.press.benchmarks import result_path, timed_code
from dlparadox.records import Record, write_record

matplotlib.use("Agg")

REPOSITORY = Path(__file__).resolve().parents[2]
SLUG = "random-labels"
TEXT = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

# Noise, learned by heart

Surely a network cannot memorize noise? It fits {glue:text}`share` of the random labels, as
{cite:t}`zhang2017` saw.

```{code-cell} ipython3
:tags: [parameters, hide-input]

profile = "quick"  # "quick" or "paper"
seed = 0  # base seed
n_seeds = 5  # number of seeds
device = "cpu"  # where to compute
```

## Question

Can a network fit labels that mean nothing?

$$
f(x) = \\sum_{j=1}^{m} a_j \\operatorname{relu}(w_j^\\top x - b_j), \\qquad \\lVert y - f(X) \\rVert = 0
$$

```{code-cell} ipython3
:tags: [hide-input, figure]

chapter.figure("fits", draw(runs), alt="Accuracy on random labels reaches one.", data="runs")
```

:::{admonition} Predict
:class: dropdown

What happens with labels redrawn at every epoch?
:::

## Verdict

```{code-cell} ipython3
:tags: [nbval-check-output]

chapter.check("memorizes")
```

```{code-cell} ipython3
:tags: [hide-input]

chapter.cards()
```

```{code-cell} ipython3
:tags: [hide-cell]

chapter.quote("share", 1.0, "{:.1%}")
chapter.save()
```
"""
CARD = """\
<div class="dlp-card dlp-reproduced" role="group" aria-label="memorizes: reproduced"><p class="dlp-verdict">
<span class="dlp-mark">✔</span> reproduced</p>
<p class="dlp-statement">A one-hidden-layer network fits uniformly random labels exactly.</p>
<dl><dt>Paper</dt><dd>train accuracy 99.34 % (zhang2017, Table 1)</dd>
<dt>Ours</dt><dd>1 [1, 1], 5 seeds</dd><dt>Accepted</dt><dd>= 1</dd></dl></div>"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def claims() -> list[Claim]:
    """Four claims with the four verdicts."""
    exact = equals(1.0, because="a fit is exact or it is not")
    common: dict[str, Any] = {"source": "zhang2017, Table 1", "published": "train accuracy 99.34 %"}
    return [
        check(
            "memorizes",
            statement="A one-hidden-layer network fits uniformly random labels exactly.",
            measured=[1.0] * 5,
            expect=exact,
            control={"linear softmax": [0.31, 0.29, 0.30, 0.32, 0.31]},
            **common,
        ),
        check(
            "slowdown",
            statement="Random labels take a few times longer.",
            measured=[3.1, 3.4, 3.0, 3.3, 3.2],
            expect=at_least(4, because="the paper's curve at full corruption"),
            control={"true labels": [1.0, 1.1]},
            source="zhang2017, Figure 1b",
            note="digits are easier than CIFAR-10",
        ),
        check(
            "chance",
            statement="Its test accuracy is that of guessing.",
            measured=[0.08, 0.11, 0.12, 0.1, 0.09],
            expect=at_least(0.1, because="ten classes <of equal size>"),
            control={"nothing": [0.0, 0.01, 0.0]},
            **common,
        ),
        check(
            "expressivity",
            statement="2n + d weights interpolate n points.",
            measured=3.1e-14,
            expect=equals(0.0, 1e-12, because="backward error in float64"),
            control={"one unit fewer": 1e-13},
            source="zhang2017, Theorem 1",
        ),
    ]


PROVENANCE: dict[str, Any] = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "python": "3.11.7",
    "platform": "Linux x86_64",
    "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
    "device": "cpu",
    "threads": 1,
    "dtype": "float32",
    "seeds": [0, 1, 2, 3, 4],
    "started": "2026-11-21T01:00:00+00:00",
    "seconds": 61.2,
    "resumed_seconds": 0.0,
    "peak_memory_mib": 512.0,
    "data": {"digits": {"sha256": "ab" * 32, "published": True, "note": ""}},
}


def record(slug: str, profile: str, digest: dict[str, Any] | None) -> Record:
    """A record of the example chapter."""
    parameters = {"profile": profile, "seed": 0, "n_seeds": 5, "device": "cpu"}
    listed = [claim.as_json() for claim in claims()]
    provenance = PROVENANCE | {"digest": digest}
    return Record(slug, "Noise, learned by heart", profile, parameters, listed, {}, provenance)


def svg() -> str:
    """A small figure drawn by matplotlib."""
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "dlparadox"}):
        figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
        names = [name for name in COLORS if name != "black"]
        for index, name in enumerate(names):
            curve = [0.1, 0.3 - index / 30, 0.6 - index / 20, 0.9 - index / 20, 1.0 - index / 60]
            ax.plot([0, 10, 20, 30, 50], curve, "o-", color=COLORS[name])
            ax.annotate(name, (50, curve[-1]), (51, 1.05 - index / 12), color=COLORS[name])
        ax.set(xlabel="epochs", ylabel="training accuracy")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
    return buffer.getvalue()


def outputs() -> list[list[Any]]:
    """Outputs of the code cells of ``TEXT``, in order."""
    new = nbformat.v4.new_output
    about = {
        "figure": "fits",
        "alt": "Accuracy on random labels reaches one after fifty epochs.",
        "table": "runs",
    }
    picture = new("display_data", {"image/svg+xml": svg(), "text/plain": "<figure>"}, metadata={"dlparadox": about})
    frames = [f"data:image/png;base64,{PIXEL}"] * 3
    moving = player("learning", frames, ["epoch 0", "epoch 10", "epoch 50"], alt=about["alt"])
    moves = new("display_data", {"text/html": moving, "text/plain": about["alt"]},
                metadata={"dlparadox": {**about, "figure": "learning"}})  # fmt: skip
    line = new("execute_result", {"text/plain": "reproduced  random-labels/memorizes"}, execution_count=3)
    card = new("display_data", {"text/html": CARD, "text/plain": "memorizes: reproduced"})
    glued = new(
        "display_data",
        {"application/papermill.record/text/plain": "'100.0%'"},
        metadata={"scrapbook": {"name": "share", "mime_prefix": "application/papermill.record/"}},
    )
    bar = new("stream", name="stderr", text="100%|####| 5/5\n")
    return [[], [bar, picture, moves], [line], [card], [glued]]


def executed(text: str = TEXT) -> Any:
    """The notebook that papermill left: code only, with its injected cell."""
    import jupytext

    cells = [cell for cell in jupytext.reads(text, fmt="md:myst").cells if cell.cell_type == "code"]
    ran = []
    for count, (cell, given) in enumerate(zip(cells, outputs(), strict=True), start=1):
        ran.append(nbformat.v4.new_code_cell(cell.source, execution_count=count, metadata=cell.metadata, outputs=given))
    injected = nbformat.v4.new_code_cell("# Parameters\nseed = 0", metadata={"tags": ["injected-parameters"]})
    return nbformat.v4.new_notebook(cells=[ran[0], injected, *ran[1:]])


def only_its_own_part(book: Path) -> None:
    """Leave out the chapters that this project does not have, and the pages that open parts without any."""
    toc = yaml.safe_load((book / "_toc.yml").read_text(encoding="utf-8"))
    kept = []
    for part in toc["parts"]:
        files = [entry["file"] for entry in part["chapters"]]
        chapters = [file for file in files if file.startswith("chapters/")]
        if not chapters or f"chapters/{SLUG}" in chapters:
            others = set(chapters) - {f"chapters/{SLUG}"}
            kept.append({**part, "chapters": [entry for entry in part["chapters"] if entry["file"] not in others]})
        else:
            for file in set(files) - set(chapters):
                (book / f"{file}.md").unlink()
    (book / "_toc.yml").write_text(yaml.safe_dump({**toc, "parts": kept}, sort_keys=False), encoding="utf-8")
    for page in book.rglob("*.md"):  # what led to another chapter leads to the one that there is
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"\bchapters/[\w-]+", f"chapters/{SLUG}", text), encoding="utf-8")


BENCHMARK = '''"""Labels: `dlparadox.labels` against dice, for
ten classes.

Dice have to be *thrown*.
"""

from side_by_side import Benchmark

from dlparadox.seeding import generator
'''


def benchmark_result(code: dict[str, str]) -> dict[str, Any]:
    """What a script measured: ours faster with its target met, slower with it missed, alike, turns that disagree."""
    pairs = [
        ("many labels", 412.3, (350.0, 433.3), 300), ("few labels", 0.7, (0.65, 0.76), 8),
        ("one label", 1.08, (0.97, 1.14), None), ("no labels", 1.3, (0.8, 2.1), None),
    ]  # fmt: skip
    return {
        "script": "labels",
        "date": "2026-11-21",
        "machine": {"processor": "Abacus <X>", "instructions": "AVX2", "threads": 1},
        "versions": {"torch": "2.13.0", "numpy": "2.4.6", "scikit-learn": "1.9.1"},
        "project": {"version": "0.1.0", "commit": "0123456789abcdef", "changed": True},
        "code": code,
        "pairs": [
            {"group": "ten classes", "name": name, "against": "`throw(dice)`", "ours_ms": 12.34, "theirs_ms": 5087.0,
             "ratio": {"median": median, "lowest": low, "highest": high}, "repetitions": 9, "at_least": target}
            for name, median, (low, high), target in pairs
        ],
        "measures": [
            {"group": "ten classes", "name": "share of fair dice", "unit": "%", "repetitions": 3, "at_least": 65,
             "value": {"median": 43.2, "lowest": 41.0, "highest": 44.9}},
        ],
    }  # fmt: skip


def write_benchmark(root: Path) -> Path:
    """A script that times something, with its result, measured with the code of today; returns the script's path."""
    script = root / "benchmarks" / "labels.py"
    result_path(script).parent.mkdir(parents=True)
    script.write_text(BENCHMARK, encoding="utf-8")
    result_path(script).write_text(json.dumps(benchmark_result(timed_code(script))), encoding="utf-8")
    return script


def make_project(root: Path, slug: str = SLUG, *, paper: bool = False) -> Path:
    """A project whose only chapter has just been run; the book's own pages and settings are the real ones."""
    shutil.copy(REPOSITORY / "_config.yml", root / "_config.yml")
    left_out = shutil.ignore_patterns("chapters", "generated")
    shutil.copytree(REPOSITORY / "book", root / "book", ignore=left_out)
    only_its_own_part(root / "book")
    write_benchmark(root)
    text = root / "experiments" / f"{slug}.md"
    text.parent.mkdir(parents=True)
    text.write_text(TEXT, encoding="utf-8")
    build = root / "build" / "quick"
    build.mkdir(parents=True)
    nbformat.write(executed(), build / f"{slug}.ipynb")
    runs = pd.DataFrame({"seed": [0, 1], "epochs": [50, 52], "accuracy": [1.0, 1.0]})
    kept = {"quick": build / slug} | ({"paper": root / "experiments" / "records" / slug} if paper else {})
    for profile, folder in kept.items():
        run = record(slug, profile, None)
        digest = chapter_digest(text, run.parameters, for_record=True)
        write_record(record(slug, profile, digest), folder, {"runs": runs})
    return root
