"""Ranker over HTTP, for what is not Python or not in this process (`ranker serve`).

Made of aiohttp, which the core installs and reaches judges with: one HTTP library, and the extra `serve` holds one
small package (prometheus-client), where FastAPI and uvicorn would be a second stack beside it. The price is that the
OpenAPI document is written by hand (`openapi.py`); the tests hold replies against it.
"""

from ranker.serving.app import application
from ranker.serving.run import Listening, run
from ranker.serving.service import Limits, Service

__all__ = ["Limits", "Listening", "Service", "application", "run"]
