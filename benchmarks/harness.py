"""What the scripts share: options, records, processes that print JSON, environments of peers.

Only the standard library is needed to import it, since processes under a peer's Python do so too.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ROOT = Path(__file__).parents[1]


def parser(module: str, about: str | None) -> argparse.ArgumentParser:
    """The options of a script that is run as `python -m module`."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_record(options: argparse.ArgumentParser, name: str = "--json", **more: Any) -> None:
    """The option that names the file of a script's record."""
    from ranker.bench import provenance

    options.add_argument(name, type=provenance.record, **{"help": "the results as JSON", **more})


def source(module: str, *, torch: bool = False) -> Json:
    """The command, commit and machine of a record."""
    from ranker.bench import provenance

    return {
        "command": provenance.command(module),
        "commit": provenance.commit(),
        "machine": provenance.machine(torch=torch),
    }


def write_record(path: Path | None, record: Json) -> None:
    """Write a record; without a file for it, print it."""
    text = json.dumps(record, indent=1)
    if path is None:
        print(text)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    say(f"written to {path}")


def rows_with(path: Path | None, row: Json, *keys: str) -> list[Json]:
    """The rows of a record that is there already, but for one with the same values of `keys`, and the new one."""
    known = json.loads(path.read_bytes())["rows"] if path is not None and path.is_file() else []
    return [*(r for r in known if any(r[k] != row[k] for k in keys)), row]


def exit_code(work: Callable[[], bool]) -> int:
    """Do work that can be interrupted, and go on with the same command later: 0 where all of it is done, 1 where not."""
    from ranker.errors import ConfigurationError

    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    try:
        return int(not work())
    except ConfigurationError as error:
        say(f"ranker: {error}")
        return 2
    except KeyboardInterrupt:
        say("ranker: interrupted; the same command continues from here.")
        return 130


def say(text: str) -> None:
    """What is under way, to those who wait."""
    print(text, file=sys.stderr, flush=True)


def run_json(python: Path | str, module: str, **settings: Any) -> Json:
    """Run a module that ends in `print_json`, from the root of the repository.

    Raises:
        RuntimeError: it failed; with the end of its standard error.
    """
    command = [str(python), "-m", module, json.dumps(settings)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if result.returncode:
        raise RuntimeError(f"python -m {module} failed:\n{result.stderr[-4000:]}")
    return dict(json.loads(result.stdout.splitlines()[-1]))


def print_json(work: Callable[..., Json]) -> None:
    """The other side of `run_json`: does the work with the settings; remarks on standard output go to standard error."""
    with redirect_stdout(sys.stderr):
        result = work(**json.loads(sys.argv[1]))
    print(json.dumps(result))


def versions(*names: str) -> dict[str, str]:
    """The installed versions of distributions."""
    import importlib.metadata

    return {name: importlib.metadata.version(name) for name in names}


def peer_python(name: str, needs: Sequence[str], without_dependencies: Sequence[str] = ()) -> Path:
    """The Python of an environment of its own, created on first use in the user's cache folder."""
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("ranker")) / name
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    stamp, content = folder / "complete", "\n".join([*needs, *without_dependencies]) + "\n"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == content:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *needs], check=True)
    if without_dependencies:
        subprocess.run([*install, "--no-deps", *without_dependencies], check=True)
    stamp.write_text(content, encoding="utf-8")
    return python
