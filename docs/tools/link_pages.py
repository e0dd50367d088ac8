#!/usr/bin/env python3
"""Makes the links of Doxygen's pages hold, and finds those that do not: link_pages.py HTML ROOT.

Doxygen 1.9.4 leaves links to a heading of another Markdown page as they are written, docs/gpu.md#speed, and numbers its headings. So
they are led to the page and number here. Then every link and picture in the folder must lead to a file that is there, and to a place
in it. Links to files of the repository that are no pages must name one that is there; they are led to no page, and stay as text.
"""

import html
import pathlib
import re
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

HEADING = re.compile(r'<h[1-6]><a class="anchor" id="([^"]*)"></a>\s*(.*?)</h[1-6]>', re.DOTALL)
LINK = re.compile(r'<a href="(?!https?:|mailto:|#)([^"]*?)(#[^"]*)?">(.*?)</a>', re.DOTALL)


def slug_of(heading):
    """The anchor that GitHub gives a heading."""
    text = html.unescape(re.sub(r"<[^>]*>", "", heading)).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def page_of(path, root):
    """The name of a Markdown page in HTML, or none."""
    if path.suffix != ".md" or not path.is_relative_to(root):
        return None
    relative = path.relative_to(root)
    if str(relative) == "README.md":
        return "index.html"
    return "md_" + str(relative.with_suffix("")).replace("/", "_") + ".html"


class Page:
    def __init__(self, file):
        self.file, self.text = file, file.read_text(encoding="utf-8")
        self.anchors = {slug_of(words): anchor for anchor, words in HEADING.findall(self.text)}


def lead(page, pages, root, problems):
    """Rewrites the page's links to Markdown pages and to other files of the repository."""
    source = {page_of(p, root): p for p in [*root.glob("*.md"), *root.glob("docs/*.md")]}.get(
        page.file.name
    )
    if source is None:
        return

    def replaced(match):
        path, anchor, words = match[1], (match[2] or "")[1:], match[3]
        file = (source.parent / unquote(path)).resolve()
        name = page_of(file, root)
        if name in pages and not (page.file.parent / path).is_file():
            number = pages[name].anchors.get(anchor)
            if anchor and number is None:
                problems.append(f"{source.relative_to(root)}: {path}#{anchor} is no heading there")
            return f'<a href="{name}{"#" + number if number else ""}">{words}</a>'
        if (
            (page.file.parent / path).is_file()
            or not file.is_relative_to(root)
            or not file.exists()
        ):
            return match[0]
        return words

    page.text = LINK.sub(replaced, page.text)
    page.file.write_text(page.text, encoding="utf-8")


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.to, self.ids = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.ids.add(value)
            if (tag, name) in (
                ("a", "href"),
                ("img", "src"),
                ("link", "href"),
                ("script", "src"),
            ) and value:
                self.to.add(value)


def check(folder, problems):
    parsed = {f.name: Links(f.read_text(encoding="utf-8")) for f in sorted(folder.glob("*.html"))}
    for name, links in parsed.items():
        for link in sorted(links.to):
            parts = urlsplit(link)
            # Doxygen itself links to a list of nested classes that it leaves out where all are private.
            if parts.scheme or link.startswith("//") or link == "#nested-classes":
                continue
            to = unquote(parts.path) or name
            if not (folder / to).is_file():
                problems.append(f"{name}: {link} is not there")
            elif parts.fragment and to in parsed and unquote(parts.fragment) not in parsed[to].ids:
                problems.append(f"{name}: {link} has no such place")
    return sum(len(links.to) for links in parsed.values())


def main():
    folder, root = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    problems = []
    pages = {f.name: Page(f) for f in [folder / "index.html", *folder.glob("md_*.html")]}
    for page in pages.values():
        lead(page, pages, root, problems)
    links = check(folder, problems)
    for problem in problems:
        print(f"link_pages.py: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{links} links hold")


if __name__ == "__main__":
    main()
