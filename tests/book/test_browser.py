"""Every page of the built book in a real browser: offline, light and dark, wide and narrow, by keyboard.

The browser is Debian's Chromium (``apt-get install -y chromium``). Without it, or without a built book, these
tests are skipped with the reason; with ``DLPARADOX_REQUIRE_BROWSER=1`` that is a failure.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SITE = Path(os.environ.get("DLPARADOX_SITE") or Path(__file__).resolve().parents[2] / "_build" / "html")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = os.environ.get("DLPARADOX_REQUIRE_BROWSER") == "1"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 800}
WITH_MATH = ("notation.html", "chapters/")
HASH = re.compile(r"[0-9a-f]{16,}")
# A chapter has thousands of coloured words of code; one visible word of each colour tells axe enough.
ONE_OF_A_KIND = """() => {
  const seen = new Set();
  for (const word of document.querySelectorAll('.highlight span[class]')) {
    if (seen.has(word.className)) word.style.visibility = 'hidden';
    else if (word.offsetParent) seen.add(word.className);
  }
}"""


def pages() -> list[str]:
    """Every page of the site, but for the one that only leads to the front page."""
    found = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    return [page for page in found if not page.startswith("_static") and page != "index.html"]


def chapters() -> list[str]:
    """Pages of chapters."""
    return [page for page in pages() if page.startswith("chapters/")]


def missing(reason: str) -> None:
    """Skip, or fail where a browser is required."""
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One browser for all tests of a worker."""
    if not (SITE / "intro.html").is_file():
        missing(f"no book at {SITE}; run `make book` first")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        missing("Chromium is not installed; on Debian: apt-get install -y chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page opened without a network, with everything that went wrong while it was open."""

    def __init__(self, browser: Any) -> None:
        self.context = browser.new_context(viewport=DESK, offline=True, reduced_motion="reduce")
        self.context.route("**/*", self._local_only)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        self.page.on("requestfailed", lambda request: self.problems.append(f"failed request: {request.url}"))

    def _local_only(self, route: Any) -> None:
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            self.problems.append(f"request to another host: {route.request.url}")
            route.abort()

    def _heard(self, message: Any) -> None:
        if message.type in {"error", "warning"} and "preload" not in message.text:
            self.problems.append(f"console {message.type}: {message.text}")

    def open(self, page: str) -> Any:
        """Open a page and wait until its formulas are set."""
        self.page.goto(f"file://{SITE}/{page}", wait_until="load")
        self.page.evaluate("() => window.MathJax && MathJax.startup ? MathJax.startup.promise : null")
        return self.page


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    """Make visits, which are closed after the test."""
    made: list[Visit] = []

    def start() -> Visit:
        made.append(Visit(chromium))
        return made[-1]

    yield start
    for each in made:
        each.context.close()


def findings(page: Any) -> list[str]:
    """Serious and critical findings of axe, one line for each element."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(ONE_OF_A_KIND)
    violations = Axe().run(page, options={"preload": False}).response["violations"]
    return [
        f"{found['id']} ({found['impact']}): {node['html'][:160]} | {node.get('failureSummary', '')[:200]}"
        for found in violations
        if found["impact"] in {"serious", "critical"}
        for node in found["nodes"]
    ]


def too_wide(page: Any) -> list[str]:
    """Elements that make the page itself scroll sideways."""
    return page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          return [...document.querySelectorAll('body *')]
            .filter(e => e.getBoundingClientRect().right > width + 1)
            .slice(0, 5).map(e => e.outerHTML.slice(0, 120));
        }"""
    )


def unreachable(page: Any) -> list[str]:
    """Boxes that scroll sideways and cannot be reached with the keyboard."""
    return page.evaluate(
        """() => [...document.querySelectorAll('article *')].filter(e => {
          const scrolls = ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
          const wide = e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1;
          return scrolls && wide && e.tabIndex < 0 && !e.querySelector('a, button, input, [tabindex="0"]');
        }).map(e => e.outerHTML.slice(0, 120))"""
    )


def cramped(page: Any) -> list[str]:
    """Figures and formulas that have to be scrolled to be seen whole, beyond the rounding of their margins."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.dlp-plot, div.math')]
          .filter(e => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 8)
          .map(e => `${e.scrollWidth} in ${e.clientWidth} px: ${(e.textContent || e.innerHTML).trim().slice(0, 80)}`)"""
    )


def beheaded(page: Any) -> list[str]:
    """What begins left of its scrolling box, where nobody can scroll to."""
    return page.evaluate(
        """() => [...document.querySelectorAll('div.math > *, .dlp-plot > *, pre > *')].filter(e => {
          const [inner, outer] = [e, e.parentElement].map(box => box.getBoundingClientRect().left);
          return e.parentElement.scrollLeft === 0 && inner < outer - 1;
        }).map(e => e.outerHTML.slice(0, 120))"""
    )


@pytest.mark.parametrize("page", pages() or ["intro.html"])
def test_page_is_quiet_accessible_and_fits(visit: Any, page: str) -> None:
    """No console message, foreign request, serious axe finding, sideways scrolling; any theme and width."""
    here = visit()
    opened = here.open(page)
    problems: list[str] = []
    for theme, viewport in (("light", DESK), ("dark", DESK), ("dark", PHONE)):
        opened.emulate_media(color_scheme=theme)
        opened.set_viewport_size(viewport)
        opened.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
        opened.wait_for_timeout(400)  # what moves when the theme or the width changes has come to rest
        found = findings(opened)
        found += [f"too wide: {element}" for element in too_wide(opened)]
        found += [f"no keyboard: {element}" for element in unreachable(opened)]
        found += [f"cut off on the left: {element}" for element in beheaded(opened)]
        if viewport is DESK:
            found += [f"to be scrolled: {element}" for element in cramped(opened)]
        problems += [f"{theme}, {viewport['width']} px: {problem}" for problem in found]
    problems += here.problems
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("page", pages() or ["intro.html"])
def test_page_content(visit: Any, page: str) -> None:
    """Formulas are set, images are described, data can be downloaded."""
    opened = visit().open(page)
    body = opened.inner_text("article") if opened.query_selector("article") else ""
    assert not re.search(r"\\\(|\\\[|\$\$|\{glue|\{cite|\{ref\}|\{doc\}|WARNING", body), "raw markup on the page"
    assert not re.search(r"[A-Z]\w*\\['\"`^~]\w", body), "an accent as LaTeX writes it"
    if page.startswith(WITH_MATH):
        assert opened.locator("mjx-container").count() > 0
    assert opened.locator("span.math:not(:has(mjx-container)), div.math:not(:has(mjx-container))").count() == 0
    for text in descriptions(opened):
        assert len(text) >= 15 and not HASH.search(text), f"image described as {text!r}"
    for address in opened.eval_on_selector_all("a[download]", "all => all.map(a => a.href)"):
        path = Path(address.removeprefix("file://"))
        assert path.is_file() and path.stat().st_size > 0, address


def descriptions(page: Any) -> list[str]:
    """What a screen reader says for each figure; an empty alt marks mere decoration."""
    return page.evaluate(
        """() => [
          ...[...document.querySelectorAll('article img')]
            .filter(e => e.getAttribute('alt') !== '' && !e.hidden)
            .map(e => e.getAttribute('alt') ?? '(no alt)'),
          ...[...document.querySelectorAll('article svg')]
            .filter(e => e.getAttribute('role') === 'img' || e.closest('figure'))
            .map(e => e.getAttribute('aria-label') ?? '(none)'),
        ]"""
    )


@pytest.mark.parametrize("page", chapters())
def test_chapter_has_its_parts(visit: Any, page: str) -> None:
    """A card before the text, figures with data, verdict cards, a run record after the text."""
    opened = visit().open(page)
    assert "make chapter NAME=" in opened.inner_text(".dlp-opening")
    assert opened.locator("figure.dlp-figure").count() > 0
    assert opened.locator("figure.dlp-figure:not(:has(a.dlp-csv))").count() == 0
    assert opened.locator(".dlp-card").count() > 0
    assert opened.locator("section#run-record table").count() == 1
    assert "injected" not in opened.content()


def test_front_page_leads_on(visit: Any) -> None:
    """The start page opens the front page, which shows every claim as a picture and as a table."""
    opened = visit().page
    opened.goto(f"file://{SITE}/index.html")
    opened.wait_for_url("**/intro.html")
    assert opened.locator(".dlp-scoreboard.dlp-wide svg[role=img]").is_visible()
    assert not opened.locator(".dlp-scoreboard.dlp-narrow svg").is_visible()
    links = opened.locator(".dlp-score .dlp-claims a")
    assert links.count() > 0
    links.first.click()
    opened.wait_for_url("**/ledger.html#claim-*")
    assert opened.locator("tr:target").count() == 1


def test_search_finds_without_a_network(visit: Any) -> None:
    """The search page lists pages from a folder, with no server and no network."""
    here = visit()
    opened = here.open("search.html?q=memorize")
    opened.wait_for_selector("#search-results li", timeout=10_000)
    assert opened.locator("#search-results li a").count() > 0
    assert not here.problems


def test_ledger_filters_and_sorts(visit: Any) -> None:
    """Lines of the ledger can be narrowed and ordered; without scripts they are all there."""
    opened = visit().open("generated/ledger.html")
    rows = opened.locator(".dlp-ledger tbody tr")
    every = rows.count()
    opened.locator(".dlp-filter input").fill("no claim says this")
    assert opened.locator(".dlp-ledger tbody tr:visible").count() == 0
    opened.locator(".dlp-filter input").fill("")
    assert opened.locator(".dlp-ledger tbody tr:visible").count() == every
    opened.get_by_role("button", name="Verdict").click()
    order = [
        int(value)
        for value in opened.eval_on_selector_all(".dlp-ledger tbody tr", "all => all.map(r => r.dataset.order)")
    ]
    assert order == sorted(order)


def test_keyboard_reaches_the_content(visit: Any) -> None:
    """The first tab stop leads to the content; the theme can be switched; focus is seen."""
    opened = visit().open("intro.html")
    opened.keyboard.press("Tab")
    focused = opened.evaluate("document.activeElement.textContent.trim()")
    assert focused == "Skip to main content"
    opened.wait_for_function("document.querySelector('.skip-link').getBoundingClientRect().top >= 0")
    opened.keyboard.press("Enter")
    assert opened.url.endswith("#main-content")
    switch = opened.locator("button.theme-switch-button:visible").first
    before = opened.evaluate("document.documentElement.dataset.mode")
    switch.focus()
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.documentElement.dataset.mode") != before
    opened.keyboard.press("Tab")
    outline = opened.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


@pytest.mark.parametrize("page", chapters())
def test_player_works_by_keyboard(visit: Any, page: str) -> None:
    """An animation does not start by itself; its button and its slider work with keys."""
    opened = visit().open(page)
    for player in opened.locator(".dlp-player").all():
        slider, button = player.locator("input[type=range]"), player.locator("button")
        end = slider.get_attribute("max")
        assert "Play" in button.inner_text()
        slider.focus()
        opened.keyboard.press("Home")
        assert slider.input_value() == "0"
        first = player.locator("output").inner_text()
        opened.keyboard.press("ArrowRight")
        assert slider.input_value() == "1" and player.locator("output").inner_text() != first
        button.focus()
        opened.keyboard.press("Enter")
        assert "Pause" in button.inner_text()
        opened.keyboard.press("Enter")
        assert "Play" in button.inner_text()
        assert int(slider.input_value()) <= int(end)
        assert player.locator("img:visible").count() == 1


@pytest.mark.parametrize("page", chapters())
def test_folded_code_opens_by_keyboard(visit: Any, page: str) -> None:
    """Folded code is a native disclosure: Enter opens it."""
    opened = visit().open(page)
    folded = opened.locator("details.hide summary")
    assert folded.count() > 0
    folded.first.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("details.hide[open]").count() >= 1
