"""`ranker label` in the terminal, as a person runs it: a process, its input, its files."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import time
from string import ascii_uppercase

import pytest

from ranker.jsonl.group_file import read_groups
from ranker.suites import load
from ranker.tuning.examples import read_examples
from tests.labelling.people import command, group, label, records, right, write


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "groups.jsonl", [group(i) for i in range(3)]), tmp_path / "labels.jsonl"


def test_an_order_becomes_a_ranking_and_ground_truth(files):
    source, out = files
    tied = right(1).replace(">", "=", 1)
    done = label(source, out, f"{right(0)}\n{tied}\n{'='.join('ABCD')}\n", "--name", "ann")
    assert done.returncode == 0, done.stderr
    assert "3 groups labelled; 0 left" in done.stderr
    strict, two, all_tied = records(out)
    assert strict["ranking"] == [["secret-0"], ["secret-1"], ["secret-2"], ["secret-3"]]
    assert [t["ground_truth"] for t in strict["trajectories"]] == [1.0, 2 / 3, 1 / 3, 0.0]
    assert two["ranking"][0] == ["secret-0", "secret-1"]
    assert [t["ground_truth"] for t in two["trajectories"]] == [5 / 6, 5 / 6, 1 / 3, 0.0]
    assert {t["ground_truth"] for t in all_tied["trajectories"]} == {0.5}
    assert strict["judge"] == "ann"
    came = json.loads(source.read_text().splitlines()[0])
    for now, before in zip(strict["trajectories"], came["trajectories"], strict=True):
        assert {**now, "ground_truth": 0} == {**before, "ground_truth": 0}
    assert sorted(p.name for p in out.parent.iterdir()) == ["groups.jsonl", "labels.jsonl"]


def test_nothing_shown_leads_the_person(tmp_path):
    judged = {"rewards": {"secret-0": 1.0}, "reasons": {"secret-0": "hush-reason"}, "judge": "hush-judge"}
    source = write(tmp_path / "g.jsonl", [group(0, reference="hush-reference", **judged)])
    shown = label(source, tmp_path / "l.jsonl", "v\n").stdout
    assert shown.count("Question 0: which number?") == 2  # once in the group, once in full
    assert all(shown.count(f"number <{k}> of 0") == 2 for k in range(4))
    assert "secret" not in shown
    assert "hush" not in shown
    assert "ground" not in shown


def test_what_is_no_order_of_all_is_refused_and_asked_again(files):
    source, out = files
    done = label(source, out, "A>B\nAABCD\nABCX\n?\nv Z\n\nD=C=B=A\nq\n")
    assert "missing: C, D" in done.stdout
    assert "twice: A" in done.stdout
    assert "no attempt 'X'" in done.stdout
    assert "skip this group" in done.stdout
    assert "no attempt 'Z'" in done.stdout
    assert done.returncode == 0
    assert "1 groups labelled; 2 left" in done.stderr
    assert len(records(out)) == 1


def test_an_order_that_begins_with_v_is_no_wish_to_view(tmp_path):
    source, out = write(tmp_path / "g.jsonl", [group(i, 22) for i in range(4)]), tmp_path / "labels.jsonl"
    letters = f"V{ascii_uppercase[:21]}"
    typed = [join.join(letters) for join in (" > ", " ", ", ")] + [f"v {letters[1:]}"]
    done = label(source, out, "\n".join(["v v", *typed]) + "\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Saved V > A > B > C") == 4
    assert "no attempt" not in done.stdout
    for made in records(out):
        assert [len(tier) for tier in made["ranking"]] == [1] * 22


def test_undo_takes_back_an_order_and_a_skipped_group(files):
    source, out = files
    typed = ["u", "ABCD", "s", "u", "u", right(0), right(1), right(2)]
    done = label(source, out, "\n".join(typed) + "\n")
    assert "Nothing was answered" in done.stdout
    assert [r["id"] for r in records(out)] == ["g0", "g1", "g2"]
    assert all(r["ranking"][0] == ["secret-0"] for r in records(out))
    assert not out.with_name("labels.jsonl.skipped").exists()


def test_started_again_it_goes_on_and_skipped_groups_stay_skipped(files):
    source, out = files
    label(source, out, f"{right(0)}\ns\n")
    assert records(out.with_name("labels.jsonl.skipped")) == [{"id": "g1", "skipped": True}]
    done = label(source, out, f"{right(2)}\n")
    assert "Group 3 of 3" in done.stdout
    assert done.stdout.count("Question") == 1
    assert [r["id"] for r in records(out)] == ["g0", "g2"]
    assert "0 left" in label(source, out, "").stderr


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_only_the_group_under_work(files):
    source, out = files
    for i in range(3):
        process = subprocess.Popen(
            command("label", source, "--out", out),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        process.stdin.write(right(i) + "\nAB")
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while (out.read_bytes().count(b"\n") if out.exists() else 0) <= i:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.wait()
        process.stdin.close()
        if i == 1:
            whole = out.read_bytes()
            out.write_bytes(whole[: whole.rindex(b'"trajectories"')])  # as a power failure may leave it
            assert label(source, out, f"{right(1)}\nq\n").returncode == 0
            kept = [json.dumps({**r, "label": 0}) for r in records(out)]
            assert kept == [json.dumps({**json.loads(line), "label": 0}) for line in whole.splitlines()]
    assert [r["id"] for r in records(out)] == ["g0", "g1", "g2"]


def test_ctrl_c_ends_with_130_and_what_was_finished_is_saved(files):
    source, out = files
    me, other = pty.openpty()
    process = subprocess.Popen(
        command("label", source, "--out", out), stdin=other, stdout=other, stderr=other, start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(other)
    seen = b""

    def until(what: bytes) -> None:
        nonlocal seen
        deadline = time.monotonic() + 60
        while what not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([me], [], [], 0.5)[0]:
                seen += os.read(me, 65_536)

    until(b"[0 of 3] order: ")
    os.write(me, right(0).encode() + b"\n")
    until(b"[1 of 3")
    until(b"minutes a group] order: ")
    os.write(me, b"v b\n")
    until(b"Attempt B")
    process.send_signal(signal.SIGINT)
    until(b"interrupted; what was finished is saved")
    assert process.wait(60) == 130
    os.close(me)
    assert [r["id"] for r in records(out)] == ["g0"]


def test_following_it_waits_for_whole_lines_that_come_later(tmp_path):
    source, out = tmp_path / "queue.jsonl", tmp_path / "labels.jsonl"
    process = subprocess.Popen(
        command("label", source, "--out", out, "--follow"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "Which attempt" in process.stdout.readline()
    assert "Waiting for groups" in process.stdout.readline()
    line = json.dumps(group(0))
    with open(source, "w") as queue:
        queue.write(line[:50])
        queue.flush()
        time.sleep(1.5)
        queue.write(line[50:] + "\n" + json.dumps(group(1)) + "\nnonsense\n" + json.dumps(group(2)) + "\n")
    while "Attempt D" not in process.stdout.readline():
        pass
    said, err = process.communicate("\n".join([right(0), right(1), right(2), "q"]) + "\n", timeout=60)
    assert process.returncode == 0
    assert "Waiting for further groups" in said
    assert [r["id"] for r in records(out)] == ["g0", "g1", "g2"]
    assert "line 3" in err.lower()
    assert "3 groups labelled; 0 left" in err


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{}", json.dumps(group(0))], "Line 1"),
        ([json.dumps(group(0)), "nonsense"], "Line 2 is not JSON"),
        ([json.dumps(group(0)), json.dumps(group(0))], "Line 2: the id 'g0' stands on line 1 already"),
        ([json.dumps(group(0, 1))], "no groups of two"),
    ],
)
def test_a_bad_input_is_named_and_nothing_is_written(tmp_path, lines, said):
    source = tmp_path / "g.jsonl"
    source.write_text("\n".join(lines) + "\n")
    done = label(source, tmp_path / "l.jsonl", "ABCD\n")
    assert done.returncode == 2
    assert said in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["g.jsonl"]


def test_a_closed_standard_input_is_said(files):
    source, out = files
    words = " ".join(map(shlex.quote, command("label", source, "--out", out)))
    done = subprocess.run(f"{words} <&-", shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "Standard input is closed" in done.stderr
    assert "--browser" in done.stderr
    assert not out.exists()


def test_no_file_of_others_is_changed(files):
    source, out = files
    before = source.read_bytes()
    assert label(source, source, "ABCD\n").returncode == 2
    assert source.read_bytes() == before
    ranked = json.dumps({"id": "g0", "rewards": {}, "ranking": []}) + "\n"
    out.write_text(ranked)
    done = label(source, out, "ABCD\n")
    assert done.returncode == 2
    assert "line 1, is no label" in done.stderr
    assert out.read_text() == ranked


def test_a_group_that_changed_is_named(files):
    source, out = files
    label(source, out, f"{right(0)}\n")
    changed = group(0)
    changed["trajectories"][0]["messages"][1]["content"] = "It was another."
    write(source, [changed])
    done = label(source, out, "ABCD\n")
    assert done.returncode == 2
    assert "line 1" in done.stderr
    assert "other attempts" in done.stderr


@pytest.mark.slow
def test_groups_shown_again_tell_the_agreement(tmp_path):
    n = 12
    source, out = write(tmp_path / "g.jsonl", [group(i) for i in range(n)]), tmp_path / "l.jsonl"
    again = tmp_path / "l.jsonl.again"
    asked = []
    with_state = label(source, out, "\n".join(right(i) for i in range(5)) + "\n", "--again", 1)
    assert with_state.returncode == 0
    assert not again.exists()
    # What comes next is read from what is shown: new groups and repeats, each answered by its numbers.
    process = subprocess.Popen(
        command("label", source, "--out", out, "--again", 1, "--name", "bob"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    second = False
    while (line := process.stdout.readline()) != "":
        if line.startswith("─"):
            second = "second time" in line
        if "Question" in line:
            i = int(line.split("Question ")[1].split(":")[0])
            asked.append((i, second))
            answer = right(i, again=second)
            process.stdin.write((answer[::-1] if second and i == 0 else answer) + "\n")
            process.stdin.flush()
    err = process.stderr.read()
    assert process.wait(60) == 0, err
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    assert sorted(i for i, second in asked if not second) == list(range(5, n))
    assert sorted(i for i, second in asked if second) == list(range(n))
    assert asked[0] == (5, False)
    assert len(records(out)) == n
    kept = {r["id"]: r for r in records(again)}
    assert kept["g0"]["equal_pairs"] == 0
    assert kept["g1"]["equal_pairs"] == kept["g1"]["pairs"] == 6
    assert kept["g1"]["judge"] == "bob"
    assert kept["g1"]["first"]["judge"] == "person"
    assert f"agreement of the two orders: {66 / 72:.0%} (" in err
    assert f"of {6 * n} pairs in {n} groups" in err
    assert "0 left" in label(source, out, "", "--again", 1).stderr


def test_hostile_text_is_shown_as_text(tmp_path):
    evil = "\x1b[2J\x1b]0;owned\x07 \r hidden \u202e\u0085 <b>\x9b31m [bold red]markup[/]"
    first = group(0)
    first["task"] = evil
    for member in first["trajectories"]:
        member["messages"] += [
            {"role": "assistant", "name": "\x1b[31m\nAttempt A", "content": evil,
             "tool_calls": [{"id": "1", "function": {"name": evil, "arguments": evil}}]},
            {"role": "tool", "tool_call_id": "1", "content": evil},
        ]  # fmt: skip
    source = write(tmp_path / "g.jsonl", [first])
    done = label(source, tmp_path / "l.jsonl", "v\nDCBA\n")
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout) & {"\x1b", "\x07", "\r", "\u202e", "\u0085", "\x9b"}
    assert "⟨U+001B⟩[2J" in done.stdout
    assert "[bold red]markup[/]" in done.stdout


@pytest.mark.slow
def test_long_attempts_are_shortened_until_asked_for(tmp_path):
    one = group(0, 2)
    for k, member in enumerate(one["trajectories"]):
        steps = [
            message
            for s in range(20)
            for message in (
                {"role": "assistant", "content": f"step {s} of {k} " + "word " * 200},
                {"role": "user", "content": f"go on {s}"},
            )
        ]
        member["messages"] = [
            member["messages"][0],
            *steps,
            {"role": "assistant", "content": "end " * 500 + f"fin{k}"},
        ]
    source = write(tmp_path / "g.jsonl", [one])
    short = label(source, tmp_path / "l.jsonl", "q\n").stdout
    assert "fin0" in short
    assert "step 0 of 0" in short
    assert "step 10 of" not in short
    assert "more steps" in short
    assert "v A shows all of it" in short
    full = label(source, tmp_path / "l.jsonl", "v A\n").stdout
    assert full.count("step 10 of") == 1


@pytest.mark.slow
def test_strings_and_message_lists_can_be_labelled(tmp_path):
    source = tmp_path / "g.jsonl"
    source.write_text(
        json.dumps(
            {"task": "Say hello.", "trajectories": ["Hello.", [{"role": "assistant", "content": "Bye."}]]}
        )
        + "\n"
    )
    out = tmp_path / "l.jsonl"
    assert label(source, out, "AB\n").returncode == 0
    assert "0 left" in label(source, out, "").stderr
    (found,) = read_groups(out)
    assert sorted(t.ground_truth for t in found.trajectories) == [0.0, 1.0]
    assert found.id == "line:1"


def test_the_labels_are_what_other_commands_measure_with(files):
    source, out = files
    label(source, out, f"{right(0)}\ns\n{right(2)}\n")
    assert [g.id for g in load(str(out)).groups] == ["g0", "g2"]
    examples = read_examples(out)
    assert examples.truth == "ground_truth"
    assert [e.truths_G for e in examples.examples] == [(1.0, 2 / 3, 1 / 3, 0.0)] * 2


@pytest.mark.slow
def test_bench_and_audit_take_the_labels(files, serve):
    source, out = files
    label(source, out, f"{right(0)}\n{right(1)}\n{right(2)}\n")
    done = subprocess.run(
        command("bench", "--judge", "oracle", "--suite", out, "--accuracy-only", "--out", out.parent / "bench"),
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = json.loads((out.parent / "bench/results.json").read_text())["cells"]
    oracle = next(c for c in cells if c["judge"] == "oracle")
    assert oracle["groups"] == 3
    assert oracle["metrics"]["pairwise_accuracy"]["value"] == 1.0
    judge = serve(lambda text: float(len(text)))
    done = subprocess.run(
        command("audit", out, "--judge", "sim", "--base-url", judge.base_url, "--out", out.parent / "audit", "--edit", "padding"),
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
