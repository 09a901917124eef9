"""Live runs with the audit on, beside the replay of the recorded ones: the same audits, the same alarm."""

from __future__ import annotations

from benchmarks.harness import Json
from benchmarks.study.plan import Unit
from benchmarks.watch import recording
from benchmarks.watch.plan import Setting
from benchmarks.watch.recording import Run
from benchmarks.watch.replay import audits, replay
from ranker.watch.audit import Audit

RUNS = (("position-3", 5), ("pretence-1.5", 5))


def live(unit: Unit, setting: Setting) -> Json:
    """What the audit of a live run found."""
    audit = Audit(
        auditor="checker",
        share=setting.share,
        min_agreement=setting.min_agreement,
        max_drop=setting.max_drop,
    )
    made = recording.record(unit, audit)
    return {name: made[name] for name in ("audits", "alarms")}


def compared(unit: Unit, run: Run, setting: Setting) -> Json:
    """A live run beside the replay of the same one: audited groups with the same agreement, and the alarms."""
    found = live(unit, setting)
    replayed = audits(run, setting, 0, 0.0)
    alarm = replay(replayed, setting).alarm
    of_replay = [(step, a.group, round(a.agreement, 9)) for step, several in replayed for a in several]
    of_live = [(a["step"], a["group"], round(a["agreement"], 9)) for a in found["audits"]]
    first = found["alarms"][0] if found["alarms"] else None
    return {
        "arm": unit.arm.name,
        "seed": unit.seed,
        "steps": unit.steps,
        "audits": len(of_live),
        "same_audits": of_live == of_replay,
        "live_alarm": None if first is None else {"step": first["step"], "began": first["began"]},
        "replayed_alarm": None if alarm is None else {"step": alarm.step, "began": alarm.began},
    }
