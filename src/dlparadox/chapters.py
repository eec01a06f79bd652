"""A chapter as its notebook sees it: parameters, sweeps, claims, figures, numbers for the prose, and the record."""

import contextlib
import datetime
import html
import io
import math
import numbers
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from IPython.display import display

from dlparadox import claims, parameters, provenance, records, sweeps
from dlparadox.parameters import choice, flag, integer, list_of, real, text
from dlparadox.wording import css_class, mark, measured_text

__all__ = ["Chapter", "Run", "VerdictLine", "choice", "flag", "integer", "list_of", "open_chapter", "real", "text"]

_GLUE = "application/papermill.record/"


def open_chapter(slug: str, scope: Mapping[str, Any], **kinds: parameters.Kind) -> "Chapter":
    """Check the parameters of a notebook and open its chapter.

    Args:
        slug: the chapter's short name, that of its files.
        scope: the notebook's ``globals()``, right after its parameters.
        kinds: the kind of each parameter of its own, for example ``width=integer(1)``; ``profile``, ``seed``,
            ``n_seeds`` and ``device`` are known.

    Raises:
        ValueError, TypeError: naming an unknown, missing or ill-typed parameter, its value and the remedy.
    """
    return Chapter(slug, parameters.validated(scope, {**parameters.COMMON, **kinds}))


class VerdictLine:
    """A verdict whose only representation is one stable line, which the regression check compares."""

    def __init__(self, verdict: str, name: str) -> None:
        self.verdict, self.name = verdict, name

    def __repr__(self) -> str:
        return f"{self.verdict}  {self.name}"


class Run(NamedTuple):
    """What a chapter measured under one profile: its parameters, and its tables by name, None for one that it lacks."""

    parameters: Mapping[str, Any]
    table: Callable[[str], pd.DataFrame | None]


class Chapter:
    """One run of one chapter."""

    def __init__(self, slug: str, values: Mapping[str, Any]) -> None:
        self.slug = slug
        self.parameters = dict(values)
        self.profile: str = values["profile"]
        self.device: str = values["device"]
        self.seeds = [values["seed"] + index for index in range(values["n_seeds"])]
        self.claims: dict[str, claims.Claim] = {}
        self._tables: dict[str, pd.DataFrame] = {}
        self._data: dict[str, Any] = {}
        self._shown: set[str] = set()
        self._quoted: set[str] = set()
        self._started = datetime.datetime.now(datetime.UTC)
        self._clock = time.perf_counter()
        self._resumed_seconds = 0.0

    @property
    def results(self) -> Path:
        """Folder of the results: what ``DLPARADOX_RESULTS`` names, else ``./results``."""
        return Path(os.environ.get("DLPARADOX_RESULTS") or "results")

    def sweep(
        self,
        function: sweeps.Experiment,
        settings: Sequence[sweeps.Setting],
        seeds: Sequence[int] | None = None,
    ) -> pd.DataFrame:
        """Run an experiment over settings and this chapter's seeds, and keep its table in the record.

        See :func:`dlparadox.sweeps.sweep`; finished cells are kept beside the results, so a killed run resumes.
        """
        cache = self.results / "cells" / self.slug
        table = sweeps.sweep(function, settings, self.seeds if seeds is None else seeds, cache=cache)
        self._resumed_seconds += table.attrs["resumed_seconds"]
        return table

    def uses(self, name: str, origin: Mapping[str, Any]) -> None:
        """Name a data set in the record: ``chapter.uses(data.name, data.provenance())``."""
        self._data[name] = dict(origin)

    def table(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """Keep a table in the record, as CSV beside it, and return it."""
        if table.empty:
            raise ValueError(f"table {name!r} is empty; nothing was measured")
        self._tables[name] = table
        return table

    def check(self, name: str, **given: Any) -> VerdictLine:
        """Check a claim (arguments as in :func:`dlparadox.claims.check`) and return its verdict as one line.

        A claim that needs what was not run under this profile is left out of the record, and its line says so.
        """
        if name in self.claims:
            raise ValueError(f"claim {name!r} was checked before; give each claim its own name")
        try:
            claim = claims.check(name, **given)
        except claims.NotRun:
            return VerdictLine("not run", f"{self.slug}/{name}")
        self.claims[name] = claim
        return VerdictLine(claim.verdict, f"{self.slug}/{name}")

    def cards(self, *names: str) -> None:
        """Show the cards of the named claims, or of all claims that have not been shown yet."""
        for name in names or [name for name in self.claims if name not in self._shown]:
            self._shown.add(name)
            self._show_card(self.claims[name].as_json())

    def recorded_cards(self, *names: str, profile: str = "paper") -> None:
        """Show the cards of the named claims from the committed record, those that it has.

        A claim that this run has checked too shows its measurement beside the recorded one.
        """
        record = self.recorded(profile)
        found = {claim["name"]: claim for claim in record.claims} if record else {}
        for name in names:
            if name in found:
                here = name in self.claims and self.profile != profile
                own = {self.profile: self.claims[name].as_json()} if here else {}
                self._show_card(found[name], f"{profile} profile", own)

    def _show_card(
        self, claim: Mapping[str, Any], where: str = "", beside: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        bundle = {"text/html": card(claim, where, beside), "text/plain": f"{claim['name']}: {claim['statement']}"}
        display(bundle, raw=True, metadata={"dlparadox": {"card": claim["name"]}})

    def figure(
        self, name: str, figure: Any, *, alt: str, data: str, form: str = "svg", profile: str | None = None
    ) -> None:
        """Show a matplotlib figure, with the finding it states for readers who cannot see it and its data.

        Args:
            name: short name of the figure.
            figure: the matplotlib figure; it is closed.
            alt: the finding, in one or two sentences.
            data: name of the table (see :meth:`table`) that holds what is drawn.
            form: ``"svg"``, or ``"png"`` where many points would make a heavy file.
            profile: of the committed record that has the table, if it is not this run's own.
        """
        details = self._described(name, alt, data, profile)
        display({**_image(figure, form), "text/plain": alt}, raw=True, metadata={"dlparadox": details})

    def _described(self, name: str, alt: str, data: str, profile: str | None) -> dict[str, str]:
        """What the page says of a figure, after a check that it can keep its word."""
        foreign = profile not in (None, self.profile)
        record = self.recorded(profile) if foreign and profile else None
        known = record.tables if record else {} if foreign else self._tables
        if data not in known:
            have = ", ".join(known) or "none"
            raise ValueError(f"{name!r} draws table {data!r}, which the chapter does not have ({have}); keep it first")
        if len(alt) < 20:
            raise ValueError(f"{name!r} needs an alternative text that states its finding; got {alt!r}")
        return {
            "figure": name,
            "alt": alt,
            "table": data,
            **({"profile": profile} if foreign and profile else {}),
        }

    def animation(self, name: str, player: str, *, alt: str, data: str) -> None:
        """Show an animation made by :func:`dlparadox.plotting.player`; arguments as in :meth:`figure`."""
        details = self._described(name, alt, data, None)
        display({"text/html": player, "text/plain": alt}, raw=True, metadata={"dlparadox": details})

    def quote(self, name: str, value: float | int | str, form: str = "{}") -> None:
        """Give a number to the prose, where ``{glue:text}`` names it.

        Raises:
            ValueError: if it is empty, not finite, or was given before.
        """
        if isinstance(value, numbers.Real) and not math.isfinite(value):
            raise ValueError(f"quote {name!r} is {value}; only finite numbers can be quoted")
        text = form.format(value)
        if not text.strip():
            raise ValueError(f"quote {name!r} is empty; give the text that the prose shows")
        if name in self._quoted:
            raise ValueError(f"quote {name!r} was given before; give each quote its own name")
        self._quoted.add(name)
        details = {"scrapbook": {"name": name, "mime_prefix": _GLUE}}
        # In quotes, as a string is represented: without them 0.10 would be read as a number and shown as 0.1.
        display({_GLUE + "text/plain": repr(text)}, raw=True, metadata=details)

    def quotes(self, values: Mapping[str, Any]) -> None:
        """Give numbers to the prose by name, all that this profile has measured.

        Left out are functions that raise :class:`dlparadox.claims.NotRun` and numbers that are not finite, such as a
        mean over nothing. A page that names one of them is then refused when the book is made.

        Args:
            values: for each name a value, or a function of no arguments that returns it, or a pair of a form (see
                :meth:`quote`) and one of the two.
        """
        for name, given in values.items():
            form, value = given if isinstance(given, tuple) else ("{}", given)
            with contextlib.suppress(claims.NotRun):
                found = value() if callable(value) else value
                if not isinstance(found, numbers.Real) or math.isfinite(found):
                    self.quote(name, found, form)

    def recorded(self, profile: str = "paper") -> records.Record | None:
        """The committed record of this chapter under another profile, or None where there is none.

        Raises:
            RecordError: if it is there but damaged.
        """
        home = provenance.project_home()
        path = home / "experiments" / "records" / self.slug / records.FILE if home else None
        if path is None or not path.is_file():
            return None
        record = records.load_record(path)
        return record if record.profile == profile else None

    def recorded_mean(self, name: str, profile: str = "paper") -> float:
        """Mean of a claim in the committed record under another profile, for the prose.

        Raises:
            NotRun: if there is no such record, or the claim is not in it.
        """
        record = self.recorded(profile)
        found = [claim["mean"] for claim in record.claims if claim["name"] == name] if record else []
        if not found or found[0] is None:
            raise claims.NotRun(f"{name} in a record under the profile {profile}")
        return float(found[0])

    def paper_run(self) -> Run | None:
        """What was measured at the paper's scale: by this run, if that is its profile, else by the committed record.

        Where there is neither, the page says so, and the answer is None.
        """
        if self.profile == "paper":
            return Run(self.parameters, self._tables.get)
        if record := self.recorded("paper"):
            return Run(record.parameters, lambda name: record.table(name) if name in record.tables else None)
        text = f"No record at the paper's scale has been made yet: `make paper NAME={self.slug}` makes one."
        display({"text/markdown": f"*{text}*", "text/plain": text}, raw=True, metadata={})
        return None

    def save(self) -> None:
        """Write the record of this run, atomically; the notebook's last cell."""
        if not self.claims:
            raise ValueError("the chapter checked no claim; a record without one says nothing")
        record = records.Record(
            chapter=self.slug,
            title=_title(self.slug),
            profile=self.profile,
            parameters=self.parameters,
            claims=[claim.as_json() for claim in self.claims.values()],
            tables={},
            provenance=self._provenance(),
        )
        records.write_record(record, self.results / self.slug, self._tables)

    def _provenance(self) -> dict[str, Any]:
        return {
            **provenance.code_state(self.slug, self.parameters),
            **provenance.machine(),
            "packages": provenance.versions(),
            "device": self.device,
            "threads": torch.get_num_threads(),
            "dtype": str(torch.get_default_dtype()).removeprefix("torch."),
            "seeds": self.seeds,
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self._clock, 1),
            "resumed_seconds": round(self._resumed_seconds, 1),
            "peak_memory_mib": provenance.peak_memory_mib(self.device),
            "data": self._data,
        }


def _title(slug: str) -> str:
    """First heading of the chapter's text, or its slug where the text is not at hand."""
    home = provenance.project_home()
    path = home / "experiments" / f"{slug}.md" if home else None
    if path and path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("# "):
                return line[2:].strip()
    return slug


def _image(figure: Any, form: str) -> dict[str, Any]:
    from matplotlib import pyplot, rc_context

    buffer = io.BytesIO()
    try:
        if form == "svg":
            with rc_context({"svg.hashsalt": "dlparadox"}):  # else names inside the file are new each time
                figure.savefig(buffer, format="svg", metadata={"Date": None})
            return {"image/svg+xml": buffer.getvalue().decode()}
        if form == "png":
            import base64

            figure.savefig(buffer, format="png", dpi=160)
            return {"image/png": base64.b64encode(buffer.getvalue()).decode()}
    finally:
        pyplot.close(figure)
    raise ValueError(f"form must be 'svg' or 'png'; got {form!r}")


def card(claim: Mapping[str, Any], where: str = "", beside: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """The card of a claim, given as in a record, as HTML.

    Args:
        claim: what is shown.
        where: names its run, if that is not the page's own.
        beside: the same claim under other profiles, whose measurements are shown below the first.
    """
    rows = [
        ("Paper", claim["published"] or "no number given"),
        ("Ours", measured_text(claim, exact=claim["deterministic"])),
    ]
    for profile, other in (beside or {}).items():
        text = measured_text(other, exact=other["deterministic"])
        rows.append((f"Ours, {profile}", f"{text}: {other['verdict']}, accepted there {other['region']['text']}"))
    rows.append(("Accepted", f"{claim['region']['text']} — {claim['region']['because']}"))
    for control in claim["controls"]:
        exact = len(control["measured"]) == 1 and control["interval"][0] == control["interval"][1] is not None
        fails = control["verdict"] == "not reproduced"
        comment = "fails, as it must" if fails else "does not fail: the check says nothing"
        rows.append(("Control", f"{control['name']}: {measured_text(control, exact=exact)} — {comment}"))
    rows.append(("Source", claim["source"]))
    if claim["note"]:
        rows.append(("Why", claim["note"]))
    body = "".join(f"<dt>{html.escape(term)}</dt><dd>{html.escape(text)}</dd>" for term, text in rows)
    verdict, name = claim["verdict"], html.escape(claim["name"] + (f", {where}" if where else ""))
    return (
        f'<div class="dlp-card {css_class(verdict)}" role="group" aria-label="Claim {name}: {verdict}">'
        f'<p class="dlp-verdict">{mark(verdict)} {verdict}'
        f" <code>{name}</code></p>"
        f'<p class="dlp-statement">{html.escape(claim["statement"])}</p><dl>{body}</dl></div>'
    )
