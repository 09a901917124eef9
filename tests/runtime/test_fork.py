"""A process that was forked after its parent ranked: it ranks too, over connections of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict

SCRIPT = """
import json, multiprocessing, os, sys
from ranker import rank_group, rank_groups

url, cache, group = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
options = {"base_url": url, "cache": cache}

def rewards(seed):
    return rank_group(group, "m", seed=seed, **options).rewards

assert rewards(0) == [0.0, 1.0, 0.5]
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    print(pool.map(rewards, [1, 2, 0]))
pid = os.fork()
if pid == 0:
    (ranked,) = rank_groups([group], "m", seed=3, progress=False, **options)
    print([ranked.rewards], flush=True)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
print([rewards(4)])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("cache", ["off", "replies.sqlite"])
def test_a_forked_process_ranks(tmp_path, cache):

    path = cache if cache == "off" else str(tmp_path / cache)
    with ScriptedServer(lambda body, n: chat(json.dumps(verdict(body)))) as server:
        command = [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            "-c",
            SCRIPT,
            server.base_url,
            path,
            json.dumps(GROUP),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        calls = len(server.requests)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[REWARDS] * 3, [REWARDS], [REWARDS]]
    assert calls == (6 if cache == "off" else 5)  # the verdict on seed 0 was in the cache
    assert done.stderr == ""
