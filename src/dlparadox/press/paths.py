"""Where everything of the project lies, found from its root folder."""

from dataclasses import dataclass
from pathlib import Path

from dlparadox.press.errors import PressError, unknown

__all__ = ["PROFILES", "Project"]

#: The two profiles of a chapter: a minute on one core, and the paper's own data and sizes.
PROFILES = ("quick", "paper")


@dataclass(frozen=True)
class Project:
    """The folders of a project. All paths are absolute when ``root`` is."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Project":
        """The project that ``start`` (the working directory by default) lies in.

        Raises:
            PressError: outside a project.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "pyproject.toml").is_file() and (folder / "experiments").is_dir():
                return cls(folder)
        raise PressError(f"{start} is not inside the project; change to its folder, the one with pyproject.toml")

    @property
    def experiments(self) -> Path:
        """The folder of the chapters' sources and references."""
        return self.root / "experiments"

    def chapters(self) -> list[str]:
        """Slugs of all chapters, sorted."""
        return sorted(path.stem for path in self.experiments.glob("*.md"))

    def chapter(self, slug: str) -> str:
        """``slug`` itself, if it is a chapter.

        Raises:
            PressError: with a guess and the list of chapters.
        """
        if slug not in self.chapters():
            raise unknown("chapter", slug, self.chapters())
        return slug

    def source(self, slug: str) -> Path:
        """The MyST text of a chapter, the half of the pair that people edit."""
        return self.experiments / f"{slug}.md"

    def reference(self, slug: str) -> Path:
        """The executed half of the pair, with text outputs only."""
        return self.experiments / f"{slug}.ipynb"

    def paper_parameters(self, slug: str) -> Path:
        """Parameters of the run at the paper's scale."""
        return self.experiments / "paper" / f"{slug}.yaml"

    def recorded(self, slug: str) -> Path:
        """Folder of the committed paper-scale record."""
        return self.experiments / "records" / slug

    def build(self, profile: str) -> Path:
        """Folder of what a profile's runs write: executed notebooks, records, finished cells.

        Raises:
            PressError: for an unknown profile.
        """
        if profile not in PROFILES:
            raise unknown("profile", profile, PROFILES)
        return self.root / "build" / profile

    def seed_folder(self, seed: int) -> Path:
        """Folder of what the paper-scale runs of a single seed write, but for their cells: those are shared."""
        return self.build("paper") / "seeds" / str(seed)

    @property
    def pages(self) -> Path:
        """Folder of the generated pages of the chapters."""
        return self.root / "book" / "chapters"

    @property
    def html(self) -> Path:
        """The front page of the finished book."""
        return self.root / "_build" / "html" / "index.html"
