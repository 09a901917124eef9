"""Tests on real engines: `make test-engines` installs them and names their folder in $RANKER_ENGINES."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ranker.judges.local.models import find_model
from tests.engines.server import EngineServer

ENGINES = os.environ.get("RANKER_ENGINES")
collect_ignore_glob = [] if ENGINES else ["test_*.py"]
WINDOW = 2_048


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The folder of SmolLM2-135M-Instruct, fetched once."""
    return find_model("smollm2")[0]


@pytest.fixture(scope="session")
def gguf() -> Path:
    """Qwen2.5-Coder-0.5B-Instruct where $RANKER_MODELS has it, else what there is of SmolLM2."""
    folder = Path(os.environ.get("RANKER_MODELS", ""))
    for name in ("qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct"):
        if (folder / f"{name}.gguf").is_file():
            return folder / f"{name}.gguf"
    pytest.skip("$RANKER_MODELS names no folder with GGUF files")


@pytest.fixture(scope="session")
def untied(smollm2: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """SmolLM2 with an output layer of its own: vLLM's CPU build does not renew one that is tied to the embeddings."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(tmp_path_factory.mktemp("untied"))
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.bfloat16)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(smollm2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., EngineServer]]:
    """Start vLLM with a model and flags; stopped with the module."""
    log = tmp_path_factory.mktemp("vllm") / "log"
    env = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2",
    }  # fmt: skip

    def start(model: str, *flags: str) -> EngineServer:
        command = [
            f"{ENGINES}/vllm/bin/vllm", "serve", model, "--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "policy",
            "--dtype", "bfloat16", "--max-model-len", str(WINDOW), "--enforce-eager", *flags,
        ]  # fmt: skip
        return stack.enter_context(EngineServer(command, log, env))

    with ExitStack() as stack:
        yield start


@pytest.fixture(scope="module")
def llamacpp(tmp_path_factory: pytest.TempPathFactory, gguf: Path) -> Iterator[EngineServer]:
    log = tmp_path_factory.mktemp("llamacpp") / "log"
    program = str(Path(__file__).with_name("llamacpp_server.py"))
    command = [f"{ENGINES}/llamacpp/bin/python", program, str(gguf), "{port}", str(WINDOW)]
    with EngineServer(command, log) as server:
        yield server
