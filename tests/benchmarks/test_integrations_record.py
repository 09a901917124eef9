"""The record of the adapters' tests: counted from pytest's own report, an entry for each adapter."""

from __future__ import annotations

import json

from benchmarks.integrations import counted, merged, run

TESTS = """
import pytest

def test_good(): pass

def test_bad(): assert False

@pytest.mark.skip
def test_not_here(): pass

@pytest.fixture
def broken(): raise OSError

def test_broken(broken): pass
"""


def test_tests_are_counted_by_how_they_ended(tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS)
    code, counts = run(tmp_path / "test_some.py")
    assert code == 1
    assert {k: counts[k] for k in ("passed", "skipped", "failed")} == {"passed": 1, "skipped": 1, "failed": 2}


def test_a_file_that_is_skipped_whole_passed_nothing(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="1" failures="0" errors="0" skipped="1"/></testsuites>')
    assert counted(report) == {"passed": 0, "skipped": 1, "failed": 0, "seconds": 0.0}


def test_an_entry_replaces_its_own_and_no_other(tmp_path):
    record = tmp_path / "record.json"
    for name, commit in (("b", "1"), ("a", "2"), ("b", "3")):
        record.write_text(json.dumps(merged(record, name, {"commit": commit})))
    assert json.loads(record.read_text())["integrations"] == {"a": {"commit": "2"}, "b": {"commit": "3"}}
