"""docs/which-judge.md is what the judges on record say."""

from __future__ import annotations

from docs import which_judge
from ranker.bench.records import newest, read_judges


def test_page_is_up_to_date() -> None:
    page = which_judge.PAGE.read_text(encoding="utf-8")
    assert which_judge.page() == page, "Run `python -m docs.which_judge` and commit docs/which-judge.md."


def test_every_judge_and_command_on_record_is_on_the_page() -> None:
    page = which_judge.PAGE.read_text(encoding="utf-8")
    for record in newest(read_judges()):
        assert f"`{record.judge}`" in page
        assert which_judge.made_by(record) in page
