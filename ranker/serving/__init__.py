"""Ranker over HTTP (`ranker serve`), for programs that are not Python or run elsewhere: FastAPI on uvicorn.

Needs the extra ``serve``: ``pip install 'ranker-rl[serve]'``.
"""

from ranker.serving.app import application
from ranker.serving.limits import Defaults, Limits
from ranker.serving.run import Listening, run
from ranker.serving.service import Service

__all__ = ["Defaults", "Limits", "Listening", "Service", "application", "run"]
