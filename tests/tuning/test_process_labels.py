"""What is known of parts of attempts: where it is read, and its loss."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ranker import Trajectory, TrajectoryGroup
from ranker.judges.local.scores import variants
from ranker.judges.local.tree_attention import Segment
from ranker.suites import load
from ranker.tuning.examples import at_most, from_groups, read_examples
from ranker.tuning.learner import Learner
from ranker.tuning.process_labels import ProcessLabels, label_loss, labels_of, places
from tests.tuning_models import group, tiny, write_groups


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    made = Learner(
        tiny(tmp_path_factory.mktemp("tiny")),
        "pointwise_with_numbers",
        template="brief.v2",
        learning_rate=1e-2,
    )
    yield made
    made.close()


def test_marks_are_read_from_metadata():
    told = {"marks": {"points": [1, 0.5], "passages": [["red", 1], ["blue", 0]]}}
    assert labels_of(told) == ProcessLabels((1.0, 0.5), (("red", 1.0), ("blue", 0.0)))
    assert repr(labels_of({})) == "Marks(points=(), passages=())"  # in the digests of earlier runs
    assert labels_of({}) == labels_of(None) == ProcessLabels()


@pytest.mark.parametrize(
    "marks",
    [
        7,
        "good",
        [1, 0],
        {"math": 2},
        {"points": 1},
        {"points": ["1"]},
        {"points": [1, 5]},
        {"points": [float("nan")]},
        {"passages": "red"},
        {"passages": ["red"]},
        {"passages": [["red"]]},
        {"passages": [["red", None]]},
        {"passages": [["red", -1]]},
        {"points": [1], "passages": [[3, 1]]},
    ],
)
def test_marks_of_another_kind_are_left_aside_with_one_warning(tmp_path, caplog, marks):
    groups = tmp_path / "groups.jsonl"
    write_groups(groups, 3)
    records = [json.loads(line) for line in groups.read_text().splitlines()]
    for record in records[1:]:
        record["trajectories"][2]["metadata"] = {"marks": marks}
    groups.write_text("".join(json.dumps(record) + "\n" for record in records))
    source = read_examples(groups)
    assert [one.labels_G for one in source.examples] == [(ProcessLabels(),) * 4] * 3
    (told,) = caplog.messages
    assert told.startswith("metadata.marks of 2 attempts are left aside; the first, ")
    assert "trajectory t2 of group g1." in told
    caplog.clear()
    one = group(0).trajectories[0]
    marked = Trajectory(one.messages, metadata={"marks": marks})
    assert from_groups([TrajectoryGroup([one, marked])]) == ()
    assert "trajectory" in caplog.text


def test_passages_are_read_at_their_last_token_and_points_at_their_digit_of_the_ending(learner):
    loaded = learner.loaded
    before, text, after = "1 2 === ", "red blue. old red. green", "\n1 2 3\nGood?"
    tokens = [*loaded.encode(before), *loaded.encode(text), *loaded.encode(after)]
    known = ProcessLabels((0.0, 1.0), (("red blue.", 1.0), ("red.", 0.5), ("nowhere", 1.0), ("green", 0.0)))
    made = places(loaded, tokens, text, known)
    upto = [loaded.tokenizer.decode(tokens[: at + 1]) for at, _ in made]
    assert [good for _, good in made] == [1.0, 0.5, 0.0, 0.0, 1.0]
    assert upto == [
        before + "red blue.",
        before + "red blue. old red.",
        before + text,
        before + text + "\n1",
        before + text + "\n1 2",
    ]


def test_the_loss_is_the_mean_cross_entropy_of_yes(learner):
    """Against the logits of the whole vocabulary."""
    loaded = learner.loaded
    text = "red blue old"
    tokens = np.array([*loaded.encode(text), *loaded.encode(" 1")])
    hidden_TH = torch.randn(len(tokens), 64, generator=torch.Generator().manual_seed(1))
    yes, no = (variants(loaded.tokenizer, word) for word in ("Yes", "No"))
    known = ProcessLabels((0.25,), (("red blue", 1.0),))
    (first, _), (second, _) = places(loaded, tokens.tolist(), text, known)
    made = label_loss(loaded, [hidden_TH], [Segment(tokens)], [text], [known])
    weight_VH = learner.model.get_output_embeddings().weight.float()
    logits_TV = hidden_TH @ weight_VH.T
    odds = [
        (logits_TV[at, yes].logsumexp(0) - logits_TV[at, no].logsumexp(0)).item() for at in (first, second)
    ]
    expected = [-np.log(1 / (1 + np.exp(-odds[0]))), 0.25 * np.log1p(np.exp(-odds[1])) + 0.75 * np.log1p(np.exp(odds[1]))]  # fmt: skip
    assert made.item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert label_loss(loaded, [hidden_TH], [Segment(tokens)], [text], [ProcessLabels()]) is None


def marked(g: int) -> TrajectoryGroup:
    """A group whose first words are known to be right in every other attempt."""
    one = group(g)
    members = []
    for i, t in enumerate(one.trajectories):
        first = str(t.messages[-1]["content"]).split()[0]
        members.append(
            Trajectory(
                t.messages,
                id=t.id,
                ground_truth=t.ground_truth,
                metadata={"marks": {"passages": [[first, i % 2]]}},
            )
        )
    return TrajectoryGroup(members, id=one.id)


def test_marks_change_the_step_and_not_the_scores(learner):
    with_marks = from_groups([marked(0)])[0]
    without = replace(with_marks, labels_G=())
    start = learner.state()
    stepped = []
    for one in (without, with_marks):
        learner.restore(start)
        loss, scores = learner.step([one], 1e-2, "0")
        stepped.append((loss, scores, torch.cat([p.detach().flatten() for p in learner.params])))
    assert stepped[0][1] == stepped[1][1]
    assert stepped[0][0] < stepped[1][0]
    assert not torch.equal(stepped[0][2], stepped[1][2])


def test_marks_stay_with_their_attempts_when_some_are_left_out():
    one = from_groups([marked(0)])[0]
    fewer = at_most(one, 2, seed=3)
    for text, marks in zip(fewer.shown.attempts, fewer.labels_G, strict=True):
        at = one.shown.attempts.index(text)
        assert marks == one.labels_G[at]


@pytest.mark.parametrize("family", ["constraints", "answers", "lookup", "arithmetic", "code"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_mark_of_a_suite_is_found_in_its_text_and_agrees_with_the_truth(family, split):
    groups = load(f"{family}:split={split}", 30, seed=5).groups
    perfect = 0
    for t in (t for g in groups for t in g.trajectories):
        text, known = str(t.messages[-1]["content"]), labels_of(t.metadata)
        cursor = 0
        for passage, good in known.passages:
            assert passage
            assert passage in text[cursor:]
            cursor = text.index(passage, cursor) + len(passage)
            assert 0 <= good <= 1
        assert len(known.points) <= 6
        if t.ground_truth == 1.0 and known.points:
            perfect += 1
            assert set(known.points) == {1.0}
        if t.ground_truth == 0.0 and family == "constraints":
            assert set(known.points) == {0.0}
    assert perfect or family == "code"
