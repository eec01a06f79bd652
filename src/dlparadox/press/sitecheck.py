"""A check of the built site: every link to a file or to a place within the site leads somewhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["broken_links"]

_ADDRESSES = {"a": "href", "img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src"}


class _Page(HTMLParser):
    """Addresses that a page uses and ids that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[tuple[str, str]] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect one element."""
        values = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := values.get(key))}
        if (value := values.get(_ADDRESSES.get(tag, ""))) and not _is_hint(tag, values):
            self.addresses.append((tag, value))


def _is_hint(tag: str, values: dict[str, str | None]) -> bool:
    """Hints for robots and older browsers are not followed by a reader."""
    return tag == "link" and values.get("rel") in {"canonical", "next", "prev"}


def broken_links(site: Path) -> list[str]:
    """One line for each address that leads nowhere or loads something from another host."""
    pages = {path: _parsed(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    problems = []
    for path, page in pages.items():
        for tag, address in dict.fromkeys(page.addresses):
            if problem := _problem(path, tag, address, site, pages):
                problems.append(f"{path.relative_to(site)}: {problem}")
    return problems


def _parsed(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _problem(path: Path, tag: str, address: str, site: Path, pages: dict[Path, _Page]) -> str | None:
    parts = urlsplit(address)
    if parts.scheme in {"http", "https"} or parts.netloc:
        return None if tag == "a" else f"loads {address} from another host"
    if parts.scheme:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file():
        return f"{address} leads to no file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
        return f"{address} leads to no place on that page"
    return None
