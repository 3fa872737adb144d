# SPDX-License-Identifier: Apache-2.0
"""The pages: their links lead somewhere, every page is listed, and the README keeps what it promises."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def links(page: Path) -> list[str]:
    text = without_code(page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for link in links(page):
        place, _, anchor = unquote(link).partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link} is not there"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: no such heading"


def test_every_page_is_in_the_list_of_pages() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert set((ROOT / "docs").rglob("*.md")) - {index} <= listed


def test_the_readme_names_the_two_commands_and_shows_an_animated_image() -> None:
    assert re.search(r"^make demo .*^make test ", README, re.DOTALL | re.MULTILINE)
    with Image.open(ROOT / "docs" / "images" / "view.webp") as image:
        assert image.n_frames > 10
    assert (ROOT / "docs" / "images" / "view.webp").stat().st_size < 2_000_000
    assert len(links(ROOT / "README.md")) < 20


def test_an_estimate_says_what_it_rests_on() -> None:
    """The figures of Bridge follow from the presets: batch, updates, pixels and the cost of an update."""
    updates, batch, passes, multiplications = 160_000, 64, 9, 5.65e9
    work = 2 * passes * multiplications * batch
    assert "160 000 updates of 6.5 TFLOP" in README and round(work / 1e12, 1) == 6.5
    assert [round(updates * work / speed / 3600) for speed in (100e12, 30e12)] == [3, 10]
    assert "3 hours on one GPU that sustains 100 TFLOP/s, 10 hours at 30" in README and "113 GB" in README
    assert round(2.3e6 * 128 * 128 * 3 / 1e9) == 113


def test_the_citation_can_be_read() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["license"] == "Apache-2.0"
    assert len(citation["preferred-citation"]["authors"]) == 7
