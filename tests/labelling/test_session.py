"""Any sequence of answers and of taking them back leaves what it should."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.labelling.order import chosen
from ranker.labelling.records import agreement
from ranker.labelling.session import Session, again_path, skipped_path
from tests.labelling.people import group, records, write


def ids(path: Path, what: str | None = None) -> list[str]:
    return [r["id"] for r in records(path) if what is None or what in r] if path.exists() else []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["label", "label", "skip", "undo", "restart"]), max_size=25),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(1, 9),
)
def test_files_hold_exactly_the_answers_that_stand(actions, share, n):
    with tempfile.TemporaryDirectory() as folder:
        source, out = write(Path(folder) / "g.jsonl", [group(i) for i in range(n)]), Path(folder) / "l.jsonl"
        session = Session(source, out, again=share, seed=n)
        stands: list[tuple[str, str, bool]] = []  # what was done, to which group, whether shown again
        earlier = 0  # answers of sessions before
        first = {}
        for action in [*actions, *["label"] * 3 * n]:
            task = session.current
            if action == "undo":
                could = len(stands) > earlier
                assert session.undo() is could
                if could:
                    _, name, again = stands.pop()
                    assert session.current is not None
                    assert (session.current.line.id, session.current.again) == (name, again)
            elif action == "restart":
                session.close()
                session = Session(source, out, again=share, seed=n)
                earlier = len(stands)
            elif task is not None:
                if not task.again:
                    first[task.line.id] = task.shown
                else:
                    assert task.shown != first[task.line.id]
                stands.append((action, task.line.id, task.again))
                session.label(((0,), (1, 2), (3,))) if action == "label" else session.skip()
            done = [(name, what) for what, name, again in stands if not again]
            assert ids(out) == [name for name, what in done if what == "label"]
            assert ids(skipped_path(out)) == [name for name, what in done if what == "skip"]
            assert ids(again_path(out)) == [name for _, name, again in stands if again]
            assert session.progress.done == len(done)
        assert session.ended
        session.close()
        assert sorted(ids(out) + ids(skipped_path(out))) == sorted(f"g{i}" for i in range(n))
        repeated = {name for i, name in enumerate(ids(out)) if chosen(i, share, n)}
        assert sorted(ids(again_path(out))) == sorted(repeated)
        share_equal, pairs, count = agreement(again_path(out))
        assert count == len(ids(again_path(out), "pairs"))
        assert pairs == 6 * count
        assert (share_equal.value is None) == (count == 0)


def test_between_a_group_and_its_second_showing_there_are_others(tmp_path):
    source, out = write(tmp_path / "g.jsonl", [group(i) for i in range(30)]), tmp_path / "l.jsonl"
    session = Session(source, out, again=0.4)
    seen: list[tuple[str, bool]] = []
    while session.current is not None:
        seen.append((session.current.line.id, session.current.again))
        session.label(((0, 1, 2, 3),))
    session.close()
    apart = [
        at - seen.index((name, False))
        for at, (name, again) in enumerate(seen[: seen.index(("g29", False))])
        if again
    ]
    assert len(apart) >= 8
    assert min(apart) > 5
    assert not any(a and b for (_, a), (_, b) in itertools.pairwise(seen[:38]))
    assert all(json.loads(line)["pairs"] == 6 for line in again_path(out).read_text().splitlines())
