"""Links to hosted copies of a chapter, only when the environment names the repository: no button is dead."""

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

__all__ = ["BRANCH", "PUBLISHED_BRANCH", "Repository", "chapter_links", "repository"]

BRANCH = "main"
PUBLISHED_BRANCH = "gh-pages"
_GITHUB = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")


@dataclass(frozen=True)
class Repository:
    """A public repository on GitHub."""

    owner: str
    name: str

    @property
    def url(self) -> str:
        """Address of the repository."""
        return f"https://github.com/{self.owner}/{self.name}"


def repository() -> Repository | None:
    """The repository named by the environment variable ``REPOSITORY_URL``; None when it is not set.

    Raises:
        ValueError: if it is not the address of a GitHub repository.
    """
    url = os.environ.get("REPOSITORY_URL", "").strip()
    if not url:
        return None
    match = _GITHUB.fullmatch(url)
    if not match:
        raise ValueError(f"REPOSITORY_URL must look like https://github.com/owner/name; got {url!r}")
    return Repository(*match.groups())


def chapter_links(where: Repository, slug: str, profile: str, versions: dict[str, str]) -> list[tuple[str, str]]:
    """Label and address of what a reader can do with a chapter elsewhere.

    Args:
        where: the repository.
        slug: the chapter.
        profile: profile of the run on the page, named in a problem report.
        versions: of Python and of packages, named in a problem report.
    """
    path = f"{where.owner}/{where.name}"
    colab = f"https://colab.research.google.com/github/{path}/blob/{PUBLISHED_BRANCH}/notebooks/{slug}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{path}/{BRANCH}?" + urlencode({"labpath": f"experiments/{slug}.ipynb"})
    return [
        ("Open in Colab", colab),
        ("Open in Binder", binder),
        ("Edit the source", f"{where.url}/edit/{BRANCH}/experiments/{quote(slug)}.md"),
        ("Report a problem", _report(where, slug, profile, versions)),
    ]


def _report(where: Repository, slug: str, profile: str, versions: dict[str, str]) -> str:
    lines = [f"- {name} {version}" for name, version in versions.items()]
    body = "\n".join(
        [
            "What I expected:",
            "",
            "What I saw:",
            "",
            f"Page: chapters/{slug}",
            f"Profile: {profile}",
            "Versions:",
            *lines,
        ]
    )
    return f"{where.url}/issues/new?" + urlencode({"title": f"{slug}: ", "body": body})
