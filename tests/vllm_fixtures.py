"""Fixtures of the tests that sample from a server: one process that forks servers, one model for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.grpo_runs import policy
from tests.vllm_server import SETUP, Servers, VLLMServer


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that is trained in the tests, as a server loads it."""
    folder = tmp_path_factory.mktemp("model")
    policy(**SETUP)[0].save_pretrained(folder)
    return folder


@pytest.fixture
def serving(servers: Servers, files: Path) -> Iterator[Callable[..., VLLMServer]]:
    """Start servers that stop with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **spec: stack.enter_context(VLLMServer(servers, **{"model": str(files), **spec}))
