"""MkDocs hook: what turns docs/ into a site, besides MkDocs.

The pages are plain Markdown that GitHub shows as they lie in the repository, so they refer to `../results/…` as to each
other. MkDocs knows docs/ alone and would call that broken. So results/ becomes a part of the site, its tables and
folders as pages, README.md the front page, and links to files of the repository are led to their places in the site.

Two pages are filled in here, at every build, so that they are never stale: the figures from the registry and results/,
and the API reference from the public names.
"""

import re
from pathlib import Path
from posixpath import relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from scripts.pages.figures import all_figures
from scripts.pages.reference import all_names

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
FILLED_IN = {
    "figures.md": ("<!-- the figures -->", lambda: all_figures(RESULTS)),
    "reference.md": ("<!-- the names -->", all_names),
}
LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[#)])")  # to a file, up to its anchor


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """README.md and all of results/ beside docs/; of each folder a page that lists it."""
    sources = [
        ROOT / "README.md",
        ROOT / "CITATION.cff",
        *sorted(path for path in RESULTS.rglob("*") if path.is_file()),
    ]
    for source in sources:
        files.append(File.generated(config, in_site(source), abs_src_path=str(source)))
    for folder in {parent for source in sources for parent in source.parents if parent.is_relative_to(RESULTS)}:
        inside = [f"- [{path.name}]({path.name}{'/index.md' * path.is_dir()})" for path in sorted(folder.iterdir())]
        listing = "\n".join([f"# {folder.relative_to(ROOT)}\n", *inside])
        files.append(File.generated(config, in_site(folder), content=listing))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with what is filled in, and with its links led to places in the site."""
    name = page.file.src_uri
    if name in FILLED_IN:
        mark, content = FILLED_IN[name]
        before, after = markdown.split(mark)
        markdown = before + content() + after
    if name.startswith("results/"):
        page.meta["search"] = {"exclude": True}  # tables of numbers
    if page.file.abs_src_path is None:  # a listing: its links are those of the site already
        return markdown
    folder = Path(page.file.abs_src_path).parent

    def led(link: re.Match[str]) -> str:
        target = (folder / link[0]).resolve()
        known = target.exists() and target.is_relative_to(ROOT)
        return relpath(in_site(target), str(Path(name).parent)) if known else link[0]

    return LINK.sub(led, markdown)


def in_site(path: Path) -> str:
    """The place in the site of a file or folder of the repository."""
    if path == ROOT / "README.md":
        return "index.md"
    place = path.relative_to(ROOT).as_posix().removeprefix("docs/")
    return f"{place}/index.md" if path.is_dir() else place
