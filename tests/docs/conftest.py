"""Where the pages' commands and programs run."""

from __future__ import annotations

import pytest

from tests.doc_pages import ROOT, blocks


@pytest.fixture
def place(serve, tmp_path, monkeypatch):
    """A folder with what the pages take for granted, and a server behind every judge they name."""
    server = serve(lambda text: float(len(text)))
    sample = (ROOT / "ranker" / "suites" / "data" / "sample.jsonl").read_text()
    (tmp_path / "groups.jsonl").write_text(sample)
    (tmp_path / "my_prompts").mkdir()
    (template,) = [code for _, code in blocks("jinja")]
    (tmp_path / "my_prompts" / "terse.v1.j2").write_text(template)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-documents-0000")
    return server
