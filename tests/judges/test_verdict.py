"""A judge's reply is an exact ranking of what was shown, or a VerdictError."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.errors import VerdictError
from ranker.judges.json_reply import MOST_MARKS, Effort, UnfitJSON, repaired, spoken
from ranker.judges.verdict import check_tiers, parse_verdict, schema, tiers_of
from tests.aggregate.test_ranking import draw

law = settings(derandomize=True, deadline=None, max_examples=200)
IDS = ("QXZ", "BCD", "FGH")
REASONS = [{"id": name, "reason": f"Why {name} {{is}} there."} for name in IDS]
GOOD = {"reasons": REASONS, "ranking": [["FGH"], ["QXZ", "BCD"]]}
TEXT = json.dumps(GOOD)
TIERS = ((2,), (0, 1))


def refused(text: str | None, ids=IDS, form="ranking") -> str:
    """The fault named where `text` is no verdict; the error carries the reply as it came."""
    with pytest.raises(VerdictError) as caught:
        parse_verdict(text, ids, form)
    assert caught.value.raw_text == (text or "")
    return str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        TEXT,
        json.dumps(GOOD, indent=2),
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```\n",
        f'Here is my verdict:\n\n{TEXT}\n\nI hope {{this}} helps. [1] {{"a": 1}}',
        f"<think>\nHm.\n</think>\n{TEXT}",
        f'<think>First idea: {{"ranking": [["QXZ"], ["BCD"], ["FGH"]]}} no.</think>\n{TEXT}',
        f"Thoughts without an opening tag.</think>{TEXT}",
        f"<think>a</think><think>b</think>{TEXT}",
        f"\ufeff{TEXT}",
        f"{TEXT}\n{TEXT}",
        "{oops " + TEXT,
    ],
)
def test_wrapping_around_the_json_is_passed_over(reply):
    """Fences, thoughts (a draft in them too), prose and repetition around one ranking change nothing."""
    verdict = parse_verdict(reply, IDS)
    assert verdict.tiers == TIERS
    assert verdict.reasons == tuple(f"Why {name} {{is}} there." for name in IDS)


def test_a_long_thought_does_not_use_up_the_readers_patience():
    """However much code and JSON a thought quotes, the ranking after it is found."""
    for quoted in ('{"x" ', '{"a": 1} ', "{{ ", '{"a": "'):
        assert parse_verdict(f"<think>{quoted * 1_500}</think>{TEXT}", IDS).tiers == TIERS


def test_ids_decide_not_positions():
    """A reply in another order than the trajectories were shown rewards those it names."""
    assert parse_verdict('{"ranking": [["BCD"], ["FGH"], ["QXZ"]]}', IDS).tiers == ((1,), (2,), (0,))
    turned = {**GOOD, "reasons": REASONS[::-1]}
    assert parse_verdict(json.dumps(turned), IDS).reasons == parse_verdict(TEXT, IDS).reasons


def test_flat_lists_and_empty_tiers_are_understood():
    """A list of ids is a ranking without ties; an empty tier holds nobody."""
    assert parse_verdict('{"ranking": ["FGH", "QXZ", "BCD"]}', IDS).tiers == ((2,), (0,), (1,))
    assert parse_verdict('{"ranking": ["FGH", ["QXZ", "BCD"]]}', IDS).tiers == TIERS
    assert parse_verdict('{"ranking": [[], ["FGH"], [], ["QXZ", "BCD"], []]}', IDS).tiers == TIERS


def test_reasons_are_comments():
    """A reason that is missing, malformed or names nobody does not spoil the ranking."""
    malformed = [{"id": 1}, 7, {"id": "QXZ", "reason": 3}]
    for reasons in (None, "none", [], [{"id": "ZZZ", "reason": "x"}], malformed):
        verdict = parse_verdict(json.dumps({"reasons": reasons, "ranking": GOOD["ranking"]}), IDS)
        assert verdict.tiers == TIERS
        assert verdict.reasons == ("", "", "")


def test_a_reason_may_quote_the_trajectory():
    """Braces, tags and quotes inside a reason are part of its string."""
    for quoted in ('{"ranking": [["BCD"]]}', "</think>", "<think>", "```", '{"a": {', "\\", "</think>{"):
        reply = {"reasons": [{"id": "QXZ", "reason": f"It wrote {quoted}"}], "ranking": GOOD["ranking"]}
        assert parse_verdict(json.dumps(reply), IDS).tiers == TIERS
        assert parse_verdict(f"<think>ok</think>{json.dumps(reply)}", IDS).tiers == TIERS


@pytest.mark.parametrize(
    ("ranking", "fault"),
    [
        ('[["QXZ"], ["BCD"]]', "missing: FGH"),
        ('[["QXZ", "BCD", "FGH", "ZZZ"]]', "unknown: ZZZ"),
        ('[["QXZ"], ["BCD"], ["FGH"], ["QXZ"]]', "repeated: QXZ"),
        ('[["QXZ", "QXZ"], ["BCD", "FGH"]]', "repeated: QXZ"),
        ('[["1"], ["2"], ["3"]]', "unknown: 1, 2, 3"),
        ('[["qxz"], ["BCD"], ["FGH"]]', "missing: QXZ"),
        ("[]", "missing: QXZ, BCD, FGH"),
        ("[0, 1, 2]", "list of lists"),
        ('[["QXZ"], [["BCD"], ["FGH"]]]', "list of lists"),
        ('[["QXZ", null], ["BCD", "FGH"]]', "list of lists"),
        ('[{"id": "QXZ"}, {"id": "BCD"}, {"id": "FGH"}]', "list of lists"),
        ('"QXZ > BCD > FGH"', "list of lists"),
        ('{"1": "QXZ", "2": "BCD", "3": "FGH"}', "list of lists"),
        ("null", "list of lists"),
        ("NaN", "NaN"),
        ('[["QXZ"], ["BCD"], ["FGH"], Infinity]', "Infinity"),
    ],
)
def test_whatever_is_no_exact_permutation_is_refused(ranking, fault):
    """Each fault is named in words that can be sent back."""
    assert fault in refused(f'{{"ranking": {ranking}}}')
    assert fault in refused(f'<think>Hm.</think>\n```json\n{{"reasons": [], "ranking": {ranking}}}\n```')


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (None, "empty"),
        (" \n", "empty"),
        ("QXZ is best.", "no complete JSON"),
        ("{}", "no complete JSON"),
        ('{"Ranking": []}', "no complete JSON"),
        ('{"scores": []}', "no complete JSON"),
        ('{"ranking": [["QXZ"], ["BCD"], ["FGH"]], "ranking": [["QXZ"], ["BCD"], ["FGH"]]}', "key twice"),
        ('{"ranking": [["QXZ"], ["BCD"], ["FGH"]]} {"ranking": [["FGH"], ["BCD"], ["QXZ"]]}', "differ"),
        ("<think>" + TEXT + "</think>", "no complete JSON"),
        ("<think>" + TEXT + "</think>No verdict.", "no complete JSON"),
        ('{"ranking": ' + "[" * 100_000 + "]" * 100_000 + "}", "deep"),
        ('{"a":' * 100_000, "deep"),
    ],
)
def test_replies_without_one_clear_ranking_are_refused(reply, fault):
    """Empty, wordy, contradictory or absurdly nested: refused with the fault named."""
    assert fault in refused(reply)


OTHER = '{"ranking": [["QXZ"], ["BCD"], ["FGH"]]}'
QUOTES = '{"ranking": [["FGH"], ["QXZ", "BCD"]], "reasons": [{"id": "QXZ", "reason": "a </think> b"}]}'


@pytest.mark.parametrize(
    "reply",
    [
        QUOTES + OTHER,  # the tag is quoted in a reason: what stands before it is no thought
        OTHER + QUOTES,
        QUOTES[:-1] + OTHER,  # and so it is where the object is not complete
        QUOTES.replace("a </think> b", 'he said "x" </think> b') + OTHER,
        QUOTES.replace("</think>", "<think>") + OTHER,
        TEXT + " It wrote <think>. " + OTHER,
        TEXT + " It wrote <think> and " + OTHER + " </think>",
        f"<think>a</think>{TEXT}</think>{OTHER}",
        '{"x" ' * 1_001 + TEXT + OTHER,
        TEXT + '{"x" ' * 1_001 + OTHER,
        "{oops </think> " + TEXT + OTHER,
        "{'ranking': [['QXZ'], ['BCD'], ['FGH']]} " + TEXT,
        '{"Ranking": [["QXZ"], ["BCD"], ["FGH"]]' + TEXT,
        "Ranking: [QXZ, BCD, FGH]\n" + TEXT,
        TEXT + OTHER[:-1],
        OTHER[:-3] + "\n" + TEXT,
        '{"draft": ' + OTHER + ', "ranking": [["FGH"], ["QXZ", "BCD"]]}',
        '{"draft": ' + OTHER + ', "ranking": [["FGH"',
        '{"thoughts": ' + OTHER + ', "final": {"rank',
        '{"name": "v", "arguments": ' + json.dumps(OTHER) + "}" + TEXT,
        '"{\\"ranking\\": [[\\"QXZ\\"], [\\"BCD\\"], [\\"FGH\\"]]}" ' + TEXT,
        '{"a": {"b": ' + TEXT + "}}",
    ],
)
def test_tags_and_broken_braces_do_not_hide_a_second_ranking(reply):
    """A ranking beside another that differs, or that cannot be read, is refused however it is dressed."""
    refused(reply)


UNITS = ('{', '[', '}', '{"', '{"a":', '{"a":[', '{"a":1} ', '{"a":{}', '{"a":"\\', '{"a": "\\"', '"{\\"', "{'x", '{"a":tru', '""',
         "\\", "\\d", ",}", "<think>", "</think>", "<think>{", "<think></think>", "```json\n", '{"ranking":', '{"ranking":[]}',
         '{"arguments":"{\\"a\\":"}', '{"arguments":"{\\"a\\":[0"}', '{"a":NaN}', "[],", '{"a":1},', "1")  # fmt: skip
ADVERSE = (
    *(unit * min(200_000 // len(unit), 30_000) + tail for unit in UNITS for tail in ("", "0" * 9_000, TEXT)),
    *('{"a":[' * depth + "0," * 35_000 for depth in (3, 30, 300, 900)),
    *('{"a":' * depth + '"' + "x" * 400_000 for depth in (3, 30, 300, 900)),
    *('{"a":{"b":"' + "x" * k + '"},' for k in (100, 100_000)),
    json.dumps({"arguments": ('{"a":[' * 300 + "0," * 30_000)}),
    '{"a":"' + '{"b":"' * 30_000,
    '{"a":1} ' * 900 + "<think>" * 60_000,
)


@pytest.mark.parametrize("text", ADVERSE, ids=lambda text: repr(text[:16]))
def test_reading_takes_work_linear_in_the_reply(text):
    """Made to be read again and again from every brace: each character is decoded a few times at most."""
    effort = Effort(text)
    for reading in (text, repaired(text)):  # both are read where the first has a fault
        with contextlib.suppress(UnfitJSON):
            spoken(reading, effort)
    assert effort.decoded <= 3 * len(text) + 2**18
    assert effort.marks <= MOST_MARKS + 50_000, "and what a last object holds"


@pytest.mark.parametrize("unit", UNITS)
def test_a_reply_too_long_for_a_verdict_is_refused_unread(unit):
    """Two megabytes of anything, a verdict after them or not."""
    assert "is no verdict: it has 2,000," in refused(unit * (2_000_000 // len(unit)) + " " * 90 + TEXT)[:50]


def test_a_long_ranking_of_wrong_ids_is_refused_in_one_pass():
    """Its faults are counted, not searched for anew for every name."""
    names = [f"N{i % 15_000}" for i in range(30_000)]
    assert "repeated: N0, N1, N10" in refused(json.dumps({"ranking": names}))


def test_equal_rankings_do_not_contradict_each_other():
    """A reply that repeats its ranking with a tie written the other way round says one thing."""
    twice = '{"ranking": [["FGH"], ["QXZ", "BCD"]]}\n{"ranking": [["FGH"], ["BCD", "QXZ"]]}'
    assert levels(parse_verdict(twice, IDS).tiers) == levels(TIERS)


def test_a_thought_that_never_ends_is_no_verdict():
    """A reply cut off while thinking may hold a draft; a draft is not the judge's word."""
    for before in ("<think>Perhaps ", " <think>\n", "<think>a</think><think>", "Well. <think>"):
        refused(before + TEXT + " or")


@pytest.mark.parametrize("before", ["", "```json\n", "<think>\nBetter: FGH.\n</think>\n", "Sure: "])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_truncated_reply_is_never_a_verdict(before, indent):
    """Cut at any character before its JSON is complete, a reply is refused."""
    whole = before + json.dumps(GOOD, indent=indent)
    for end in range(len(whole)):
        refused(whole[:end])
    assert parse_verdict(whole, IDS).tiers == TIERS


@law
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_a_draft_in_an_unfinished_thought_is_refused_at_any_length(rng, n):
    """Cut at any place up to the end of its thought, a reply with a draft ranking is refused."""
    ids, tiers = lineup(rng, n)
    draft, final = reply_of(ids, tiers[::-1]), reply_of(ids, tiers)
    text = f"<think>Maybe {draft}? No.</think>{final}"
    end = rng.randrange(len(text))
    refused(text[:end], ids)
    assert levels(parse_verdict(text, ids).tiers) == levels(tiers)


def levels(tiers) -> list[set[int]]:
    """Tiers without the order in which each is listed, which means nothing."""
    return [set(tier) for tier in tiers]


def lineup(rng: random.Random, n: int) -> tuple[list[str], tuple[tuple[int, ...], ...]]:
    return ["".join(rng.choices("BCDFGHJKLMNPQRSTVWXZ", k=3)) + str(i) for i in range(n)], draw(rng, n)


def reply_of(ids, tiers) -> str:
    return json.dumps({"reasons": [], "ranking": [[ids[i] for i in tier] for tier in tiers]})


@law
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_every_ranking_round_trips(rng, n):
    """Any permutation with any ties over any ids comes back as it was meant."""
    ids, tiers = lineup(rng, n)
    assert (
        levels(parse_verdict(reply_of(ids, tiers), ids).tiers)
        == levels(check_tiers(tiers, n))
        == levels(tiers)
    )


@law
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_every_mutation_that_is_no_permutation_is_refused(rng, n):
    """Drop, repeat, rename or add an id anywhere: never a verdict."""
    ids, tiers = lineup(rng, n)
    ranking = [[ids[i] for i in tier] for tier in tiers]
    tier = rng.choice(ranking)
    at, kind = rng.randrange(len(tier)), rng.randrange(4)
    if kind == 0:
        del tier[at]
    elif kind == 1:
        rng.choice(ranking).append(tier[at])
    elif kind == 2:
        tier[at] = tier[at] + "X"
    else:
        ranking.insert(rng.randrange(len(ranking) + 1), ["NEW"])
    refused(json.dumps({"ranking": ranking}), ids)
    positions = [[ids.index(name) if name in ids else n for name in tier] for tier in ranking]
    with pytest.raises(VerdictError):
        check_tiers(positions, n)


def test_check_tiers_gives_positions_or_raises():
    """Whole positions only: what would fail as an index later is refused now."""
    assert check_tiers([1, [0]], 2) == ((1,), (0,))
    for wrong in ([[0.0], [1.0]], ["0", "1"], [[0], [1], [2]], [[-1], [0]], [], [[0, 0]]):
        with pytest.raises((VerdictError, TypeError)):
            check_tiers(wrong, 2)


def scores_reply(*scores: str) -> str:
    told = (f'{{"id": "{name}", "score": {score}}}' for name, score in zip(IDS, scores, strict=True))
    return f'{{"reasons": [], "scores": [{", ".join(told)}]}}'


def test_scores_are_read_by_id():
    """Scores go to the trajectory they name; equal ones tie, 0 and 1 included."""
    verdict = parse_verdict(scores_reply("0.25", "1", "0"), IDS, "scores")
    assert verdict.scores == (0.25, 1.0, 0.0)
    assert verdict.tiers == ((1,), (0,), (2,))
    assert parse_verdict(scores_reply("0.5", "1e-3", "0.5"), IDS, "scores").tiers == ((0, 2), (1,))
    turned = [{"id": name, "score": score} for name, score in (("FGH", 0.1), ("QXZ", 0.2), ("BCD", 0.3))]
    assert parse_verdict(json.dumps({"scores": turned}), IDS, "scores").scores == (0.2, 0.3, 0.1)


BAD_SCORES = [
    "15",
    "-3",
    "1.001",
    "-0.1",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "true",
    '"0.5"',
    "null",
    "[]",
]
HUGE = [pytest.param("1" * 400, id="huge"), pytest.param("1" * 5_000, id="more digits than int() reads")]


@pytest.mark.parametrize("score", [*BAD_SCORES, *HUGE])
def test_scores_out_of_bounds_are_refused(score):
    """Only a number from 0 to 1 is a score."""
    refused(scores_reply("0.5", score, "0.5"), form="scores")


@pytest.mark.parametrize(
    "scores",
    [
        '[{"id": "QXZ", "score": 0.5}, {"id": "BCD", "score": 0.5}]',
        '[{"id": "QXZ", "score": 0.5}, {"id": "BCD", "score": 0.5}, {"id": "BCD", "score": 0.1}, {"id": "FGH", "score": 1}]',
        '[{"id": "QXZ", "score": 0.5}, {"id": "BCD", "score": 0.5}, {"id": "ZZZ", "score": 0.5}]',
        '[{"id": "QXZ"}, {"id": "BCD", "score": 0.5}, {"id": "FGH", "score": 0.5}]',
        '{"QXZ": 0.5, "BCD": 0.5, "FGH": 0.5}',
        "[0.5, 0.5, 0.5]",
        "[]",
        "null",
    ],
)
def test_scores_that_miss_repeat_or_invent_an_id_are_refused(scores):
    """As for rankings: every id exactly once."""
    refused(f'{{"scores": {scores}}}', form="scores")


def test_tiers_of_orders_highest_first():
    """Equal numbers share a tier."""
    assert tiers_of([0.1, 0.9, 0.1, 0.5]) == ((1,), (3,), (0, 2))


@pytest.mark.parametrize("form", ["ranking", "scores"])
def test_the_schema_is_the_same_for_every_call(form):
    """No id in it; reasons come first; every object is closed, as strict servers demand."""
    assert json.dumps(schema(form)) == json.dumps(schema(form))
    assert list(schema(form)["properties"]) == ["reasons", form]
    told = json.dumps(schema(form))
    assert told.count('"additionalProperties": false') == told.count('"type": "object"')
    assert not any(word in told for word in ("enum", "const", *IDS))
