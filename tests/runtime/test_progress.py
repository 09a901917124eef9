"""Progress where there is no terminal: a line every half minute, here every fifth of a second."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

from ranker.runtime import terminal
from ranker.runtime.terminal import bars
from tests.cli.test_cli import write
from tests.conftest import make_groups


def shown(every: float, monkeypatch: pytest.MonkeyPatch) -> tuple[terminal.Bars, io.StringIO]:
    monkeypatch.setattr(terminal, "EVERY", every)
    stream = io.StringIO()
    return bars(console=Console(file=stream, width=40)), stream


def test_a_line_tells_count_rate_cost_and_time(monkeypatch):
    bar, stream = shown(0.1, monkeypatch)
    task = bar.add_task("ranking", total=2_000, completed=1_000, note="")
    with bar:
        time.sleep(0.25)
        before = stream.getvalue().splitlines()
        bar.update(task, advance=10, note="$0.1234 [red]2 failed[/red]")
        time.sleep(0.25)
    assert before[0] == "ranking 1,000/2,000  0:00:00 elapsed"
    line = stream.getvalue().splitlines()[-1]
    told = re.fullmatch(
        r"ranking 1,010/2,000  ([\d.]+)/s  \$0\.1234 2 failed  0:00:00 elapsed, 0:00:(\d\d) left", line
    )
    assert told, line
    assert 10 <= float(told[1]) <= 40
    assert 24 <= int(told[2]) <= 99


def test_a_slow_task_is_told_by_the_minute(monkeypatch):
    bar, _ = shown(30, monkeypatch)
    clock = [0.0]
    bar.get_time = lambda: clock[0]
    task = bar.add_task("step", total=3, note="")
    clock[0] = 90.0
    bar.advance(task)
    assert terminal.told(bar.tasks[0]) == "step 1/3  0.7/min  0:01:30 elapsed, 0:03:00 left"


def test_what_was_there_already_is_no_part_of_the_rate(monkeypatch):
    bar, _ = shown(30, monkeypatch)
    clock = [0.0]
    bar.get_time = lambda: clock[0]
    task = bar.add_task("judge", start=False, total=300, note="")
    bar.advance(task, 100)
    clock[0] = 1_000.0
    bar.begin(task)
    clock[0] = 1_010.0
    bar.advance(task, 100)
    assert terminal.told(bar.tasks[0]) == "judge 200/300  10.0/s  0:00:10 elapsed, 0:00:10 left"


def test_only_what_goes_on_is_told(monkeypatch):
    bar, stream = shown(30, monkeypatch)
    first, second, _ = (bar.add_task(name, total=10, note="") for name in ("first", "second", "third"))
    bar.update(first, completed=10)
    bar.update(second, completed=5)
    bar.say()
    assert stream.getvalue().startswith("second 5/10")
    assert "first" not in stream.getvalue()
    assert "third" not in stream.getvalue()


def test_a_stream_that_can_no_longer_be_written_ends_the_lines_and_nothing_else(monkeypatch, recwarn):
    bar, stream = shown(0.05, monkeypatch)
    bar.add_task("ranking", total=2, note="")
    with bar:
        stream.close()
        time.sleep(0.2)
    assert not recwarn.list


CODE = "import ranker.runtime.terminal as t; t.EVERY = 0.2; from ranker.cli import main; main()"


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_the_command_tells_without_a_terminal_unless_it_is_quiet(serve, tmp_path, quiet):

    groups = make_groups(4)
    server = serve(groups, latency=0.4)
    done = subprocess.run(
        [sys.executable, "-c", CODE, "rank", write(tmp_path / "g.jsonl", groups), "--judge", "openai/sim",
         "--base-url", server.base_url, "--out", tmp_path / "out.jsonl", "--concurrency", "1", *quiet],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("ranker: ranking ")]
    if quiet:
        assert not lines
    else:
        assert re.search(r"[1-3]/4  .*elapsed, 0:00:0\d left", lines[-1]), lines


def test_a_program_is_told_of_its_groups_too(serve):
    code = (
        "import ranker.runtime.terminal as t; t.EVERY = 0.2\n"
        "from ranker import rank_groups\n"
        "from tests.conftest import make_groups\n"
        "import sys\n"
        "list(rank_groups(make_groups(4), 'openai/sim', base_url=sys.argv[1], concurrency=1, cache='off',\n"
        "     progress=sys.argv[2] == 'yes'))"
    )

    server = serve(make_groups(4), latency=0.4)
    told = {}
    for progress in ("yes", "no"):
        run = [sys.executable, "-c", code, server.base_url, progress]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        told[progress] = done.stderr
    assert "ranker: ranking " in told["yes"]
    assert told["no"] == ""
