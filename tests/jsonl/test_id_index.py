"""Names and numbers, exact for any number of names and in little memory."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.jsonl.id_index import IdIndex

NAMES = st.text(max_size=6) | st.sampled_from(["a", "A", "ä", "a\0", "\ud800", ""])


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), NAMES, st.integers(0, 3))))
def test_it_does_what_a_dictionary_does(steps):
    known, plain = IdIndex(), {}
    for replace, name, value in steps:
        if replace:
            known.put(name, value)
            plain[name] = value
        else:
            assert known.setdefault(name, value) == plain.setdefault(name, value)
    assert len(known) == len(plain)
    assert all(known.count(value) == list(plain.values()).count(value) for value in range(4))
    assert all(name in known and known.get(name) == value for name, value in plain.items())
    assert known.get("b" * 7) is None
    assert ("a" in known) == ("a" in plain)
    known.close()


def test_memory_does_not_grow_with_the_names():
    """A dictionary of these would take 60 MB."""
    code = """
import resource
from ranker.jsonl.id_index import IdIndex
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
known = IdIndex()
for i in range(1_000): known.put(f"task-{i * 2_654_435_761 % 2**32:x}", 0)
before = peak()
for i in range(400_000): known.put(f"task-{i * 2_654_435_761 % 2**32:x}", i % 2)
assert len(known) == 400_000 and known.count(1) == 200_000
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 25
