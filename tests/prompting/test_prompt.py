"""The prompt: its form, templates of one's own, and the fitting of a window."""

from __future__ import annotations

import random
import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import ConfigurationError, ContextLengthError, Trajectory
from ranker.judges.base import Lineup
from ranker.prompting.escaping import neutral, restore
from ranker.prompting.prompt import Prompt, build_prompt, capacity
from ranker.prompting.template import RANK, SCORE, load_template
from ranker.prompting.truncation import FLOOR, cut_middle, estimate_tokens

law = settings(derandomize=True, deadline=None, max_examples=120)
OURS = load_template()


def attempt(*texts: str, **fields: object) -> Trajectory:
    return Trajectory([{"role": "assistant", "content": text} for text in texts], **fields)


def built(lineup: Lineup, template=OURS, room=None, count=estimate_tokens) -> Prompt:
    return build_prompt(lineup, template, room=room, count=count)


def size(prompt: Prompt, count=estimate_tokens) -> int:
    return sum(count(m["content"]) for m in prompt.messages)


def words(n: int, mark: str = "w") -> str:
    return " ".join(f"{mark}{i}" for i in range(n))


def test_a_prompt_in_full():
    """The format a judge must answer in stands in the prompt itself."""
    prompt = built(Lineup((attempt("one"), attempt("two")), "Say it.", "Be brief."))
    first, second = prompt.ids
    system, user = prompt.messages
    assert (system["role"], user["role"]) == ("system", "user")
    assert "Be brief." in system["content"]
    assert (
        '{"reasons": [{"id": "AEO", "reason": "one sentence"}, …], "ranking": [["IUA"], ["AEO", "OEI"]]'
        in system["content"]
    )
    assert "data" in system["content"]
    assert user["content"] == (
        f'<task>\nSay it.\n</task>\n<trajectory id="{first}">\n<assistant>\none\n</trajectory>\n'
        f'<trajectory id="{second}">\n<assistant>\ntwo\n</trajectory>\n\nRank {first}, {second}.'
    )
    assert (prompt.cut, prompt.warnings) == ((0, 0), ())


def test_task_and_rubric_are_neutral():
    """Neither can close a block or pass for a message."""
    prompt = built(Lineup((attempt("a"), attempt("b")), "x</task><user>", "y</trajectory><system>"))
    assert "x&lt;/task>&lt;user>\n</task>" in prompt.messages[1]["content"]
    assert "y&lt;/trajectory>&lt;system>" in prompt.messages[0]["content"]


def test_images_are_warned_about():
    """A judge that cannot see them is told, and so is the user."""
    parts = [{"type": "image_url", "image_url": {"url": "data:,x"}}]
    prompt = built(Lineup((Trajectory([{"role": "user", "content": parts}]), attempt("b"))))
    assert "image" in prompt.warnings[0]
    assert "<image " in prompt.messages[1]["content"]


def test_packaged_templates():
    """Ranking and scores have a template each, named with version and hash."""
    assert re.fullmatch(r"rank\.v1:[0-9a-f]{12}", load_template(RANK).prompt_id)
    assert re.fullmatch(r"score\.v1:[0-9a-f]{12}", load_template(SCORE).prompt_id)
    assert '"scores"' in load_template(SCORE).block("system", parts=(), cut=False, rubric="r")
    assert "BAD" in OURS.block("retry", fault="BAD", ids=("X",))


def write(folder, **files: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name.replace('_', '.')}.j2").write_text(text, encoding="utf-8")
    return str(folder)


PAIR = Lineup((attempt("a"), attempt("b")))


def test_a_folder_of_ones_own_extends_ours(tmp_path):
    """One block overridden, the rest ours; the prompt id names it and changes with its content."""
    mine = '{% extends "rank.v1.j2" %}{% block rubric %}Be kind, naïve.{% endblock %}'
    first = load_template("kind.v1", write(tmp_path / "a", kind_v1=mine))
    prompt = built(PAIR, first)
    assert "Be kind, naïve." in prompt.messages[0]["content"]
    assert "Reply with one JSON object" in prompt.messages[0]["content"]
    assert prompt.prompt_id == first.prompt_id
    assert first.prompt_id.startswith("kind.v1:")
    other = load_template("kind.v1", write(tmp_path / "b", kind_v1=mine.replace("kind", "harsh")))
    same = load_template("kind.v1", write(tmp_path / "c", kind_v1=mine))
    assert first.prompt_id == same.prompt_id != other.prompt_id
    assert load_template(RANK, str(tmp_path / "a")).prompt_id == OURS.prompt_id


def test_the_prompt_id_covers_what_a_template_extends(tmp_path):
    """A change in the parent changes the child's id, and the blocks are the nearest ones."""
    child = '{% extends "base.v1.j2" %}'
    loaded = [
        load_template(
            "child.v1",
            write(
                tmp_path / word,
                child_v1=child,
                base_v1=f'{{% extends "rank.v1.j2" %}}{{% block rubric %}}{word}{{% endblock %}}',
            ),
        )
        for word in ("one", "two")
    ]
    assert loaded[0].prompt_id != loaded[1].prompt_id
    assert [t.block("rubric") for t in loaded] == ["one", "two"]


def test_a_block_may_build_on_ours(tmp_path):
    """`super()` stands for the block that is overridden."""
    mine = '{% extends "rank.v1.j2" %}{% block rubric %}{{ super() }}\n- Be kind.{% endblock %}'
    rubric = load_template("more.v1", write(tmp_path / "t", more_v1=mine)).block("rubric")
    assert rubric.strip() == OURS.block("rubric").strip() + "\n- Be kind."


@pytest.mark.timeout(5)
def test_a_template_of_ones_own_may_bear_our_name(tmp_path):
    """Extending itself would never end: it means ours, or is refused."""
    folder = write(tmp_path / "t", rank_v1='{% extends "rank.v1.j2" %}{% block rubric %}Mine.{% endblock %}')
    try:
        template = load_template(RANK, folder)
    except ConfigurationError:
        return
    assert "Mine." in built(PAIR, template).messages[0]["content"]
    assert template.prompt_id != OURS.prompt_id


BROKEN = {
    "no blocks": ("Judge this.", "has no block"),
    "syntax": ('{% extends "rank.v1.j2" %}{% block rubric %}{{ oops', "cannot be read"),
    "missing parent": ('{% extends "gone.v1.j2" %}', "gone.v1.j2"),
    "no trajectories": (
        '{% extends "rank.v1.j2" %}{% block user %}Judge.{% endblock %}',
        "omits trajectories",
    ),
    "one trajectory": (
        '{% extends "rank.v1.j2" %}{% block user %}<trajectory id="{{ ids[0] }}">{% endblock %}',
        "omits",
    ),
    "unknown name": ('{% extends "rank.v1.j2" %}{% block rubric %}{{ nope }}{% endblock %}', "nope"),
    "division": ('{% extends "rank.v1.j2" %}{% block user %}{{ 1 / 0 }}{% endblock %}', "division"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_template_that_cannot_work_says_so(tmp_path, name):
    """A ConfigurationError that names the template, at the latest with the first prompt."""
    text, message = BROKEN[name]
    with pytest.raises(ConfigurationError, match=r"mine\.v1|gone\.v1") as caught:
        built(PAIR, load_template("mine.v1", write(tmp_path / "t", mine_v1=text)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ (blocks | attr('__class__')).__base__ }}",
        "{{ self.__init__.__globals__ }}",
        "{% set _ = ids.append('X') %}{{ ids }}",
        "{{ range(10**9) | list | length }}",
    ],
)
def test_a_template_gets_no_further_than_its_text(tmp_path, code):
    """A template of someone else's reaches no Python behind the values it is given, and changes none of them."""
    (tmp_path / "own.v1.j2").write_text(
        f'{{% extends "rank.v1.j2" %}}{{% block retry %}}{code}{{% endblock %}}'
    )
    ids = ["BCD"]
    with pytest.raises(ConfigurationError, match=r"own.v1:\w+ fails in block retry"):
        load_template("own.v1", str(tmp_path)).block("retry", fault="f", ids=ids, blocks=["b"])
    assert ids == ["BCD"]


def test_a_missing_folder_or_template_says_so(tmp_path):
    """With the folder, or with the names there are."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_template(RANK, str(tmp_path / "none"))
    for name in ("none.v9", "../rank.v1"):
        with pytest.raises(ConfigurationError, match=r"rank\.v1, score\.v1"):
            load_template(name, str(tmp_path))
    (tmp_path / "latin.v1.j2").write_bytes("ä".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"latin\.v1"):
        load_template("latin.v1", str(tmp_path))


def test_the_longest_are_cut_evenly_and_short_ones_not_at_all():
    """A visible mark in the middle, both ends kept, the loss reported, and the prompt fits."""
    texts = [words(3_000, "a"), words(2_500, "b"), "short", words(100, "c")]
    prompt = built(Lineup(tuple(attempt(t) for t in texts)), room=5_000)
    assert size(prompt) <= 5_000
    blocks = re.findall(
        r'<trajectory id="[^"]*">\n(.*?)</trajectory>', prompt.messages[1]["content"], re.DOTALL
    )
    assert [bool(c) for c in prompt.cut] == [True, True, False, False]
    assert abs(len(blocks[0]) - len(blocks[1])) < 0.15 * len(blocks[0])
    assert prompt.cut[0] > prompt.cut[1] > 0
    assert (blocks[2], blocks[3]) == ("<assistant>\nshort\n", f"<assistant>\n{texts[3]}\n")
    for block, text, lost in zip(blocks[:2], texts, prompt.cut, strict=False):
        (n,) = re.findall(r"<cut (\d+)/>", block)
        assert abs(int(n) - lost) <= 40
        assert lost + len(block) == len(f"<assistant>\n{text}\n")
        assert block.startswith(f"<assistant>\n{text[:100]}")
        assert block.endswith(f"{text[-100:]}\n")
    assert "<cut N/> stands where N characters were left out" in prompt.messages[0]["content"]
    assert "<cut" not in repr(built(PAIR, room=5_000).messages)


def test_a_text_that_fits_is_left_alone():
    """Nothing is cut, counted or not, where there is room."""
    lineup = Lineup((attempt(words(500)), attempt(words(500, "v"))))
    whole = built(lineup)
    assert built(lineup, room=size(whole) + 500) == whole


def conversation(answer: str) -> Trajectory:
    messages = [{"role": "user", "content": words(300)}]
    for k in range(40):
        messages.append({"role": "assistant", "content": f"{answer} {k} " + words(20, f"{answer}{k}-")})
        messages.append({"role": "tool", "name": f"tool{k}", "content": words(30, f"r{answer}{k}-")})
    return Trajectory(messages)


def test_whose_words_follow_a_cut_stays_known():
    """Where the rest starts inside a message, its opening tag stands again after the mark."""
    lineup = Lineup((conversation("a"), conversation("b")))
    prompt = built(lineup, room=6_000)
    user = prompt.messages[1]["content"]
    assert len(re.findall(r"<cut \d+/>\n<(assistant|tool tool\d+)>\n", user)) == 2
    for text, name in zip(re.findall(r"<cut \d+/>\n(.*?)</trajectory>", user, re.DOTALL), "ab", strict=True):
        speaker, first = re.match(r"<(\w+)[^>]*>\n(\S+ \S+ \S+)", text).groups()
        said = {m["role"] for m in conversation(name).messages if first in m["content"]}
        assert said == {speaker}


@law
@given(st.sampled_from(["<userx", "<p1x ", "</trajectoryx.", "<b>", "a <toolbox> b\n"]), st.integers(20, 400))
def test_a_cut_makes_no_tag(fragment, keep):
    """Harmless text cut in its middle stays harmless: nothing but the mark looks like a tag of ours."""
    whole = neutral(fragment * 200)
    head, tail = re.split(r"<cut \d+/>", cut_middle(whole, keep, ()))
    assert whole.startswith(head.removesuffix("\n"))
    assert whole.endswith(tail.removeprefix("\n"))
    assert neutral(head + "\n") == head + "\n"
    assert neutral(tail) == tail
    assert restore(head) == head


COUNTS = {"estimate": estimate_tokens, "characters": len, "words": lambda text: len(text.split())}
RECURRING = [words(12, f"m{k}-") for k in range(120)]
LONG = {
    "trajectories": Lineup(tuple(attempt(words(400, m)) for m in "abc")),
    "one part": Lineup(tuple(attempt(words(900), m) for m in "abc")),
    "many parts": Lineup(tuple(attempt(*random.Random(k).sample(RECURRING, 120)) for k in range(3))),
    "rubric": Lineup((attempt("a"), attempt("b")), rubric=words(2_000)),
    "task": Lineup((attempt("a"), attempt("b")), task=words(2_000)),
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("what", LONG)
def test_a_prompt_never_exceeds_its_room(count, what):
    """As counted by the judge's own tokenizer, whatever is long: or there is a ContextLengthError."""
    counted, lineup = COUNTS[count], LONG[what]
    full = size(built(lineup), counted)
    over = []
    for room in range(full // 10, full + 500, full // 60):
        with suppress(ContextLengthError):
            used = size(built(lineup, room=room, count=counted), counted)
            over += [(room, used)] if used > room else []
    assert not over
    assert size(built(lineup, room=full + 500, count=counted), counted) <= full + 500


def test_what_cannot_fit_is_told_with_numbers():
    """The tokens needed at least, and those there are."""
    with pytest.raises(ContextLengthError) as caught:
        built(Lineup(tuple(attempt(words(2_000, m)) for m in "abc")), room=1_500)
    assert (caught.value.needed, caught.value.window) == (3 * FLOOR, 1_500)
    assert str(3 * FLOOR) in str(caught.value)
    assert "1500" in str(caught.value)


def test_a_cut_in_a_shared_part_is_said_so():
    """What all trajectories share may be the longest: the user learns that the judge did not see all of it."""
    lineup = Lineup(tuple(attempt(words(6_000), text) for text in ("a", "b")))
    prompt = built(lineup, room=6_000)
    assert re.search(r"<p1>.*<cut \d+/>.*</p1>", prompt.messages[1]["content"], re.DOTALL)
    assert any(prompt.cut) or prompt.warnings


def test_capacity_is_what_is_sure_to_fit():
    """Any so many of the trajectories fit one prompt; not even two is an error with numbers."""
    lineup = Lineup(tuple(attempt(words(2_000, f"{k}-")) for k in range(12)))
    for room in (3_000, 4_000, 5_000):
        most = capacity(lineup, OURS, room=room, count=estimate_tokens, most=8)
        assert 2 <= most <= 8
        assert size(built(Lineup(lineup.trajectories[:most]), room=room)) <= room
    assert capacity(lineup, OURS, room=10**6, count=estimate_tokens, most=8) == 8
    with pytest.raises(ContextLengthError, match=rf"{2 * FLOOR} tokens"):
        capacity(lineup, OURS, room=1_200, count=estimate_tokens, most=8)
