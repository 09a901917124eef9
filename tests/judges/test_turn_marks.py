"""The turns that a reply names: read to the letter."""

from __future__ import annotations

import json
import re

import pytest

from ranker import VerdictError
from ranker.judges.verdict import parse_verdict, schema

IDS = ("BCD", "FGH")
SHOWN = ({1, 2, 3}, {1, 5})
RANKING = [["BCD"], ["FGH"]]


def read(turns: object, **more: object):
    return parse_verdict(json.dumps({"turns": turns, "ranking": RANKING, **more}), IDS, turns=SHOWN).turns


@pytest.mark.parametrize(
    ("turns", "meant"),
    [
        ([], ({}, {})),
        ([{"id": "BCD", "helped": [2], "hurt": [1, 3]}], ({1: 1.0, 0: -1.0, 2: -1.0}, {})),
        ([{"id": "FGH", "hurt": [5]}, {"id": "BCD"}], ({}, {4: -1.0})),
        ([{"id": "BCD", "helped": [2, 2], "hurt": []}], ({1: 1.0}, {})),
    ],
)
def test_what_may_be_said(turns, meant):
    assert read(turns) == meant


@pytest.mark.parametrize(
    ("turns", "fault"),
    [
        ([{"id": "BCD", "helped": [4]}], "turn 4 of BCD, which is not shown: there are 1 to 3"),
        ([{"id": "BCD", "helped": [0]}], "turn 0 of BCD"),
        ([{"id": "BCD", "hurt": [-1]}], "turn -1 of BCD"),
        ([{"id": "FGH", "hurt": [3]}], "turn 3 of FGH, which is not shown: of 1 to 5 some were left out"),
        ([{"id": "BCD", "helped": [1], "hurt": [1]}], "Turn 1 of BCD cannot have helped and hurt"),
        ([{"id": "BCD"}, {"id": "BCD", "helped": [1]}], "not BCD twice"),
        ([{"id": "ZZZ", "helped": [1]}], "'ZZZ', which is no ID"),
        ([{"id": "bcd", "helped": [1]}], "'bcd', which is no ID"),
        ([{"id": 1, "helped": [1]}], '"turns" must be a list'),
        ([{"helped": [1]}], '"turns" must be a list'),
        ([{"id": "BCD", "helped": ["1"]}], '"turns" must be a list'),
        ([{"id": "BCD", "helped": [1.0]}], '"turns" must be a list'),
        ([{"id": "BCD", "helped": [True]}], '"turns" must be a list'),
        ([{"id": "BCD", "helped": None}], '"turns" must be a list'),
        ([{"id": "BCD", "helped": 1}], '"turns" must be a list'),
        ([{"id": "BCD", "harmed": [1]}], '"turns" must be a list'),
        ([["BCD", 1]], '"turns" must be a list'),
        ({"BCD": [1]}, '"turns" must be a list'),
        (None, '"turns" must be a list'),
    ],
)
def test_what_may_not(turns, fault):
    with pytest.raises(VerdictError, match=re.escape(fault)):
        read(turns)


def test_the_key_must_be_there():
    """Saying nothing of turns is not the same as naming none; without being asked, it does not matter."""
    with pytest.raises(VerdictError, match='no "turns"'):
        parse_verdict(json.dumps({"ranking": RANKING}), IDS, turns=SHOWN)
    whole = json.dumps({"turns": [{"id": "BCD", "helped": [9]}], "ranking": RANKING})
    assert parse_verdict(whole, IDS).turns is None


def test_two_that_differ_and_one_in_the_words_around():
    one, two = (json.dumps({"turns": [{"id": "BCD", "helped": [k]}], "ranking": RANKING}) for k in (1, 2))
    with pytest.raises(VerdictError, match="differ"):
        parse_verdict(one + two, IDS, turns=SHOWN)
    with pytest.raises(VerdictError, match="complete"):
        parse_verdict('{"turns": [{"id": "BCD", ' + one, IDS, turns=SHOWN)
    assert parse_verdict(f"<think>{two}</think>{one}", IDS, turns=SHOWN).turns == ({0: 1.0}, {})


def test_the_schema_of_a_reply():
    """The turns stand between reasons and ranking; the schema is the same for every call, unless it names ids."""
    asked = schema(credit="turns")
    assert list(asked["properties"]) == asked["required"] == ["reasons", "turns", "ranking"]
    assert asked == schema("ranking", None, "turns")
    mark = asked["properties"]["turns"]["items"]
    assert (mark["required"], mark["additionalProperties"]) == (["id", "helped", "hurt"], False)
    named = schema("ranking", IDS, "turns")["properties"]["turns"]
    assert named["items"]["properties"]["id"] == {"enum": ["BCD", "FGH"]}
    assert named["maxItems"] == 2
    assert "turns" not in schema()["properties"]
