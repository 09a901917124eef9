"""Links between pages."""

from __future__ import annotations

import re

from tests.doc_pages import PAGES, ROOT


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "examples" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
