"""A judge server for tests: real HTTP, OpenAI-compatible, ranking by known ground truths.

    from ranker.testing import JudgeServer

    with JudgeServer(groups, faults={"429": 0.1, "bad_json": 0.1}) as server:
        ranked = rank_group(groups[0], judge="openai/sim", base_url=server.base_url)

It can simulate noise, position and length bias, latency, and the faults in `FAULTS`.
"""

from ranker.testing.faults import FAULTS
from ranker.testing.server import JudgeServer
from ranker.testing.simulated import Behaviour, Truth

__all__ = ["FAULTS", "Behaviour", "JudgeServer", "Truth"]
