"""`ranker recommend`: what it forecasts, measures, chooses and says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ranker.bench.judge_spec import judge_spec
from ranker.bench.recommend import FEWEST, MOST, Candidate, candidates, choose, plan
from ranker.bench.recommend_text import command
from ranker.testing import JudgeServer
from tests.bench_runs import here, observed, write
from tests.conftest import make_groups


def candidate(name: str, cost: float | None = 0.0, fault: str | None = None) -> Candidate:
    return Candidate(judge_spec(name, None, {}), (100.0, 50.0), cost, fault)


def results(**rewards: list[tuple[float, int]]) -> dict[str, Any]:
    """Results of judges, each by its agreeing pairs and pairs in every group."""
    import numpy as np

    from ranker.statistics import ratio

    made = []
    for judge, rows in rewards.items():
        right, pairs = (np.array(x, dtype=float) for x in zip(*rows, strict=True))
        of = {"ids": [str(i) for i in range(len(rows))], "agreeing": list(right), "pairs": list(pairs)}
        accuracy = ratio(right, pairs, share=True).to_dict()
        made.append(
            {"judge": judge, "suite": "s", "groups": len(rows), "failed": 0, "by_group": of,
             "metrics": {"pairwise_accuracy": accuracy}}
        )  # fmt: skip
    return {"cells": made}


# What is measured


def test_every_judge_is_measured_on_as_many_groups_as_the_budget_bears() -> None:
    some = [candidate("openai/b", 0.02), candidate("local"), candidate("openai/a", 0.01)]
    made = plan(some, 200, 1.0)
    assert [c.judge.name for c in made.measured] == ["local", "openai/a", "openai/b"]
    assert (made.groups, made.cost_usd, made.left_out) == (33, pytest.approx(0.99), {})
    assert plan(some, 200, 100.0).groups == MOST
    assert plan(some, 20, 100.0).groups == 20
    assert plan(some, 200, 1e308).groups == MOST


def test_the_dearest_are_left_out_where_the_budget_does_not_bear_them() -> None:
    some = [candidate("openai/b", 0.2), candidate("local"), candidate("openai/a", 0.01)]
    made = plan(some, 200, 1.0)
    assert [c.judge.name for c in made.measured] == ["local", "openai/a"]
    assert made.groups == MOST
    assert made.left_out == {"openai/b": f"{FEWEST} groups would take the cost to $2.10, above the budget"}
    free = plan(some, 200, 0.0)
    assert [c.judge.name for c in free.measured] == ["local"]
    assert free.groups == MOST
    assert plan([candidate("openai/b", 0.2)], 200, 0.5) == plan([candidate("openai/b", 0.2)], 200, 0.5)
    assert plan([candidate("openai/b", 0.2)], 200, 0.5).groups == 0


def test_judges_out_of_reach_or_of_unknown_price_are_left_out() -> None:
    made = plan([candidate("openai/a", 0.01, "no key"), candidate("qwen@http://there", None)], 200, 1.0)
    assert made.measured == ()
    assert made.left_out["openai/a"] == "no key"
    assert "--price" in made.left_out["qwen@http://there"]


# What is chosen


def test_the_cheapest_that_is_good_enough_is_chosen() -> None:
    some = [candidate("local"), candidate("a", 0.01), candidate("b", 0.1)]
    made = results(local=[(3, 6)] * 20 + [(4, 6)] * 20, a=[(5, 6)] * 40, b=[(5, 6)] * 39 + [(6, 6)])
    choice = choose(made, some, 40)
    assert choice.judge == "a"
    assert "within 0.05" in choice.reason


def test_the_best_is_chosen_where_no_cheaper_one_is_good_enough() -> None:
    some = [candidate("local"), candidate("b", 0.1)]
    worse = choose(results(local=[(4, 6)] * 40, b=[(6, 6)] * 40), some, 40)
    assert (worse.judge, "Undecided" in worse.reason) == ("b", False)
    unsure = choose(results(local=[(4, 6), (6, 6)] * 6, b=[(6, 6), (5, 6)] * 6), some, 12)
    assert unsure.judge == "b"
    assert "Undecided whether cheaper ones would do: local (" in unsure.reason
    assert "more groups" in unsure.reason


def test_no_judge_is_recommended_that_is_not_shown_to_beat_a_coin() -> None:
    choice = choose(results(local=[(2, 6), (4, 6)] * 10), [candidate("local")], 20)
    assert choice.judge is None
    assert "not train" in choice.reason
    failed = results(local=[(6, 6)] * 4)
    failed["cells"][0]["failed"] = 4
    choice = choose(failed, [candidate("local")], 4)
    assert (choice.judge, choice.measured) == (None, False)
    assert "local (a verdict on 0 of 4 groups)" in choice.reason


def test_one_lucky_verdict_takes_no_choice_from_a_judge_that_is_right() -> None:
    some = [candidate("local"), candidate("a", 0.01), candidate("b", 0.1)]
    made = results(local=[(5, 6)] * 20, a=[(6, 6)], b=[(3, 3), (1, 1)])
    choice = choose(made, some, 20)
    assert choice.judge == "local"
    assert "Left out: a (a verdict on 1 of 20 groups), b (a verdict on 2 of 20 groups)." in choice.reason


def test_the_best_is_the_most_accurate_of_those_shown_to_beat_a_coin() -> None:
    some = [candidate("local"), candidate("a", 0.01)]
    made = results(local=[(5, 6)] * 12, a=[(1, 1)] * 2 + [(0, 0)] * 10)  # all right, where there was a pair
    assert made["cells"][1]["metrics"]["pairwise_accuracy"]["low"] < 0.5
    choice = choose(made, some, 12)
    assert choice.judge == "local"
    assert "the most of those that are shown to beat a coin" in choice.reason


# The command


@pytest.fixture
def openai(serve: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A judge server that OpenAI's models are asked at."""

    def start(groups: Any) -> JudgeServer:
        server = serve(groups)
        monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody-should-see-this")
        monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
        return server

    return start


def test_it_measures_those_in_reach_and_prints_the_command(
    openai: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = make_groups(12)
    server = openai(groups)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine.jsonl", groups)
    judges = [
        w
        for name in ("openai/gpt-5-mini", "noisy:0.6", "anthropic/claude-haiku-4-5")
        for w in ("--judge", name)
    ]
    words = ("recommend", "mine.jsonl", "--budget", "1", *judges)
    done = here(*words)
    assert done.code == 0, done.told
    assert "Not measured: anthropic/claude-haiku-4-5" in done.out
    assert "$ANTHROPIC_API_KEY" in done.out
    assert "openai/gpt-5-mini orders 1.00" in done.out
    assert "ranker rank mine.jsonl --judge openai/gpt-5-mini --out ranked.jsonl" in done.out
    assert server.requests == 12
    assert "sk-nobody" not in done.told
    assert here(*words, "-q").code == 0
    assert server.requests == 12, "a second run reuses the answers"


def test_a_budget_of_nothing_calls_nothing_that_costs(
    openai: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = make_groups(12)
    server = openai(groups)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine.jsonl", groups)
    done = here("recommend", "mine.jsonl", "--budget", "0", "--judge", "openai/gpt-5-mini")
    assert done.code == 1
    assert "above the budget" in done.out
    assert "No judge could be measured" in done.out
    assert server.requests == 0


def test_a_budget_is_that_of_one_call_of_the_command(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{seed}.jsonl": make_groups(12, seed=seed) for seed in range(3)}
    server = serve([group for groups in files.values() for group in groups])
    monkeypatch.chdir(tmp_path)
    reach = ("--judge", "sim", "--base-url", server.base_url, "--price", "10,10", "-q")
    for name, groups in files.items():
        write(tmp_path / name, groups)
        done = here("recommend", name, "--budget", "0.1", *reach)
        assert (done.code, done.err) == (0, "")
        assert "sim orders 1.00" in done.out
    spent = sum(o["usage"].get("cost_usd", 0.0) for o in observed(tmp_path / "recommend"))
    assert spent > 0.1, "together more than each may cost"


def test_judges_that_the_budget_stopped_are_named_and_none_is_chosen(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = make_groups(12)
    server = serve(groups, faults={"prose": 0.3}, seed=3)  # asked again for these, which no forecast knows
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine.jsonl", groups)
    [one] = candidates([judge_spec("sim", server.base_url, {"price": (10, 0)})], groups, None)
    assert one.cost_usd is not None
    words = ("recommend", "mine.jsonl", "--budget", 10.5 * one.cost_usd, "--judge", "noisy:0.9", "--judge", "sim",
             "--base-url", server.base_url, "--price", "10,0", "--concurrency", 1, "-q")  # fmt: skip
    done = here(*words)
    assert done.code == 1
    assert "No judge is chosen: the budget stopped sim after 9 of 10 groups." in done.out
    assert "raise --budget to continue" in done.err
    assert "--max-cost" not in done.told
    asked = server.requests
    again = here(*words)
    assert again.code == 0
    assert "sim orders 1.00" in again.out
    assert server.requests < 2 * asked, "it goes on"


def test_a_budget_without_end_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", make_groups(3))
    done = here("recommend", path, "--budget", "inf", "--judge", "openai/gpt-5-mini", "--out", tmp_path / "o")
    assert done.code == 2
    assert done.err == "ranker: --budget=inf; give a number that is at least 0.\n"


def test_the_command_holds_no_key_of_an_address() -> None:
    def told(url: str) -> str:
        chosen = Candidate(judge_spec("m", url, {}), (1.0, 1.0), 0.01)
        return command(chosen, Path("mine.jsonl"), 3, None, None)

    assert told("http://there/v1/").endswith("--base-url http://there/v1 --out ranked.jsonl")
    hidden = told("http://there/plum7orchard93517quince2221/v1?key=fig-5533")
    assert "plum7" not in hidden
    assert "fig-5533" not in hidden
    assert "lacks what may be a key" in hidden


def test_without_ground_truth_it_says_how_to_get_some(openai: Any, tmp_path: Path) -> None:
    groups = make_groups(3)
    server = openai(groups)
    path = tmp_path / "mine.jsonl"
    path.write_text(
        "".join(
            json.dumps({"trajectories": [{"messages": list(t.messages)} for t in g]}) + "\n" for g in groups
        )
    )
    done = here("recommend", path, "--budget", "1", "--judge", "openai/gpt-5-mini")
    assert done.code == 0
    assert f"ranker label {path} --out {tmp_path / 'mine_labels.jsonl'}" in done.out
    assert "ranker recommend" in done.out
    assert "≤ $" in done.out
    assert server.requests == 0


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    done = here("recommend", empty, "--budget", "1", "--judge", "noisy:0.7")
    assert done.code == 2
    assert "holds no groups" in done.err
    done = here("recommend", tmp_path / "none.jsonl", "--budget", "1", "--judge", "noisy:0.7")
    assert done.code == 2
    assert "none.jsonl" in done.err
    done = here("recommend", "/dev/null", "--budget", "1", "--judge", "noisy:0.7")
    assert done.code == 2
    assert "/dev/null is read more than once" in done.err
