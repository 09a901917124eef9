"""Tunings as a whole: what is learned, what is said of it, and runs that are killed and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ranker import ConfigurationError
from ranker.tuning.examples import from_groups, read_examples
from ranker.tuning.folder import BEST, STATE, Folder
from ranker.tuning.run import MOST_TEST, MOST_VALIDATION, Run, Tuning, TuningProgress, TuningResult
from tests.tuning_models import group, tiny, write_groups


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return write_groups(tmp_path_factory.mktemp("groups") / "groups.jsonl", 40)


def quick(base: str, **more: Any) -> Tuning:
    return Tuning(base, **{"epochs": 2, "learning_rate": 1e-2, "minutes": None, **more})


def adapter(out: Path) -> dict[str, bytes]:
    made = load_file(out / "adapter" / "adapter_model.safetensors")
    return {name: weight.view(torch.int16).numpy().tobytes() for name, weight in made.items()}


def untimed(out: Path) -> dict[str, Any]:
    told = json.loads((out / "judge.json").read_text())
    del told["measured"]["tuning"]["seconds"], told["measured"]["trained_on"]
    return told


@pytest.fixture(scope="module")
def learned(base, tmp_path_factory) -> tuple[TuningResult, Path, list[TuningProgress]]:
    """A rule that can be learned: attempts with a certain word are better."""
    out = tmp_path_factory.mktemp("learned")
    heard: list[TuningProgress] = []
    examples = from_groups(group(g) for g in range(160))
    return Run(quick(base, epochs=4), examples, out, report=heard.append).go(), out, heard


def test_it_learns_a_rule_and_says_so(learned):
    tuned, out, _ = learned
    assert tuned.learned
    assert tuned.after.value > 0.85
    assert tuned.after.value - tuned.before.value == pytest.approx(tuned.gain.value)
    told = json.loads((out / "judge.json").read_text())
    assert told["tolerance"] == 0
    assert told["adapter"] == "adapter"
    assert told["measured"]["learned"] is True
    assert told["measured"]["pairwise_accuracy"] == tuned.after.to_dict()
    assert tuned.groups == {"train": 123, "validation": 13, "test": 24, "left_out": 0}


def test_a_judge_can_be_tuned_further(base, learned, tmp_path):
    """Before the first step it is the judge that it goes on from; other groups, so another folder's digest too."""
    _, out, _ = learned
    examples = from_groups(group(g) for g in range(300, 340))
    test = from_groups(group(g) for g in range(400, 420))
    fresh = Run(quick(base, epochs=1), examples, tmp_path / "fresh", test=test).go()
    further = Run(quick(base, epochs=1), examples, tmp_path / "on", test=test, start=out / "adapter").go()
    assert fresh.before.value < 0.7
    assert further.before.value > 0.85
    assert further.after.value > 0.85
    with pytest.raises(ConfigurationError, match="other"):
        Run(quick(base, epochs=1), examples, tmp_path / "on", test=test).go()


def test_every_phase_is_reported(learned):
    tuned, _, heard = learned
    phases = Counter(p.phase for p in heard)
    assert phases["before"] == phases["after"] == 24
    assert phases["training"] == tuned.steps
    assert phases["checking"] % 13 == 0
    assert [p.step for p in heard if p.phase == "training"] == list(range(1, tuned.steps + 1))


def test_it_says_that_drawn_truths_cannot_be_learned(base, tmp_path):
    examples = from_groups(group(g, rule=False) for g in range(60))
    tuned = Run(quick(base), examples, tmp_path).go()
    assert not tuned.learned
    assert json.loads((tmp_path / "judge.json").read_text())["measured"]["learned"] is False


def test_what_is_never_better_than_the_base_is_not_kept(base, tmp_path):
    examples = from_groups(group(g, rule=False) for g in range(40))
    tuned = Run(quick(base, learning_rate=3.0, patience=2), examples, tmp_path).go()
    kept = torch.load(tmp_path / STATE, weights_only=True)
    if kept["bad"] == kept["checked"]:  # every check after the first was worse
        assert tuned.gain.value == 0
    assert tuned.stopped == "early"
    assert tuned.steps < 8


def test_the_last_state_is_kept_where_asked(base, tmp_path):
    examples = from_groups(group(g, rule=False) for g in range(40))

    def last_is_saved(keep: str) -> bool:
        Run(quick(base, learning_rate=3.0, patience=2, keep=keep), examples, tmp_path / keep).go()
        state = torch.load(tmp_path / keep / STATE, weights_only=True)
        assert state["bad"] == 2, "worse than it was"
        last = {p.to(torch.bfloat16).view(torch.int16).numpy().tobytes() for p in state["params"]}
        return last == set(adapter(tmp_path / keep).values())

    assert last_is_saved("last")
    assert not last_is_saved("best")


def test_each_group_is_seen_once_an_epoch(base, tmp_path):
    run = Run(quick(base, epochs=3, batch=8), from_groups(group(g) for g in range(30)), tmp_path)
    steps = -(-len(run.train) * 3 // 8)
    seen = [e.id for step in range(steps) for e in run._batch(step)]
    n = len(run.train)
    assert [len(run._batch(s)) for s in range(steps)][:-1] == [8] * (steps - 1)
    for epoch in range(3):
        assert sorted(seen[epoch * n : (epoch + 1) * n]) == sorted(e.id for e in run.train)
    assert len(seen) == 3 * n


def start(base: str, file: Path, out: Path) -> subprocess.Popen[str]:
    words = [
        sys.executable,
        "-m",
        "ranker",
        "tune-judge",
        str(file),
        "--base",
        f"local:{base}",
        "--out",
        str(out),
    ]
    return subprocess.Popen(
        [*words, "--epochs", "2", "--learning-rate", "0.01"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def stop(process: subprocess.Popen[str], sign: signal.Signals, when: Callable[[], bool]) -> tuple[int, str]:
    """Send a signal as soon as something is so; the exit code and what was said."""
    while process.poll() is None and not when():
        time.sleep(0.005)
    process.send_signal(sign)
    _, said = process.communicate()
    return process.returncode, said


def step_in(out: Path) -> int:
    try:
        return int(torch.load(out / STATE, weights_only=True)["step"])
    except (OSError, RuntimeError):
        return -1


@pytest.fixture(scope="module")
def whole(base, file, tmp_path_factory) -> Path:
    """A run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    Run(quick(base), read_examples(file).examples, out).go()
    return out


@pytest.mark.parametrize(
    "ended",
    [(signal.SIGKILL, 2), (signal.SIGKILL, -1), (signal.SIGINT, 1)],
    ids=["killed", "killed early", "Ctrl-C"],
)
def test_a_run_that_was_ended_goes_on_as_if_it_had_not_been(base, file, whole, tmp_path, ended):
    sign, after = ended
    process = start(base, file, tmp_path)
    done = (lambda: step_in(tmp_path) >= after) if after > 0 else (tmp_path / "before.pt").exists
    code, said = stop(process, sign, done)
    if sign == signal.SIGINT:
        assert code == 130, said
        assert "what was finished is saved" in said
    else:
        assert code == -9
    assert not (tmp_path / "judge.json").exists()
    if after > 0:
        assert 0 < step_in(tmp_path) < 8
    heard: list[TuningProgress] = []
    Run(quick(base), read_examples(file).examples, tmp_path, report=heard.append).go()
    assert "before" not in {p.phase for p in heard}  # not measured twice
    assert adapter(tmp_path) == adapter(whole)
    assert untimed(tmp_path) == untimed(whole)


def test_a_finished_run_is_not_done_again(base, file, whole):
    before = adapter(whole), untimed(whole)
    heard: list[TuningProgress] = []
    tuned = Run(quick(base), read_examples(file).examples, whole, report=heard.append).go()
    assert heard == []
    assert (adapter(whole), untimed(whole)) == before
    assert tuned.steps == 8


def test_a_folder_of_other_settings_groups_or_base_is_refused(base, file, whole, tmp_path):
    examples = read_examples(file).examples
    changed = replace(examples[0], truths_G=tuple(1 - t for t in examples[0].truths_G))
    for tuning, given in [
        (quick(base, learning_rate=2e-2), examples),
        (quick(base, seed=1), examples),
        (quick(base), [changed, *examples[1:]]),  # the same ids
        (quick(tiny(tmp_path / "other", seed=1)), examples),
    ]:
        with pytest.raises(ConfigurationError, match="other groups, settings or another base"):
            Run(tuning, given, whole).go()


def test_files_that_cannot_be_read_or_written_say_so(base, file, tmp_path):
    examples = read_examples(file).examples
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made a folder"):
        Run(quick(base), examples, tmp_path / "file").go()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "before.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Run(quick(base), examples, tmp_path / "broken").go()
    (tmp_path / "judged").mkdir()
    (tmp_path / "judged" / "judge.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="another judge"):
        Run(quick(base), examples, tmp_path / "judged").go()


def test_a_full_disk_keeps_what_was_there(tmp_path):
    """In a process that may write no more than some kilobytes into a file."""
    program = f"""
import resource, torch
from pathlib import Path
from ranker import ConfigurationError
from ranker.tuning.folder import Folder
folder = Folder(Path({str(tmp_path)!r}), "d")
folder.write("state.pt", {{"x": torch.ones(3)}})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    folder.write("state.pt", {{"x": torch.ones(100_000)}})
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert torch.equal(Folder(tmp_path, "d").read("state.pt")["x"], torch.ones(3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.pt"]


def test_a_folder_in_use_is_refused(tmp_path):
    with (
        Folder(tmp_path, "d").locked(),
        pytest.raises(ConfigurationError, match="Another process"),
        Folder(tmp_path, "d").locked(),
    ):
        pass


def test_too_few_groups_or_openings_are_refused(base, tmp_path):
    with pytest.raises(ConfigurationError, match="Too few groups"):
        Run(quick(base), from_groups(group(g) for g in range(9)), tmp_path)
    alike = [replace(e, opening="the same") for e in from_groups(group(g) for g in range(100))]
    with pytest.raises(ConfigurationError, match="1 different openings"):
        Run(quick(base), alike, tmp_path)


def test_groups_given_for_testing_are_those_that_measure(base, tmp_path):
    examples = from_groups(group(g) for g in range(40))
    run = Run(quick(base), examples[:20], tmp_path, validation=examples[20:30], test=examples[30:])
    assert (len(run.train), run.validation, run.test) == (20, tuple(examples[20:30]), tuple(examples[30:]))


def test_of_many_groups_most_are_learned_from(base, tmp_path):
    run = Run(
        quick(base, validation_share=0.1, test_share=0.2),
        from_groups(group(g) for g in range(2_000)),
        tmp_path,
    )
    assert [len(part) for part in (run.train, run.validation, run.test)] == [
        1_786,
        MOST_VALIDATION,
        MOST_TEST,
    ]


def test_groups_of_more_attempts_than_letters_are_cut_to_26(base, tmp_path):
    examples = from_groups(group(g, size=30) for g in range(20))
    joint, single = (Run(quick(base, way=way), examples, tmp_path) for way in ("first_token", "pointwise"))
    assert {len(e.truths_G) for e in joint.train} == {26}
    assert {len(e.truths_G) for e in single.train} == {30}


def test_time_ends_a_training(base, tmp_path):
    examples = from_groups(group(g) for g in range(40))
    tuned = Run(quick(base, epochs=500, minutes=0.02), examples, tmp_path).go()
    assert tuned.stopped in ("time", "early")
    assert tuned.steps < 500 * 31 // 8
    assert (tmp_path / BEST).exists()


def test_interrupted_in_a_check_it_is_done_again(base, file, whole, tmp_path):
    """Ctrl-C while the validation groups are measured: neither a check less nor one more is counted."""
    examples = read_examples(file).examples

    def interrupt(now: TuningProgress) -> None:
        if now.phase == "checking" and now.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(quick(base), examples, tmp_path, report=interrupt).go()
    kept = torch.load(tmp_path / STATE, weights_only=True)
    assert (kept["step"], kept["checked"]) == (3, 2)
    Run(quick(base), examples, tmp_path).go()
    assert adapter(tmp_path) == adapter(whole)
