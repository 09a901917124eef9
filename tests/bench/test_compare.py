"""`ranker compare`: within, worse or undecided, and how many groups more would tell."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ranker.bench.compare import compare, read_results
from ranker.errors import ConfigurationError
from tests.bench_runs import here, knowing, write
from tests.conftest import make_groups

PAIRS = 6


def results(**suites):
    """A `results.json` of the judges cheap and strong: for each suite their pairs ordered right, by group."""
    cells = []
    for suite, judges in suites.items():
        for judge, right in judges.items():
            by_group = {"ids": [f"g{i}" for i in range(len(right))], "agreeing": [float(x) for x in right],
                        "pairs": [PAIRS] * len(right)}  # fmt: skip
            cells.append({"judge": judge, "suite": suite, "by_group": by_group})
    return {"schema_version": 1, "cells": cells}


def one(cheap, strong, margin=0.03):
    [found] = compare(results(s={"cheap": cheap, "strong": strong}), "cheap", "strong", margin)
    return found


def drawn(rng, n, loss, noise=0.1, level=0.8):
    """Groups on which the cheap judge loses `loss` on average, with its own noise."""
    strong = np.clip(rng.normal(level, 0.1, n), 0, 1) * PAIRS
    return strong - PAIRS * rng.normal(loss, noise, n), strong


def test_within_worse_and_undecided():
    rng = np.random.default_rng(0)
    cheap, strong = drawn(rng, 400, 0.0)
    near = one(cheap, strong)
    assert near.verdict == "within"
    assert near.more is None
    assert near.loss.high < 0.03
    assert near.sentence("cheap", "strong", 0.03) == "cheap is within 0.03 of strong with 95% confidence."
    far = one(*drawn(rng, 400, 0.1))
    assert far.verdict == "worse"
    assert far.loss.low > 0.03
    assert far.sentence("cheap", "strong", 0.03).startswith("cheap is worse than strong by 0.0")
    assert "more groups" not in far.sentence("cheap", "strong", 0.03)
    open_ = one(*drawn(rng, 20, 0.02))
    assert open_.verdict == "undecided"
    assert open_.sentence("cheap", "strong", 0.03) == f"Undecided: about {open_.more:,} more groups."


def test_worse_but_perhaps_by_less_than_the_margin_says_how_many_groups_more():
    rng = np.random.default_rng(1)
    found = one(*drawn(rng, 200, 0.05), margin=0.04)
    assert found.verdict == "worse"
    assert 0 < found.loss.low <= 0.04
    assert f"Whether by more than 0.04 is undecided: about {found.more:,} more groups." in found.sentence(
        "c", "s", 0.04
    )


def test_the_margin_itself_decides_nothing():
    """Non-inferiority needs the whole interval below the margin, not its middle."""
    rng = np.random.default_rng(2)
    cheap, strong = drawn(rng, 300, 0.02)
    high = one(cheap, strong).loss.high
    assert one(cheap, strong, margin=high).verdict != "within"
    assert one(cheap, strong, margin=np.nextafter(high, 1)).verdict == "within"


def test_a_better_judge_is_within_and_never_worse():
    found = one(*drawn(np.random.default_rng(3), 100, -0.1))
    assert found.verdict == "within"
    assert found.loss.high < 0


def test_two_judges_right_on_a_few_groups_prove_nothing():
    """Both all right on 20 groups: one group in ten may still be lost by the cheap one."""
    full = np.full(20, 6.0)
    found = one(full, full)
    assert found.verdict == "undecided"
    assert found.loss.value == 0
    more = found.more
    assert one(np.full(20 + more, 6.0), np.full(20 + more, 6.0)).verdict == "within"
    assert one(np.full(19 + more - 1, 6.0), np.full(19 + more - 1, 6.0)).verdict == "undecided"


@pytest.mark.parametrize("n", [10, 40, 120])
def test_a_judge_at_the_margin_is_rarely_called_within(n):
    """In about 2.5 of 100 benches; in some more where losses are lopsided, as those of a good judge are."""
    rng = np.random.default_rng(4)
    even = lopsided = 0
    for _ in range(300):
        even += one(*drawn(rng, n, 0.05), margin=0.05).verdict == "within"
        strong = rng.binomial(PAIRS, 0.85, n).astype(float)
        lost = np.minimum(strong, rng.binomial(PAIRS, 0.1, n))  # 0.1 of all pairs, to the third digit
        lopsided += one(strong - lost, strong, margin=0.1).verdict == "within"
    assert even / 300 <= 0.05
    assert lopsided / 300 <= 0.07


@pytest.mark.parametrize(("loss", "margin"), [(0.0, 0.03), (0.01, 0.05), (0.04, 0.05), (-0.02, 0.02)])
def test_about_so_many_more_groups_decide_in_about_80_of_100_draws(loss, margin):
    """Where the loss is what it looked like."""
    rng = np.random.default_rng(6)
    n = 20
    cheap, strong = drawn(rng, n, loss, noise=0.12)
    cheap = cheap + (strong - cheap).mean() - loss * PAIRS  # the sample looks exactly like the population
    spread = (strong - cheap) / PAIRS
    cheap = strong - PAIRS * ((spread - loss) * 0.12 / spread.std(ddof=1) + loss)
    found = one(cheap, strong, margin)
    assert found.verdict == "undecided"
    assert found.loss.value == pytest.approx(loss, abs=1e-9)
    whole = n + found.more
    decided = [one(*drawn(rng, whole, loss, noise=0.12), margin).verdict != "undecided" for _ in range(200)]
    assert 0.65 <= np.mean(decided) <= 0.95, (whole, np.mean(decided))


def test_only_groups_that_both_judged_count():
    made = results(s={"cheap": [6, 6, 0, 6], "strong": [6, 0, 6, 6]})
    made["cells"][0]["by_group"]["pairs"][1] = 0
    made["cells"][1]["by_group"]["ids"] = ["g3", "g2", "g1", "other"]  # in another order: 6, 0, 6
    [found] = compare(made, "cheap", "strong", 0.03)
    assert found.groups == 2
    assert (found.cheap, found.strong) == (0.5, 0.5)


def test_groups_whose_ids_repeat_all_count():
    made = results(s={"cheap": [6, 6, 0, 6], "strong": [6, 3, 6, 6]})
    for cell in made["cells"]:
        cell["by_group"]["ids"] = ["g0", "g1", "g0", "g1"]  # two files in one
    [found] = compare(made, "cheap", "strong", 0.03)
    assert found.groups == 4
    assert (found.cheap, found.strong) == (0.75, 0.875)


def test_several_suites_are_told_one_by_one_and_together():
    rng = np.random.default_rng(7)
    pair = [dict(zip(("cheap", "strong"), drawn(rng, n, 0.05), strict=True)) for n in (50, 70)]
    made = results(a=pair[0], b=pair[1], c={"strong": [1.0, 2.0]})
    found = compare(made, "cheap", "strong", 0.03)
    assert [(f.suite, f.groups) for f in found] == [("a", 50), ("b", 70), ("all suites", 120)]
    assert found[2].loss.value == pytest.approx((50 * found[0].loss.value + 70 * found[1].loss.value) / 120)


@pytest.mark.parametrize(
    ("cheap", "strong", "margin", "told"),
    [
        ("cheep", "strong", 0.03, "they hold cheap, strong"),
        ("cheap", "gpt", 0.03, "they hold cheap, strong"),
        ("cheap", "cheap", 0.03, "same judge"),
        ("cheap", "strong", 0.0, "between 0 and 1"),
        ("cheap", "strong", 3.0, "between 0 and 1"),
        ("cheap", "strong", float("nan"), "between 0 and 1"),
    ],
)
def test_what_cannot_be_compared_says_so(cheap, strong, margin, told):
    made = results(s={"cheap": [6, 5, 4], "strong": [6, 6, 6]})
    with pytest.raises(ConfigurationError, match=told):
        compare(made, cheap, strong, margin)


def test_no_common_group_says_so():
    made = results(a={"cheap": [6, 6]}, b={"strong": [6, 6]})
    with pytest.raises(ConfigurationError, match="no two groups in common"):
        compare(made, "cheap", "strong", 0.03)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema_version": 2, "cells": []}', '{"schema_version": 1, "cells": [{"judge": "a"}]}',
     '{"schema_version": 1, "cells": ["a"]}', '{"schema_version": 1, "cells": {}}', "\x00",
     '{"schema_version": 1, "cells": [{"judge": "a", "suite": "b", "by_group": []}]}'],
)  # fmt: skip
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    for path in (tmp_path, tmp_path / "results.json"):
        done = here("compare", path, "--cheap", "a", "--strong", "b")
        assert done.code == 2
        assert "no results.json of `ranker bench`" in done.err
        assert "Traceback" not in done.told


def test_a_missing_folder_is_refused(tmp_path):
    done = here("compare", tmp_path / "nowhere", "--cheap", "a", "--strong", "b")
    assert done.code == 2
    assert "name the --out folder" in done.err


def test_the_command_reads_what_bench_wrote(serve, tmp_path):
    groups = make_groups(16)
    server = serve(knowing(groups))
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    bench = (
        "bench",
        "--judge",
        "sim",
        "--base-url",
        server.base_url,
        "--judge",
        "random",
        "--judge",
        "oracle",
    )
    assert here(*bench, "--suite", source, "--out", out, "-q").code == 0
    worse = here("compare", out, "--cheap", "random", "--strong", "sim")
    assert worse.code == 0
    assert "random is worse than sim by 0." in worse.out
    # Two oracles agree on all 16 groups; that is not enough to say so of all groups.
    alike = here("compare", out / "results.json", "--cheap", "sim", "--strong", "oracle", "--margin", "0.1")
    assert alike.code == 0
    [line] = [line for line in alike.out.splitlines() if line.startswith(str(source))]
    assert line == f"{source}: Undecided: about 20 more groups."
    assert (
        here("compare", out, "--cheap", "sim", "--strong", "oracle", "--margin", "0.3").out.count(
            "is within 0.3"
        )
        == 1
    )
    unknown = here("compare", out, "--cheap", "gpt", "--strong", "oracle")
    assert unknown.code == 2
    assert "they hold sim, random, oracle, length" in unknown.err
    made = read_results(out)
    assert json.loads((out / "results.json").read_text()) == made
