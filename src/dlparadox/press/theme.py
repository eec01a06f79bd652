"""A Sphinx extension that keeps the theme quiet: no script of a service that this book does not use."""

import re
from pathlib import Path
from typing import Any

from dlparadox.press.links import repository

__all__ = ["setup"]

_FONT_HINT = re.compile(r'\s*<link rel="preload" as="font"[^>]*>')


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx: undo what the theme's companion extension for Thebe would put on every page."""
    for listeners in app.events.listeners.values():
        listeners[:] = [item for item in listeners if getattr(item.handler, "__module__", "") != "sphinx_thebe"]
    styles = app.registry.css_files
    styles[:] = [item for item in styles if "thebe" not in item[0]]
    app.connect("build-finished", _tidy_pages)
    app.connect("config-inited", _link_repository)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _tidy_pages(app: Any, error: Exception | None) -> None:
    """Take out what browsers complain of.

    Hints to load fonts early are errors in a book opened from a folder; a list has to hold list items.
    """
    if error is None:
        for path in Path(app.outdir).rglob("*.html"):
            text = path.read_text(encoding="utf-8")
            text = _FONT_HINT.sub("", text).replace('role="doc-biblioentry"', 'role="listitem"')
            path.write_text(text, encoding="utf-8")


def _link_repository(app: Any, config: Any) -> None:
    """Show a link to the repository in the sidebar, when the environment names one."""
    if where := repository():
        link = {"name": "Repository", "url": where.url, "icon": "fa-brands fa-github", "type": "fontawesome"}
        config.html_theme_options = {**config.html_theme_options, "icon_links": [link]}
