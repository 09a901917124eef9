"""`ranker train`: the trainer's command."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ranker.errors import ConfigurationError
from ranker.extras import install


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="A TOML file, or a packaged config: demo, quick, smollm2 (see the documentation on training)."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run folder: config, metrics, samples, checkpoints, final model. Default: the config's name with "
            "-run, in the current folder.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in the folder as if it had never stopped.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the config; repeatable."),
    ] = None,
) -> None:
    """Train a policy with GRPO on rewards from a judge.

    Under torchrun every process takes part: torchrun --nproc-per-node 2 -m ranker train …
    """
    logging.getLogger().setLevel(logging.INFO)
    for noisy in ("LiteLLM", "httpx", "transformers"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        from grpo.cli.train import (
            train as start,  # the reward library does without torch; this command cannot
        )
    except ImportError as error:
        raise ConfigurationError(f"Training needs torch and more ({error}): {install('train')}.") from None
    start(config, out or Path(f"{Path(config).stem}-run"), resume, changes or [], Console(emoji=False))
