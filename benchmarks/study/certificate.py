"""The certificate: audits of the study's judges beside what their policies recovery, and how well the one predicts the other.

Audits every judge of the fitted and of the predicted arms on groups of the untrained policy, fits the coefficients of
`ranker.audit.certificate` on the study's runs, tests them on one kind of judge at a time that the fit has not seen, and
writes the predictions of the arms `predicted`. With --freeze the predictions are written down before those arms are run;
without it they are read again and shown beside the outcomes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.harness import parser, say, source, write_record
from benchmarks.study import analysis, plan
from benchmarks.study.fitting import fit
from benchmarks.study.plan import Arm
from ranker.audit.audit import audit_judge
from ranker.audit.certificate import (
    Coefficients,
    Features,
    Prediction,
    features_of,
    predicted,
    quality,
)
from ranker.audit.result import AuditResult, Lift
from ranker.errors import ConfigurationError
from ranker.jsonl.appender import Appender, read_records
from ranker.statistics import NOTHING, Estimate

GROUPS = 30
JUDGES = ("noise", *plan.BIASES, "inverted")
FITTED = (*JUDGES, "passes", "group-size", "scores")


def audits(arms: Sequence[Arm], path: Path) -> dict[str, AuditResult]:
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
    return {name: read(record) for name, record in records.items()}


def read(record: Mapping[str, Any]) -> AuditResult:
    """The part of an audit that a record holds."""
    lifts = []
    for lift in record["lifts"]:
        fields: Any = {k: Estimate(**v) if isinstance(v, dict) else v for k, v in lift.items()}
        lifts.append(Lift(**fields))
    return AuditResult(
        "openai/simulated",
        GROUPS,
        tuple(lifts),
        repeatability=Estimate(**record["repeatability"]),
        accuracy=Estimate(**record["accuracy"]),
    )


def recoveries(folder: Path, seeds: int, steps: int) -> dict[str, float]:
    """What the policies of every arm recovery, means over seeds."""
    units = plan.units(plan.chosen(), seeds, steps)
    runs = analysis.Runs(units, {r["id"]: r for r in read_records(folder / "runs.jsonl")})
    shares = {name: runs.recovery(name).value for name in runs.arms if runs.trained[name]}
    return {name: value for name, value in shares.items() if value is not None}


def left_out(
    arms: Sequence[Arm], features: Mapping[str, Features], recovery: Mapping[str, float]
) -> list[tuple[Arm, Prediction]]:
    """Every arm predicted by a fit without its family."""
    pairs = []
    for family in dict.fromkeys(arm.family for arm in arms):
        others = [arm.name for arm in arms if arm.family != family]
        model = fit([features[name] for name in others], [recovery[name] for name in others])
        pairs += [(arm, predicted(features[arm.name], model)) for arm in arms if arm.family == family]
    return pairs


def forecasts(
    arms: Sequence[Arm],
    tested: Sequence[Arm],
    features: Mapping[str, Features],
    recovery: Mapping[str, float],
) -> tuple[Coefficients, dict[str, Prediction]]:
    """The fit on `arms`, and what it predicts of `tested`."""
    model = fit([features[arm.name] for arm in arms], [recovery[arm.name] for arm in arms])
    return model, {arm.name: predicted(features[arm.name], model) for arm in tested}


def report(out: Path, freeze: bool) -> dict[str, Any]:
    """All figures of the certificate; with `freeze` the predictions are written down.

    Raises:
        ConfigurationError: there is nothing left to predict.
    """
    recovery = recoveries(out, plan.SEEDS, plan.STEPS)
    arms = [a for a in plan.ARMS.values() if a.family in FITTED and a.judge and a.name in recovery]
    tested = [a for a in plan.ARMS.values() if a.family == "predicted"]
    if freeze and any(arm.name in recovery for arm in tested):
        raise ConfigurationError("Arms of the family 'predicted' have been run; nothing is left to predict.")
    audited = audits([*arms, *tested], out / "audits.jsonl")
    result: dict[str, Any] = {}
    frozen: dict[str, Any] = {}
    blind = {arm: replace(audit, accuracy=NOTHING) for arm, audit in audited.items()}
    for name, known in (("with_truth", audited), ("without_truth", blind)):
        seen = {arm: f for arm, audit in known.items() if (f := features_of(audit)) is not None}
        pairs = left_out(arms, seen, recovery)
        result[name] = {
            "left_out": quality([(p, recovery[a.name]) for a, p in pairs]),
            "left_out_of_single_judges": quality(
                [(p, recovery[a.name]) for a, p in pairs if a.family in JUDGES]
            ),
            "arms": {a.name: {**shown(p), "recovery": round(recovery[a.name], 3)} for a, p in pairs},
        }
        model, predictions = forecasts(arms, tested, seen, recovery)
        frozen[name] = {
            "coefficients": asdict(model),
            "predicted": {n: shown(p) for n, p in predictions.items()},
        }
    path = out / "predictions.json"
    if freeze:
        path.write_text(json.dumps({**source("benchmarks.study.certificate"), **frozen}, indent=1) + "\n")
    if path.exists():
        result["predictions"] = json.loads(path.read_text())
        result["outcomes"] = {a.name: round(recovery[a.name], 3) for a in tested if a.name in recovery}
        for name in ("with_truth", "without_truth") if result["outcomes"] else ():
            pairs_N = [
                (read_prediction(result["predictions"][name]["predicted"][arm]), outcome)
                for arm, outcome in result["outcomes"].items()
            ]
            result[name]["predicted_before"] = quality(pairs_N)
    return {**source("benchmarks.study.certificate"), **result}


def shown(prediction: Prediction) -> dict[str, Any]:
    """A prediction for the record."""
    return {
        "edit": prediction.edit,
        "captured": round(prediction.captured, 3),
        "predicted": prediction.recovery.to_dict(3),
    }


def read_prediction(record: Mapping[str, Any]) -> Prediction:
    """From the record."""
    return Prediction(Estimate(**record["predicted"]), record["captured"], 0.0, record["edit"])


def main() -> int:
    options = parser("benchmarks.study.certificate", __doc__)
    options.add_argument(
        "--out", type=Path, required=True, help="the folder of a study; its runs.jsonl is read"
    )
    options.add_argument(
        "--freeze", action="store_true", help="write the predictions of the arms not yet run"
    )
    args = options.parse_args()
    logging.disable(logging.WARNING)
    record = report(args.out, args.freeze)
    write_record(args.out / "certificate.json", record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
