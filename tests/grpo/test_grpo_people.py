"""People as the auditor: groups wait, `ranker label` answers while the run goes on, and a resumed run knows all of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from grpo.errors import RunFolderError
from ranker import ConfigurationError
from ranker.jsonl.group_file import dump_line
from ranker.labelling.session import Session
from ranker.watch.audit import Audit
from tests.grpo_runs import begin, lines, opposite, seeded, spread, train

STEPS = {"max_steps": 6, "groups_per_step": 3}
AUDIT = Audit(auditor="people", share=1.0)


def label(out: Path, first: int, last: int, values: Any) -> None:
    """What a person would say of the groups in these places of the queue."""
    with open(out / "labels.jsonl", "ab") as file:
        for record in lines(out / "queue.jsonl")[first:last]:
            said = [
                {**t, "ground_truth": v} for t, v in zip(record["trajectories"], values(record), strict=True)
            ]
            file.write(dump_line({**record, "trajectories": said}))


def by_spread(record: Any) -> list[float]:
    return [sum(map(ord, t["messages"][-1]["content"])) % 97 / 97 for t in record["trajectories"]]


def test_groups_wait_and_answers_are_taken_in_when_they_come(tmp_path):
    out = tmp_path / "run"

    def report(line: Any) -> None:
        if line["step"] == 2:
            label(out, 0, 4, by_spread)
        if line["step"] == 4:
            label(out, 4, 5, by_spread)

    _, history = train(opposite, out=out, audit=AUDIT, report=report, **STEPS)
    assert [m["audited_groups"] for m in history] == [0, 0, 4, 4, 5, 5]
    assert [m["audits_waiting"] for m in history] == [3, 6, 5, 8, 10, 13]
    audits = lines(out / "audits.jsonl")
    answered = [a for a in audits if a.get("waiting") is None]
    assert [(a["step"], a["asked"], a["group"]) for a in answered] == [
        (3, 1, 0),
        (3, 1, 1),
        (3, 1, 2),
        (3, 2, 3),
        (5, 2, 4),
    ]
    assert all(a["agreement"] == 0.0 for a in answered if a["weight"])
    queue = lines(out / "queue.jsonl")
    assert [q["id"] for q in queue] == [str(k) for k in range(18)]
    assert all(set(t) == {"messages"} for q in queue for t in q["trajectories"]), (
        "nothing that leads a person"
    )


def test_the_command_of_the_message_answers(tmp_path, caplog):
    out = tmp_path / "run"
    train(spread, out=out, audit=AUDIT, **{**STEPS, "max_steps": 2})
    assert f"ranker label {out / 'queue.jsonl'} --out {out / 'labels.jsonl'}" in caplog.text
    command = [
        sys.executable,
        "-m",
        "ranker",
        "label",
        str(out / "queue.jsonl"),
        "--out",
        str(out / "labels.jsonl"),
    ]
    done = subprocess.run(command, input="A>B>C>D\nA=B=C=D\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, history = train(spread, out=out, audit=AUDIT, resume=True, **{**STEPS, "max_steps": 2})
    with pytest.raises(RunFolderError, match="other settings"):
        begin(spread, out=out, audit=AUDIT, resume=True, **STEPS)
    assert history[-1]["audits_waiting"] == 6, "the run was over: nothing asks for answers any more"


def test_a_resumed_run_takes_every_answer_once(tmp_path):
    out = tmp_path / "run"

    def report(line: Any) -> None:
        if line["step"] == 2:
            label(out, 0, 5, by_spread)
        if line["step"] == 3:
            raise InterruptedError

    trainer = begin(spread, out=out, audit=AUDIT, **{**STEPS, "save_steps": 2})
    with contextlib.suppress(InterruptedError):
        trainer.train(report)
    trainer.close()
    assert sum(a.get("waiting") is None for a in lines(out / "audits.jsonl")) == 5
    _, history = train(spread, out=out, audit=AUDIT, resume=True, **{**STEPS, "save_steps": 2})
    assert [m["audited_groups"] for m in history] == [0, 0, 5, 5, 5, 5]
    answered = [a["group"] for a in lines(out / "audits.jsonl") if a.get("waiting") is None]
    assert sorted(answered) == [0, 1, 2, 3, 4]
    assert len({q["id"] for q in lines(out / "queue.jsonl")}) == len(lines(out / "queue.jsonl")) == 18


def test_answers_to_groups_that_a_resumed_run_samples_again_are_not_lost(tmp_path):
    out = tmp_path / "run"

    def report(line: Any) -> None:
        if line["step"] == 4:
            label(out, 0, 12, by_spread)
        if line["step"] == 5:
            raise InterruptedError

    trainer = begin(spread, out=out, audit=AUDIT, **{**STEPS, "save_steps": 3})
    with contextlib.suppress(InterruptedError):
        trainer.train(report)
    trainer.close()
    _, history = train(spread, out=out, audit=AUDIT, resume=True, **{**STEPS, "save_steps": 3})
    assert [m["audited_groups"] for m in history] == [0, 0, 0, 9, 12, 12]


def test_other_attempts_under_the_same_number_wait_for_an_answer_of_their_own(tmp_path):
    """After a resume a server samples others than those that people were shown."""
    out, more = tmp_path / "run", {**STEPS, "save_steps": 3}

    def report(line: Any) -> None:
        if line["step"] == 5:
            label(out, 0, 15, by_spread)
            raise InterruptedError

    trainer = begin(spread, out=out, audit=AUDIT, **more)
    with contextlib.suppress(InterruptedError):
        trainer.train(report)
    trainer.close()
    before = lines(out / "queue.jsonl")

    def again(line: Any) -> None:
        if line["step"] == 5:
            label(out, 15, 17, lambda record: by_spread(record)[::-1])

    resumed = seeded(begin(spread, out=out, audit=AUDIT, resume=True, **more))
    resumed.train(again)
    resumed.close()
    queue = lines(out / "queue.jsonl")
    assert queue[:15] == before
    assert [q["id"].partition("-")[0] for q in queue[15:]] == ["12", "13", "14", "15", "16", "17"]
    assert [q["id"].isdigit() for q in queue[15:]] == [False] * 3 + [True] * 3
    answered = {a["group"]: a["auditor"] for a in lines(out / "audits.jsonl") if a.get("waiting") is None}
    assert answered == {
        **{k: by_spread(queue[k]) for k in range(12)},
        **{k: by_spread(queue[k + 3])[::-1] for k in (12, 13)},
    }


def test_an_answer_that_is_taken_back_does_not_end_the_run(tmp_path):
    out, order = tmp_path / "run", ((0,), (1,), (2,), (3,))
    session: list[Session] = []
    said: dict[int, list[float]] = {}

    def report(line: Any) -> None:
        if line["step"] == 1:
            session.append(Session(out / "queue.jsonl", out / "labels.jsonl", follow=True))
            session[0].label(order)
            session[0].label(order)
            session[0].undo()
            session[0].label(order[::-1])
            for record in lines(out / "labels.jsonl"):
                said[int(record["id"])] = [t["ground_truth"] for t in record["trajectories"]]
        if line["step"] == 2:
            session[0].label(order)
            session[0].undo()
            session[0].undo()

    _, history = train(opposite, out=out, audit=AUDIT, report=report, **STEPS)
    session[0].close()
    assert len(history) == STEPS["max_steps"]
    answered = {a["group"]: a["auditor"] for a in lines(out / "audits.jsonl") if a.get("waiting") is None}
    assert answered == said
    assert list(said) == [0, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "x", "trajectories": []},
        {"id": "0", "trajectories": [{"messages": [{"role": "user", "content": "t1"}]}] * 2},
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, wrong):
    out = tmp_path / "run"

    def report(line: Any) -> None:
        (out / "labels.jsonl").write_bytes(dump_line(wrong))

    with pytest.raises(RunFolderError, match=r"labels\.jsonl, line 1"):
        train(spread, out=out, audit=AUDIT, report=report, **STEPS)


def test_people_need_a_folder():
    with pytest.raises(ConfigurationError, match="out="):
        begin(spread, audit=AUDIT)
