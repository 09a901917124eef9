"""What all tests share: no cache unless a test asks for one, groups with a known truth, judge servers."""

from __future__ import annotations

import gzip
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ranker import Trajectory, TrajectoryGroup
from ranker.testing import JudgeServer


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANKER_CACHE", "off")
    for name in ("RANKER_JUDGE", "RANKER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


# Tests run in several processes: threads of torch on the same cores would wait for each other, at many times the cost.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts this run in the background has it ignore Ctrl-C; the tests of interruption need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


# What trains, runs a model, builds a wheel or lasts: left to `make test-all`.
SLOW = (
    "grpo/", "tuning/", "benchmarks/", "integrations/", "calibration/", "judges/test_local", "judges/test_embedded",
    "judges/test_models", "audit/test_resume", "bench/test_resume", "bench/test_simulated_judges", "labelling/test_page_browser", "viewing/test_view_browser", "viewing/test_server", "jsonl/test_shards", "jsonl/test_appender",
    "serving/test_serve_limits", "serving/test_serve_crowd", "serving/test_serve.py", "judges/test_batches", "suites/test_suite_answers", "suites/test_suites", "suites/test_suite_lookup", "test_bad_input", "docs/", "test_examples", "test_site",
    "test_wheel",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if str(item.path.relative_to(here)).startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def make_groups(n: int, size: int = 4, seed: int = 0) -> list[TrajectoryGroup]:
    """Groups of short attempts; the truth is drawn anew for each and cannot be read off the text."""
    rng = random.Random(seed)
    groups = []
    for g in range(n):
        truths = rng.sample(range(100), size)
        groups.append(
            TrajectoryGroup(
                [
                    Trajectory(
                        [
                            {"role": "user", "content": f"Question {g}: which word is meant?"},
                            {"role": "assistant", "content": f"Word {rng.getrandbits(40):x} of attempt {i}."},
                        ],
                        id=f"t{i}",
                        ground_truth=truth / 100,
                    )
                    for i, truth in enumerate(truths)
                ],
                id=f"g{g}",
            )
        )
    return groups


def truthful(group: TrajectoryGroup, rewards: list[float | None]) -> bool:
    """Whether rewards order all attempts exactly as the truth does, ties included."""
    truths = [t.ground_truth for t in group.trajectories]
    pairs = [(i, j) for i in range(len(truths)) for j in range(i)]
    return all((truths[i] < truths[j]) == (rewards[i] < rewards[j]) for i, j in pairs) and all(
        (truths[i] == truths[j]) == (rewards[i] == rewards[j]) for i, j in pairs
    )


def ranking(groups: object, server: JudgeServer, out: object, *more: object) -> list[str]:
    """The words after ``ranker`` that rank a file or a folder with a judge server."""
    reach = ["--judge", "sim", "--base-url", server.base_url]
    return ["rank", str(groups), *reach, "--out", str(out), *map(str, more)]


@pytest.fixture
def serve() -> Iterator[Callable[..., JudgeServer]]:
    """Start judge servers that stop with the test."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(JudgeServer(*args, **kwargs))


@pytest.fixture(autouse=True, scope="module")
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """The tests of training have matrices so small that threads only wait for each other."""
    if not request.module.__name__.rpartition(".")[2].startswith(
        ("test_grpo", "test_tuning", "test_integration_trl")
    ):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the group files of `tests/data`, unpacked."""
    folder = tmp_path_factory.mktemp("real_groups")
    for packed in (Path(__file__).parent / "data").glob("*.gz"):
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder
