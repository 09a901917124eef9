"""The certificate: audits of the study's judges beside what their policies kept, and how well the one predicts the other.

Audits every judge of the fitted and of the predicted arms on groups of the untrained policy, fits the coefficients of
`ranker.audit.certificate` on the study's runs, tests them on one kind of judge at a time that the fit has not seen, and
writes the predictions of the arms `predicted`. With --freeze the predictions are written down before those arms are run;
without it they are read again and shown beside the outcomes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness import parser, say, source
from benchmarks.study import analysis, plan
from benchmarks.study.plan import Arm
from ranker.audit.audit import Audit, audit_judge
from ranker.audit.certificate import Features, Prediction, features_of, fit, predicted, quality
from ranker.audit.lifts import Lift
from ranker.jsonl.appender import Appender, read_records
from ranker.statistics import Estimate

GROUPS = 30
FITTED = ("noise", *plan.BIASES, "inverted", "passes", "group-size", "scores")


def audits(arms: Sequence[Arm], path: Path) -> dict[str, Features]:
    """Of every arm's judge, by arm; those that the file holds are read."""
    from benchmarks.study import judges, online
    from benchmarks.study.attempts import reference
    from grpo.demo import quick

    records = {r["arm"]: r for r in read_records(path)} if path.exists() else {}
    sink = Appender(path, holds=("arm",), what="audit of a study")
    try:
        for arm in arms:
            if arm.name in records or arm.judge is None:
                continue
            with judges.server(arm.judge, online.noise_of(arm.judge), 0) as server:
                audit = audit_judge(
                    reference()[:GROUPS],
                    "openai/simulated",
                    quick.RUBRIC,
                    arm.judge.passes,
                    base_url=server.base_url,
                    cache="off",
                    progress=False,
                )
            fields = {key: audit.to_dict()[key] for key in ("lifts", "repeatability", "accuracy", "position")}
            records[arm.name] = {"id": f"audit/{arm.name}", "arm": arm.name, **fields}
            sink.write(records[arm.name])
            say(arm.name)
    finally:
        sink.close()
    return {name: of for name, record in records.items() if (of := features_of(read(record))) is not None}


def read(record: Mapping[str, Any]) -> Audit:
    """The part of an audit that a record holds."""
    lifts = []
    for lift in record["lifts"]:
        fields: Any = {k: Estimate(**v) if isinstance(v, dict) else v for k, v in lift.items()}
        lifts.append(Lift(**fields))
    return Audit(
        "openai/simulated",
        GROUPS,
        tuple(lifts),
        repeatability=Estimate(**record["repeatability"]),
        accuracy=Estimate(**record["accuracy"]),
    )


def recoveries(folder: Path, seeds: int, steps: int) -> dict[str, float]:
    """What the policies of every arm kept, means over seeds."""
    units = plan.units(plan.chosen(), seeds, steps)
    runs = analysis.Runs(units, {r["id"]: r for r in read_records(folder / "runs.jsonl")})
    shares = {name: runs.recovery(name).value for name in runs.arms if runs.trained[name]}
    return {name: value for name, value in shares.items() if value is not None}


def left_out(
    arms: Sequence[Arm], features: Mapping[str, Features], kept: Mapping[str, float]
) -> list[tuple[Arm, Prediction]]:
    """Every arm predicted by a fit without its family."""
    pairs = []
    for family in dict.fromkeys(arm.family for arm in arms):
        others = [arm.name for arm in arms if arm.family != family]
        model = fit([features[name] for name in others], [kept[name] for name in others])
        pairs += [(arm, predicted(features[arm.name], model)) for arm in arms if arm.family == family]
    return pairs


def row(name: str, prediction: Prediction, kept: float | None) -> dict[str, Any]:
    """A prediction beside its outcome."""
    estimate = prediction.kept.to_dict(3)
    return {"arm": name, "edit": prediction.edit, "predicted": estimate,
            "kept": None if kept is None else round(kept, 3)}  # fmt: skip


def main() -> int:
    options = parser("benchmarks.study.certificate", __doc__)
    options.add_argument(
        "--out", type=Path, required=True, help="the folder of a study; its runs.jsonl is read"
    )
    options.add_argument(
        "--freeze", action="store_true", help="write the predictions of the arms not yet run"
    )
    options.add_argument("--without-truth", action="store_true", help="predict without the judge's accuracy")
    args = options.parse_args()
    logging.disable(logging.WARNING)
    kept = recoveries(args.out, plan.SEEDS, plan.STEPS)
    arms = [a for a in plan.ARMS.values() if a.family in FITTED and a.name in kept]
    tested = [a for a in plan.ARMS.values() if a.family == "predicted"]
    features = audits([*arms, *tested], args.out / "audits.jsonl")
    if args.without_truth:
        features = {name: Features(**{**asdict(f), "accuracy": None}) for name, f in features.items()}
    pairs = left_out(arms, features, kept)
    frozen = args.out / "predictions.json"
    if args.freeze:
        if any(arm.name in kept for arm in tested):
            raise SystemExit(
                "ranker: arms of the family 'predicted' have been run; nothing is left to predict."
            )
        model = fit([features[a.name] for a in arms], [kept[a.name] for a in arms])
        rows = [row(a.name, predicted(features[a.name], model), None) for a in tested]
        frozen.write_text(
            json.dumps(
                {
                    **source("benchmarks.study.certificate"),
                    "coefficients": asdict(model),
                    "predictions": rows,
                },
                indent=1,
            )
            + "\n"
        )
    report: dict[str, Any] = {
        **source("benchmarks.study.certificate"),
        "left_out": {**quality([(p, kept[a.name]) for a, p in pairs])},
        "arms": [row(a.name, p, kept[a.name]) for a, p in pairs],
    }
    if frozen.exists():
        record = json.loads(frozen.read_text())
        report["coefficients"] = record["coefficients"]
        report["predicted"] = [{**r, "kept": round(kept[r["arm"]], 3) if r["arm"] in kept else None}
                               for r in record["predictions"]]  # fmt: skip
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
