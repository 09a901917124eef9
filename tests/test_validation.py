"""Checked settings: what is accepted as it is, and what a refusal says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from ranker import ConfigurationError
from ranker.validation import check, did_you_mean


@dataclass(frozen=True)
class Oven:
    heat: float
    shelf: Annotated[int, Field(ge=1)] = 1
    mode: Literal["fan", "grill"] = "fan"
    limit: int | float | None = None
    names: tuple[str, ...] = field(default_factory=tuple)


class Rack(BaseModel, extra="forbid", strict=True):
    height: int = 1


class Kitchen(BaseModel, extra="forbid", strict=True):
    oven: Rack = Rack()
    racks: list[Rack] = []


@drawn(
    st.integers(-(2**40), 2**40), st.integers(1, 9), st.none() | st.integers() | st.floats(allow_nan=False)
)
def test_values_that_fit_stay_as_they_are_and_whole_numbers_become_floats(heat, shelf, limit):
    checked = check(Oven, {"heat": heat, "shelf": shelf, "limit": limit})
    assert checked == {"heat": heat, "shelf": shelf, "limit": limit}
    assert [type(value) for value in checked.values()] == [float, int, type(limit)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "pizza.toml: heat is missing."),
        ({"heat": "hot"}, "pizza.toml: heat is 'hot'; it takes a number."),
        ({"heat": True}, "pizza.toml: heat is True; it takes a number."),
        ({"heat": 1, "shelf": 0}, "pizza.toml: shelf is 0; it takes at least 1."),
        ({"heat": 1, "shelf": 2.0}, "pizza.toml: shelf is 2.0; it takes a whole number."),
        ({"heat": 1, "mode": "fun"}, "pizza.toml: mode is 'fun'; it takes 'fan' or 'grill'."),
        ({"heat": 1, "limit": "x"}, "pizza.toml: limit is 'x'; it takes a number."),
        ({"heat": 1, "names": ("a", 2)}, "pizza.toml: names[1] is 2; it takes text."),
        ({"heat": 1, "shelve": 2}, "pizza.toml: there is no setting 'shelve'. Did you mean 'shelf'?"),
        ({"heat": 1, "zz": 2}, "pizza.toml: there is no setting 'zz'. There are heat, limit, mode, names, shelf, timer."),
        ({"heat": 1, "timr": 2}, "pizza.toml: there is no setting 'timr'. Did you mean 'timer'?"),
        ({"heat": 1, "api_key": "sk-0"}, "pizza.toml: keys do not belong in files; put it into $RANKER_API_KEY."),
        ({"heat": {"api_key": "sk-0"}}, "pizza.toml: heat is a table; it takes a number."),
        ({"heat": "x", "shelf": 0}, "pizza.toml: heat is 'x'; it takes a number. shelf is 0; it takes at least 1."),
    ],
)  # fmt: skip
def test_a_refusal_names_every_setting_and_what_it_takes(values, message):
    with pytest.raises(ConfigurationError) as caught:
        check(Oven, values, "pizza.toml", ["timer"])
    assert str(caught.value) == message


def test_a_fault_inside_a_table_or_a_list_is_located():
    with pytest.raises(ConfigurationError) as caught:
        check(Kitchen, {"oven": {"hight": 3}, "racks": [{}, {"height": "x"}, 3]})
    assert str(caught.value) == (
        "oven: there is no setting 'hight'. Did you mean 'height'? racks[1].height is 'x'; it takes a whole number. "
        "racks[2] is 3; it takes a table."
    )


def test_only_a_name_that_is_near_is_offered():
    assert did_you_mean("colr", ["color", "size"]) == " Did you mean 'color'?"
    assert did_you_mean("zzz", ["color", "size"]) == ""


def test_ranking_with_a_judge_of_ones_own_needs_no_pydantic():
    code = (
        "import sys; from ranker import rank_group; "
        "print(sorted(rank_group(['a', 'b'], judge=lambda group: [1.0, 0.0], task='t').rewards)); "
        "sys.exit('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0.0, 1.0]"
