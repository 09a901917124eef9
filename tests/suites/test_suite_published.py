"""The published suites: read from files, fetched from a real server, converted and checked."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ranker import Trajectory, TrajectoryGroup
from ranker.errors import ConfigurationError
from ranker.files import read_groups
from ranker.prompting.transcript import transcribe
from ranker.suites import published
from ranker.suites.published import SOURCES, digest, load

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "tau_airline.jsonl").is_file(), reason="the published groups lie beside the repository"
)
Serve = Callable[..., str]
BROKEN = {"gsm8k-solutions": b'{"question": "1 + 1?"}\n', "tau-airline": b'[{"task_id": 0}]'}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no data folder."""
    monkeypatch.delenv("RANKER_DATA", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return published._cache_folder()


@contextmanager
def _server(body: bytes, status: int = 200, promised: int | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if promised is None else promised))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/source"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def serve_file() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(_server(*args, **kwargs))


def tau_source(groups: list[TrajectoryGroup]) -> bytes:
    """Groups as the file they come from: a list of runs, trial by trial, with more than is taken over."""
    runs = [
        {
            "task_id": task,
            "reward": t.ground_truth,
            "info": {"task": {"instruction": "not shown"}},
            "traj": list(t.messages),
            "trial": trial,
        }
        for trial in range(4)
        for task, group in enumerate(groups)
        for t in [group.trajectories[trial]]
    ]
    further = [{**run, "task_id": run["task_id"] + 25} for run in runs]
    return json.dumps(runs + further, indent=2).encode()


def gsm8k_source(groups: list[TrajectoryGroup]) -> bytes:
    rows = [
        {
            "question": group.trajectories[0].messages[0]["content"],
            "ground_truth": "A: 0",
            **{
                str(t.id): {"is_correct": t.ground_truth == 1, "solution": t.messages[1]["content"]}
                for t in group.trajectories
            },
        }
        for group in groups
    ]
    return "".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]).encode()


def source_of(name: str) -> bytes:
    groups = read_groups(DATA / SOURCES[name].file)
    return tau_source(groups) if name == "tau-airline" else gsm8k_source(groups)


def test_conversion_of_a_tau_run() -> None:
    traj = [{"role": "system", "content": "Policy."}, {"role": "user", "content": "Hi."}]
    runs = [
        {"task_id": task, "reward": reward, "trial": trial, "traj": traj, "info": {}}
        for trial, task, reward in [(1, 0, 1.0), (0, 3, 0.0), (0, 0, 0.0), (0, 25, 1.0)]
    ]
    first, second = published.tau_airline(json.dumps(runs))
    assert (first.id, first.ids) == ("tau-airline-0", ["trial-0", "trial-1"])
    assert [t.ground_truth for t in first.trajectories] == [0.0, 1.0]
    assert list(first.trajectories[0].messages) == traj
    assert second.id == "tau-airline-3"


def test_conversion_of_a_gsm8k_row() -> None:
    row = {"question": "Two and two?", "ground_truth": "A: 4"}
    for k, solver in enumerate(published._SOLVERS):
        row[solver] = {"is_correct": k == 2, "solution": f"A: {k + 2}"}
    (group,) = published.gsm8k_solutions(json.dumps(row) + "\n")
    assert group.id == "gsm8k-0"
    assert [t.ground_truth for t in group.trajectories] == [0.0, 0.0, 1.0, 0.0]
    assert [m["content"] for m in group.trajectories[2].messages] == ["Two and two?", "A: 4"]


@needs_data
@pytest.mark.parametrize(
    ("name", "groups", "mixed"), [("tau-airline", 25, 11), ("gsm8k-solutions", 400, 208)]
)
def test_files_are_what_is_pinned(
    name: str, groups: int, mixed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = load(name, DATA / SOURCES[name].file)
    assert digest(made) == SOURCES[name].sha256
    assert len(made) == groups
    assert sum(len({t.ground_truth for t in g.trajectories}) > 1 for g in made) == mixed
    assert all(len(g) == 4 for g in made)
    monkeypatch.setenv("RANKER_DATA", str(DATA))
    assert digest(load(name)) == SOURCES[name].sha256


@needs_data
@pytest.mark.parametrize("name", SOURCES)
def test_fetched_once_then_kept(name: str, serve_file: Serve, cache: Path) -> None:
    url = serve_file(source_of(name))
    first = load(name, url=url)
    assert digest(first) == SOURCES[name].sha256
    assert [p.name for p in cache.iterdir()] == [SOURCES[name].file]
    again = load(name, url="http://127.0.0.1:9/nobody-listens")
    assert again == first == load(name, DATA / SOURCES[name].file)


@needs_data
def test_the_sources_own_file_by_path_or_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SOURCES["gsm8k-solutions"]
    own = tmp_path / source.original
    own.write_bytes(source_of("gsm8k-solutions"))
    assert digest(load("gsm8k-solutions", own)) == source.sha256
    monkeypatch.setenv("RANKER_DATA", str(tmp_path))
    assert digest(load("gsm8k-solutions")) == source.sha256


@needs_data
def test_damaged_cache_is_fetched_again(serve_file: Serve, cache: Path) -> None:
    name = "gsm8k-solutions"
    cache.mkdir(parents=True)
    kept = cache / SOURCES[name].file
    lines = (DATA / SOURCES[name].file).read_text().splitlines(keepends=True)
    kept.write_text("".join(lines[:-1]))
    assert len(load(name, url=serve_file(source_of(name)))) == 400
    assert digest(read_groups(kept)) == SOURCES[name].sha256


@needs_data
def test_changed_source_is_refused(serve_file: Serve, cache: Path) -> None:
    name = "gsm8k-solutions"
    url = serve_file(source_of(name).replace(b'"is_correct": true', b'"is_correct": false', 1))
    with pytest.raises(ConfigurationError) as caught:
        load(name, url=url)
    told = str(caught.value)
    assert SOURCES[name].sha256 in told
    assert len([w for w in told.replace(",", " ").split() if len(w.strip(".")) == 64]) == 2
    assert "RANKER_DATA" in told
    assert ":FILE" in told
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize("name", SOURCES)
def test_another_file_is_refused(name: str, serve_file: Serve, cache: Path) -> None:
    for body in (b"", b"<html>Sorry</html>", b"[]", BROKEN[name], b"\xff\xfe"):
        with pytest.raises(ConfigurationError, match="RANKER_DATA"):
            load(name, url=serve_file(body))
    assert not cache.exists()


def test_missing_at_the_source(serve_file: Serve) -> None:
    with pytest.raises(ConfigurationError, match=r"404.*Download https://raw\..*RANKER_DATA"):
        load("tau-airline", url=serve_file(b"not found", status=404))


def test_body_cut_off(serve_file: Serve, cache: Path) -> None:
    with pytest.raises(ConfigurationError, match="could not be fetched"):
        load("gsm8k-solutions", url=serve_file(b'{"question": ', promised=1000))
    assert not cache.exists()


def test_offline() -> None:
    with pytest.raises(ConfigurationError, match=r"could not be fetched .*yourself .*RANKER_DATA"):
        load("tau-airline", url="http://127.0.0.1:9/nobody-listens")


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="tau-airline, gsm8k-solutions"):
        load("tau")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load("tau-airline", tmp_path / "none.jsonl")
    with pytest.raises(ConfigurationError, match="no address"):
        load("tau-airline", url="file:///etc/hostname")


@needs_data
def test_cache_folder_that_cannot_be_made(serve_file: Serve, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file in the way")
    with pytest.raises(ConfigurationError, match=r"cannot be (read|written)"):
        load("gsm8k-solutions", url=serve_file(source_of("gsm8k-solutions")))


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    a, b = ({"role": "user", "content": "é"}, {"content": "é", "role": "user"})
    one, two = (digest([TrajectoryGroup([Trajectory([m], id="t", ground_truth=1)], id="g")]) for m in (a, b))
    assert one == two


@needs_data
@pytest.mark.parametrize(
    ("name", "pairs", "known"), [("tau-airline", 35, 0.60), ("gsm8k-solutions", 691, 0.548)]
)
def test_facts_that_readers_are_told(name: str, pairs: int, known: float) -> None:
    """What length alone says; and that no attempts that read the same have different truths."""
    wins = []
    for group in load(name, DATA / SOURCES[name].file):
        told = [(transcribe(t).text, t.ground_truth or 0.0) for t in group.trajectories]
        assert len(set(told)) == len({text for text, _ in told})
        for (a, x), (b, y) in itertools.permutations(told, 2):
            if x > y:
                wins.append(0.5 if len(a) == len(b) else float(len(a) > len(b)))
    assert len(wins) == pairs
    assert sum(wins) / pairs == pytest.approx(known, abs=0.01)
