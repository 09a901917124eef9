"""The embedded default judge: tuned on training templates of generated suites, measured on templates held out.

python -m benchmarks.judges.embedded tune --out DIR
python -m benchmarks.judges.embedded measure DIR --groups 400 --out FILE
python -m benchmarks.judges.embedded card
"""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jinja2
from rich.progress import Progress as Bar
from rich.progress import track

from benchmarks.harness import Json, parser, source
from ranker.aggregate.agreement import agreeing
from ranker.bench.records import BASELINE, newest, read_judges
from ranker.calibration.threshold import Fitted, fit_threshold
from ranker.jsonl.appender import Appender, read_records
from ranker.judges.cascade import confidence
from ranker.judges.local.judge_file import FILE, read_judge, setup_from, write_judge
from ranker.judges.local.logprob_judge import LogprobJudge
from ranker.judges.local.scores import probabilities
from ranker.judges.local.ways import Way, fit
from ranker.statistics import Estimate, ratio
from ranker.suites import GENERATED, REAL, load
from ranker.tuning.examples import Example, from_groups
from ranker.tuning.run import Run, Tuning, TuningProgress

MODULE = "benchmarks.judges.embedded"
SEED = 11
# Groups of each family's training templates, of four attempts, a third at each difficulty.
# The packaged judge was trained on 27 more functions of `code` than the suite has now.
GROUPS = {"constraints": 1000, "answers": 1100, "lookup": 750, "arithmetic": 550, "code": 550, "desk": 250}
# Of a run that goes on from another: more of the families that still had to be learned.
FURTHER = {"constraints": 2400, "answers": 1500, "lookup": 1400, "arithmetic": 900, "desk": 220, "code": 100}
DIFFICULTIES = (0.1, 0.3, 0.5)
BARE = 4  # one group of so many is shown without the rubric of its family, for users who give none
AGREEMENT = 0.95  # of the cascade that `summary` looks at
HELD = 6  # groups of each family that are looked at in between: too few to choose a state by, so the last one is taken
TEST = 6  # and at the end; `measure` is what counts
TUNING = Tuning(base="smollm2-135m-instruct", way="pointwise_with_numbers", template="brief.v2", epochs=1, batch=4, learning_rate=1.2e-3,
                minutes=None, checks=5, patience=99, keep="last", seed=SEED)  # fmt: skip


def examples(groups: Mapping[str, int], seed: int) -> list[Example]:
    """Groups of training templates."""
    drawn: list[Example] = []
    for family, count in groups.items():
        for k, difficulty in enumerate(DIFFICULTIES):
            share = count // 3 + (k < count % 3)
            spec = f"{family}:split=train,difficulty={difficulty}"
            drawn += from_groups(load(spec, share, seed=seed + k).groups)
    return [
        replace(e, shown=replace(e.shown, rubric="")) if i % BARE == 0 else e for i, e in enumerate(drawn)
    ]


def tune(out: Path, groups: Mapping[str, int], minutes: float | None, start: Path | None, seed: int) -> None:
    """Train the adapter into `out`, going on from that of the run `start` where one is args."""
    origin = source(MODULE)
    trained: Json = {"families": dict(groups), "split": "train"} | {
        k: origin[k] for k in ("command", "commit")
    }
    if start:
        before = read_judge(start)[0]["measured"]
        trained["start"] = {"trained_on": before["trained_on"], "tuning": before["tuning"]}
    with Bar() as bar:
        task = bar.add_task("tuning", total=None)

        def report(at: TuningProgress) -> None:
            bar.update(task, total=at.steps, completed=at.step)
            print(f"{at.seconds:.0f} s, step {at.step} of {at.steps}: loss {at.loss:.3f}, accuracy {at.accuracy:.3f}, "
                  f"held out {at.validation_loss}", flush=True)  # fmt: skip

        run = Run(
            replace(TUNING, minutes=minutes, seed=seed),
            examples(groups, seed),
            out,
            validation=examples(dict.fromkeys(groups, HELD), SEED + 100),
            test=examples(dict.fromkeys(groups, TEST), SEED + 200),
            start=start and start / "adapter",
            report=report,
            source=trained,
        )
        print(run.go())


def measure(judge: Path, families: Mapping[str, int], out: Path, seed: int) -> None:
    """Pairwise accuracy on templates held out; scores of each group go to `out`, line by line."""
    score_groups(judge, {f: from_groups(load(f, n, seed=seed).groups) for f, n in families.items()}, out)
    print(json.dumps(summary(out), indent=1))


def score_groups(judge: Path, families: Mapping[str, Sequence[Example]], out: Path) -> None:
    """Append the scores of each group to `out`, with the tokens and the seconds that they took; groups that are there are left
    out."""
    probe = LogprobJudge(setup_from(*read_judge(judge)), cache="off")
    sink = Appender(out, holds=("scores",), what="record of scores")
    try:
        for family, own in families.items():
            for example in track(own, family):
                name = f"{family}/{example.id}"
                if name in sink.done:
                    continue
                began = time.monotonic()
                scores, tokens = scored(probe, example)
                sink.write({"id": name, "family": family, "truths": example.truths_G, "tokens": tokens,
                            "scores": [round(s, 4) for s in scores], "seconds": round(time.monotonic() - began, 3)})  # fmt: skip
    finally:
        sink.close()


def scored(judge: LogprobJudge, example: Example) -> tuple[list[float], int]:
    """A score for each attempt of a group, and the tokens that were read for them."""
    loaded = judge.local.load()
    return judge.read(loaded, fit(example.shown, judge.setup.way, loaded.window, loaded.count))


def figures(
    way: Way, truths: Sequence[Sequence[float]], scores: Sequence[Sequence[float]]
) -> tuple[Estimate, Callable[[], Fitted]]:
    """Pairwise accuracy of scores, and what fits a cascade to them with the truth as the strong judge."""
    import numpy as np

    right, pairs = zip(*(agreeing(t, s) for t, s in zip(truths, scores, strict=True)), strict=True)
    sure = [confidence(probabilities(way, s)) for s in scores]
    accuracy = ratio(np.array(right, dtype=float), np.array(pairs, dtype=float), share=True)
    return accuracy, lambda: fit_threshold(sure, right, pairs, AGREEMENT)


def summary(records: Path) -> Json:
    """Accuracy of each family with its interval, and their mean; and what a cascade would save there with the truth as
    the strong judge."""
    families: Json = {}
    every = sorted(read_records(records), key=lambda r: str(r["family"]))
    for family, own in itertools.groupby(every, key=lambda r: str(r["family"])):
        groups = list(own)
        accuracy, cascade = figures(
            "pointwise_with_numbers", [r["truths"] for r in groups], [r["scores"] for r in groups]
        )
        families[family] = {**accuracy.to_dict(), "groups": len(groups)}
        if len(groups) >= 30:
            families[family]["cascade"] = cascade().to_dict()
    generated = [f["value"] for family, f in families.items() if family in GENERATED]
    return {"families": families, "mean": sum(generated) / max(1, len(generated))}


def _stages(measured: Json) -> list[Json]:
    """The records of the trainings that one continued from, the first one first, and of the last."""
    before = measured["trained_on"].get("start")
    return [*(_stages(before) if before else []), measured]


def install(run: Path, records: Path) -> None:
    """Put an adapter and its card into the package."""
    import ranker.judges.embedded

    home = Path(ranker.judges.embedded.__file__).parent
    shutil.rmtree(home / "adapter", ignore_errors=True)
    (home / "adapter").mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(run / "adapter" / name, home / "adapter" / name)
    judge, _ = read_judge(run)
    accuracy, training = summary(records), judge["measured"]
    measured = {**accuracy, "trained_on": training["trained_on"], "tuning": training["tuning"],
                "records": records.name}  # fmt: skip
    shipped = {**judge, "base": "smollm2-135m-instruct", "adapter": "adapter", "measured": measured}
    write_judge(home / FILE, shipped)
    card(home)


def card(home: Path) -> None:
    """Put what is on record of the judge on real attempts beside its other figures, and write its card."""
    judge, _ = read_judge(home)
    measured = judge["measured"]
    measured["real"] = on_real_attempts()
    write_judge(home / FILE, judge)
    words = shlex.split(measured["trained_on"]["command"])
    template = Path(__file__).with_name("embedded_card.md.j2").read_text(encoding="utf-8")
    text = jinja2.Template(template, trim_blocks=True, keep_trailing_newline=True).render(
        **{key: measured[key] for key in ("families", "mean", "real", "records")},
        run=words[words.index("--out") + 1],
        stages=_stages(measured),
        megabytes=(home / "adapter" / "adapter_model.safetensors").stat().st_size / 1e6,
    )
    (home / "CARD.md").write_text(text, encoding="utf-8")


def on_real_attempts() -> Json:
    """What is on record of `local` on each suite of real attempts, and of the longer attempt there."""
    known = {(r.judge, r.suite): r for r in newest(read_judges()) if not r.reckoned}
    figures: Json = {}
    for suite in REAL:
        own, length = known.get(("local", suite)), known.get((BASELINE, suite))
        if own is not None:
            attack = own.metrics.get("attack_effect")
            figures[suite] = {
                **own.accuracy.to_dict(),
                "groups": own.groups,
                "longer": None if length is None else length.accuracy.value,
                "attack": None if attack is None else attack.value,
                "command": own.command,
            }
    return figures


def main() -> None:
    options = parser(MODULE, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    tuning = commands.add_parser("tune")
    tuning.add_argument("--out", type=Path, required=True)
    tuning.add_argument("--minutes", type=float)
    tuning.add_argument("--start", type=Path, help="the folder of a run to go on from, with another --seed")
    tuning.add_argument("--seed", type=int, default=SEED, help="draws the groups and their order")
    tuning.add_argument("--without", default="", help="a family to leave out of the training")
    measuring = commands.add_parser("measure")
    measuring.add_argument("judge", type=Path)
    measuring.add_argument("--groups", type=int, default=400)
    measuring.add_argument("--families", default=",".join([*GROUPS, "toolenv"]))
    measuring.add_argument("--seed", type=int, default=7)
    measuring.add_argument("--out", type=Path, required=True)
    installing = commands.add_parser("install")
    installing.add_argument("run", type=Path)
    installing.add_argument("records", type=Path)
    commands.add_parser("card", help="write the packaged judge's card again, with what is on record")
    args = options.parse_args()
    if args.command == "card":
        import ranker.judges.embedded

        card(Path(ranker.judges.embedded.__file__).parent)
    elif args.command == "install":
        install(args.run, args.records)
    elif args.command == "tune":
        counts = FURTHER if args.start else GROUPS
        groups = {f: n for f, n in counts.items() if f != args.without}
        tune(args.out, groups, args.minutes, args.start, args.seed)
    else:
        measure(args.judge, dict.fromkeys(args.families.split(","), args.groups), args.out, args.seed)


if __name__ == "__main__":
    main()
