"""Judges on record: what is published, read, shown, and refused."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judges.on_record import recorded
from ranker.bench import records
from ranker.bench.records import Record, by_suite, newest, read_judges
from ranker.bench.records_text import cells, markdown
from ranker.errors import ConfigurationError
from ranker.statistics import Estimate
from tests.bench_runs import args_for, here, knowing, read, write
from tests.conftest import make_groups

DAY = datetime.date(2026, 1, 2)


def record(**fields: Any) -> Record:
    usual: dict[str, Any] = {"judge": "a", "suite": "s", "date": DAY, "command": "ranker bench", "groups": 10}
    return Record(**{**usual, **fields})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_benchmark_publishes_what_it_measured_once(serve: Any, tmp_path: Path) -> None:
    groups = make_groups(8)
    server = serve(knowing(groups))
    suite, file = write(tmp_path / "mine.jsonl", groups), tmp_path / "to" / "judges.jsonl"
    words = args_for(
        server, suite, tmp_path / "out", "--judge", "noisy:0.8", "--price", "1,2", "--publish", file
    )
    assert here(*words).code == 0
    assert here(*words).code == 0
    first, second = lines(file)
    assert [first["judge"], second["judge"]] == ["sim", "length"], "no simulated judge but the baseline"
    assert first["suite"] == "mine.jsonl"
    assert first["command"] == "ranker bench --judge sim --suite mine.jsonl --groups 8 --out bench"
    assert first["date"] == datetime.datetime.now(datetime.UTC).date().isoformat()
    assert (first["groups"], first["ranker"]) == (8, read(tmp_path / "out")["ranker"])
    assert set(first["metrics"]) == set(records.KEPT)
    [cell, *_] = read(tmp_path / "out")["cells"]
    assert (
        first["metrics"]["pairwise_accuracy"]["value"] == cell["metrics"]["pairwise_accuracy"]["value"] == 1.0
    )
    assert first["per_group"]["cost_usd"] == cell["per_group"]["cost_usd"] > 0
    assert first["seconds_per_group"] > 0
    assert str(tmp_path) not in file.read_text()
    assert "127.0.0.1" not in file.read_text()


def test_a_forecast_publishes_what_is_reckoned_and_calls_nothing(serve: Any, tmp_path: Path) -> None:
    groups = make_groups(4)
    server = serve(groups)
    suite, file = write(tmp_path / "mine.jsonl", groups), tmp_path / "judges.jsonl"
    words = args_for(server, suite, tmp_path / "out", "--price", "1,2", "--accuracy-only", "--dry-run")
    assert here(*words, "--publish", file).code == 0
    assert server.requests == 0
    [made] = read_judges(file)
    assert made.reckoned
    assert made.command.endswith("--accuracy-only --out bench --dry-run")
    assert made.prices
    assert made.prices.startswith("litellm ")
    assert made.accuracy.value is None
    read_, wrote = made.per_group["prompt_tokens"], made.per_group["completion_tokens"]
    assert made.dollars == pytest.approx((read_ + 2 * wrote) / 1e3, rel=1e-3)
    assert "≤" in cells(made)[8]
    two = here(*words, "--suite", "arithmetic", "--publish", file)
    assert two.code == 2
    assert "one --suite at a time" in two.err


def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    for text in ('{"id": "g", "trajectories": []}\n', "no json\n", "[1]\n"):
        path = tmp_path / "other.jsonl"
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=r"other\.jsonl"):
            records.append(path, [record()])
        assert path.read_text() == text
    path.write_text('{"judge": "a", "suite": "s", "date": "soon", "command": "c", "groups": 1}\n')
    with pytest.raises(ConfigurationError, match=r"line 1, is no record of a judge \(date"):
        read_judges(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_named() -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        records.append(Path("/dev/full"), [record()])


def test_a_record_cut_off_by_a_kill_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "judges.jsonl"
    assert records.append(path, [record(), record(judge="b")]) == 2
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert records.append(path, [record(), record(judge="b")]) == 1
    assert path.read_bytes() == whole


def test_the_newest_measurement_counts_and_any_goes_before_a_reckoning() -> None:
    later = DAY + datetime.timedelta(days=1)
    old, new = record(groups=1), record(groups=2, date=later)
    reckoned = record(groups=3, date=later, reckoned=True)
    for order in ([old, new, reckoned], [reckoned, new, old], [new, reckoned, old]):
        assert newest(order) == [new]
    assert newest([reckoned, record(suite="t")]) == [reckoned, record(suite="t")]


def test_the_best_judge_comes_first_and_what_was_not_measured_is_a_dash() -> None:
    good, bad = (
        record(
            judge=name,
            metrics={
                "pairwise_accuracy": Estimate(x, x - 0.1, x + 0.1),
                "length_bias": Estimate(-0.2, None, None),
            },
        )
        for name, x in (("good", 0.8), ("bad", 0.4))
    )
    unknown = record(judge="|x|", per_group={"cost_usd": None})
    assert [r.judge for r in by_suite([unknown, bad, good])["s"]] == ["good", "bad", "|x|"]
    assert cells(good)[:6] == ["good", "10", "0.80 (0.70 to 0.90)", "–", "–", "−0.20"]
    assert cells(unknown)[2:9] == ["–"] * 7
    heads, *rest = markdown([good, bad]).splitlines()
    assert heads == "| judge | groups | pairs right | length | date |", "no column without a figure"
    assert len({line.count(" | ") for line in rest}) == 1


def test_the_command_shows_packaged_and_own_records(tmp_path: Path) -> None:
    done = here("judges", "--suite", "game24")
    assert done.code == 0, done.err
    assert "game24" in done.out
    assert "local" in done.out
    assert "humaneval" not in done.out
    own = tmp_path / "own.jsonl"
    records.append(
        own, [record(judge="mine", suite="game24", metrics={"pairwise_accuracy": Estimate(1.0, 0.9, 1.0)})]
    )
    done = here("judges", own, "--suite", "game24")
    assert done.out.index("mine") < done.out.index("local")
    wrong = here("judges", "--suite", "game42")
    assert wrong.code == 2
    assert "there are" in wrong.err


def test_what_is_on_record_follows_from_the_recorded_benchmarks() -> None:
    packaged = read_judges()
    assert len({r.id for r in packaged}) == len(packaged)
    known = {r.id for r in packaged}
    made = recorded()
    assert [f"{r.judge} on {r.suite}" for r in made if r.id not in known] == []
    assert {r.id for r in packaged if not r.reckoned} == {r.id for r in made}, (
        "each measured one has its benchmark"
    )
    for one in packaged:
        assert one.date <= datetime.datetime.now(datetime.UTC).date()
        assert one.reckoned == (one.prices is not None) == ("pairwise_accuracy" not in one.metrics)
