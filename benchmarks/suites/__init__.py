"""Suites: groups with graded ground truth, on which judges are measured.

    suite("toolenv").groups(200)
    suite("code:difficulty=0.8,size=8").groups(200, seed=1)
    suite("my_groups.jsonl").groups()

A generated suite is a module with a `RUBRIC` and a function
`groups(n, seed=0, *, size=4, difficulty=0.5, held_out=True)`. It is deterministic; group i is the same however
many are made; every group holds at least two different truths, all of them in [0, 1]. `held_out` chooses templates
(wordings, services, tools, functions) that the others, kept for training judges, never use.
"""
