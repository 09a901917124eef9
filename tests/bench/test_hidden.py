"""Nothing that a judge must not see is in any prompt, in whichever way it is asked."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ranker import Trajectory, TrajectoryGroup
from ranker.suites import GENERATED, load
from ranker.testing import JudgeServer
from ranker.testing.simulated import blocks
from tests.bench_runs import args_for, here, write


def prompts_of(groups, tmp_path, *more, size=lambda block: float(len(block))):
    """Everything a judge is sent about these groups: every word of every message."""
    source = write(tmp_path / "hidden-suite-name.jsonl", groups)
    with JudgeServer(size, keep_prompts=True) as server:
        done = here(*args_for(server, source, tmp_path / "out", "--groups", len(groups), *more))
    assert done.code == 0, done.err
    return server.prompts


def marked(n=9):
    """Groups whose hidden parts hold words and numbers that stand nowhere else."""
    groups = []
    for g in range(n):
        members = [
            Trajectory(
                [
                    {"role": "user", "content": f"Which is task {g}?"},
                    {"role": "assistant", "content": f"Answer {i} {'and more ' * i}."},
                ],
                id=f"zebra-{g}-{i}",
                ground_truth=0.73519 - 0.21467 * i,
                metadata={"okapi": f"tapir-{i}", "score": 0.48613, "nested": {"lynx": ["ibex"]}},
            )
            for i in range(3)
        ]
        more = {"marmot": "gnu", "difficulty": 0.91357}
        groups.append(TrajectoryGroup(members, f"walrus-{g}", f"Say task {g}.", "Prefer the true one.", more))
    return groups


@pytest.mark.parametrize("more", [(), ("--passes", 2), ("--rubric", "The true one.")])
def test_ids_truths_and_metadata_are_in_no_prompt(tmp_path, more):
    groups = marked()
    prompts = prompts_of(groups, tmp_path, *more)
    assert len(prompts) == 5 * len(groups) * (2 if more[:1] == ("--passes",) else 1)
    text = "\n".join(m["content"] for prompt in prompts for m in prompt)
    assert "Answer 2 and more" in text
    assert "Say task 3." in text
    hidden = ["zebra", "okapi", "tapir", "lynx", "ibex", "walrus", "marmot", "gnu", "hidden-suite", "jsonl",
              "91357", "48613", *(f"{0.73519 - 0.21467 * i:.5f}".removeprefix("0") for i in range(3)),
              "ground_truth", "ground truth", "metadata", "plain", "reversed", "attacked", "control"]  # fmt: skip
    assert [word for word in hidden if word in text.lower()] == []


def test_the_order_shown_and_the_ids_say_nothing_of_the_truth(tmp_path):
    """Over many groups the best stands in each place about as often; no id comes back."""
    groups = [replace(g, id=f"g{i}") for i, g in enumerate(marked(60))]
    prompts = prompts_of(groups, tmp_path, "--accuracy-only")
    places, names = [0, 0, 0], []
    for prompt in prompts:
        shown = blocks(prompt[1]["content"])
        names += [name for name, _ in shown]
        [best] = [i for i, (_, text) in enumerate(shown) if "Answer 0 " in text]
        places[best] += 1
    assert min(places) >= 8  # 20 each; fewer than 8 has a chance of 1 in 1,000
    assert len(set(names)) > 0.95 * len(names)


@pytest.mark.parametrize("name", GENERATED)
def test_generated_suites_show_no_id_truth_or_name(tmp_path, name):
    suite = load(name, 5)
    assert len(suite.groups) == 5
    prompts = prompts_of(suite.groups, tmp_path)
    assert len(prompts) == 25
    text = "\n".join(m["content"] for prompt in prompts for m in prompt)
    asked = "\n".join(str(m["content"]) for g in suite.groups for m in g.trajectories[0].messages[:2])
    hidden = {word for word in hidden_words(suite.groups) if word not in asked}  # a task may name a function
    assert len(hidden) > len(suite.groups)
    said = {word for word in hidden if re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])", text)}
    assert said == set()
    for word in ("ground_truth", "ground truth", "competence", "held_out", "split=", f"{name}:"):
        assert word not in text, word


def hidden_words(groups):
    """Ids, truths that are no everyday number, and whatever long value the metadata holds."""
    for group in groups:
        yield group.id
        yield from distinctive(group.metadata)
        for t in group.trajectories:
            if t.id is not None and len(t.id) > 3:
                yield t.id
            # Marks name passages of the attempt, which a judge is shown.
            yield from distinctive({k: v for k, v in t.metadata.items() if k != "marks"})
            yield from distinctive(t.ground_truth)


def distinctive(value):
    """Values that hardly stand in a prompt by chance: numbers of three decimals and more, names and words in a row."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from distinctive(key)
            yield from distinctive(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from distinctive(inner)
    elif isinstance(value, float) and len(f"{value:g}") >= 5:
        yield f"{value:.4f}".rstrip("0")
        yield str(value)
    elif isinstance(value, str) and re.fullmatch(r"\w+([-_:/]\S*|( \S+)+)", value):
        yield value


@pytest.mark.parametrize("name", GENERATED)
def test_generated_suites_make_judges_tell_apart(tmp_path, name):
    """The truth as judge is perfect on each of them, attacks and all; length is not."""
    suite = load(name, 6, seed=3)
    from tests.bench_runs import read, values

    assert len({g.id for g in suite.groups}) == 6
    assert suite.groups == load(name, 9, seed=3).groups[:6]
    for group in suite.groups:
        truths = {t.ground_truth for t in group.trajectories}
        assert len(truths) > 1
        assert all(0 <= truth <= 1 for truth in truths)
    done = here(
        "bench",
        "--judge",
        "oracle",
        "--suite",
        name,
        "--groups",
        6,
        "--seed",
        3,
        "--out",
        tmp_path / "out",
        "-q",
    )
    assert done.code == 0, done.err
    found = values(read(tmp_path / "out"), "oracle")
    assert (found["pairwise_accuracy"], found["kendall_tau_b"], found["flip_rate"]) == (
        1.0,
        pytest.approx(1.0),
        0.0,
    )
    assert found["attack_effect"] == 0.0
    assert values(read(tmp_path / "out"), "length")["pairwise_accuracy"] < 0.9
