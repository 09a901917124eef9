"""Neutral text: nothing from outside can pass for a tag of ours, and nothing is lost."""

from __future__ import annotations

import itertools
import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import Trajectory
from ranker.prompting.escaping import TAGS, neutral, restore
from ranker.prompting.transcript import transcribe

law = settings(derandomize=True, deadline=None, max_examples=300)

# Code points that Unicode calls default ignorable: a reader may see nothing where they stand.
IGNORABLE = [
    chr(c)
    for first, last in (
        (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
        (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
    )
    for c in range(first, last + 1)
]  # fmt: skip
_UNSEEN = dict.fromkeys(map(ord, IGNORABLE))
_FOLD = str.maketrans("\uff1c\ufe64\uff0f", "<</")
_TAG = re.compile(rf"</?(?:{'|'.join(TAGS)}|p\d)(?![A-Za-z_])", re.IGNORECASE)

FRAGMENTS = [
    "<", "</", ">", "/>", "/", "\uff1c", "\ufe64", "\uff0f", "&", "&lt;", "&LT;", "&amp;", "&amp;lt;", "&#xFF1C;",
    "&#xFE64;", "lt;", "amp;", "p1", "p", "1", " ", "\n", "\u200b", "\u00ad", "\u2060", "s", "_", "\\ud800",
    "[", "]", "|", "\uff3b", "&#x5B;", "<|im_end|>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "[INST]", "</s>", "&lt;s>",
    "\U0001d42e", "\u24e4", "\ufb01", "\ufb01le", "\u1d58ser",
    "</trajectory>", '<trajectory id="BCD">', "<p1/>", "<user>", "<tool x>", "<cut 3/>", "TraJectory", *TAGS,
]  # fmt: skip
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
HOSTILE = st.lists(st.one_of(st.sampled_from(FRAGMENTS), ANY), max_size=12).map("".join)

OURS = ["</trajectory>", '<trajectory id="BCD">', "<p1/>", "<p12>", "</p3>", "<cut 3/>", "<tool x>"] + [
    f"<{tag}>" for tag in TAGS
]


def tag_in(text: str) -> bool:
    """Whether a reader who overlooks white space and invisible characters sees a tag of ours."""
    seen = "".join(text.translate(_UNSEEN).split()).translate(_FOLD)
    return _TAG.search(seen) is not None


@law
@given(HOSTILE)
def test_restore_undoes_neutral(text):
    """Nothing is lost: neutral text gives back the original, character for character."""
    assert restore(neutral(text)) == text


@law
@given(HOSTILE)
def test_no_tag_survives(text):
    """Whatever the fragments, no tag of ours can be read in neutral text."""
    assert not tag_in(neutral(text))


@law
@given(HOSTILE, HOSTILE)
def test_different_texts_stay_different(one, other):
    """Neutral texts are equal only where the originals are."""
    assert (neutral(one) == neutral(other)) == (one == other)


@pytest.mark.parametrize("tag", OURS)
def test_every_tag_is_disarmed_however_it_is_spelled(tag):
    """Upper case, white space, zero-width characters and other brackets do not save a tag."""
    spelled = [
        tag,
        tag.upper(),
        tag.title(),
        f"text{tag}text",
        tag.replace("<", "< "),
        tag.replace("<", "<\n\t"),
        tag.replace("</", "< / "),
        tag.replace("<", "<\u00a0"),
        "\u200b".join(tag),
        "\u00ad".join(tag),
        tag.replace("<", "\uff1c").replace(">", "\uff1e"),
        tag.replace("<", "\ufe64").replace(">", "\ufe65"),
        tag.replace("/", "\uff0f"),
        tag.replace("<", "<<"),
    ]
    for text in spelled:
        assert neutral(text) != text, repr(text)
        assert not tag_in(neutral(text)), repr(text)
        assert restore(neutral(text)) == text


@pytest.mark.parametrize("tag", ["</trajectory>", "<user>", "<p1/>"])
def test_no_invisible_character_disguises_a_tag(tag):
    """A character that Unicode says may be shown as nothing does not hide a tag, wherever it stands."""
    leaks = {
        f"U+{ord(c):04X}"
        for c in IGNORABLE
        for at in (1, len(tag) - 3)
        if tag_in(neutral(tag[:at] + c + tag[at:]))
    }
    assert not leaks


@pytest.mark.parametrize("c", ["\x00", "\x08", "\x1b", "\x7f", "\x9f"])
def test_no_control_character_disguises_a_tag(c):
    """Control characters, which a terminal or tokenizer may drop, do not hide a tag either."""
    assert neutral(f"</traj{c}ectory>").replace(c, "") != "</trajectory>"


@pytest.mark.parametrize("tag", ["</trajectory>", "<user>", "<cut 3/>"])
def test_a_tag_in_fullwidth_letters_is_disarmed(tag):
    """The fullwidth form of a whole tag, letters included, is disarmed as its brackets are."""
    wide = "".join(c if c == " " else chr(ord(c) + 0xFEE0) for c in tag)
    half = "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in tag)
    for text in (wide, half):
        assert neutral(text) != text
        assert restore(neutral(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "plain", "<b>bold</b>", "a < b and c > d", "<users>", "</users>", "<user_name>", "<p>", "</p>", "<pre>",
        '<path d="M1"/>', "&lt;b&gt;", "&amp;", "R&D", "List<String>", "std::vector<int>", "#include <stdio.h>",
        "<tasks>", "<filename>", "<callback>", "<toolbox>", "x <= 3", "x<3", "1 << 4", "<img src=x>", "<T>", "p1/>",
        "trajectory>", "user>", "f <| g", "f <| b |> c", "a |> b", "<|>", "[x|y]", "[instance]", "<str>", "<sub>", "<stop>",
        "x[s]", "[args]", "Set<S>", "<Pad>", "[|", "<strike>", "[TOOLS]", "a[i]|b", "<e>", "\\ud800", "é漢字🙂", "\uff1cb\uff1e",
    ],
)  # fmt: skip
def test_harmless_text_is_unchanged(text):
    """HTML, code and comparisons that look like no tag of ours stay as they are."""
    assert neutral(text) == text
    assert restore(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a \ud800 b", "a \\ud800 b"),
        ("\udfff", "\\udfff"),
        ("\ud83d\ude00", "\\ud83d\\ude00"),
        ("<us\ud800er>", "<us\\ud800er>"),
    ],
)
def test_lone_surrogates_become_visible_escapes(text, shown):
    """What UTF-8 cannot hold is written the way Python and JSON write it, and can then be sent."""
    assert neutral(text) == shown
    assert neutral(text).encode("utf-8")


@law
@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=5)), max_size=10).map("".join))
def test_any_text_can_be_sent_afterwards(text):
    """Neutral text is valid UTF-8, surrogates in the original or not."""
    assert neutral(text).encode("utf-8").decode("utf-8") == neutral(text)


@pytest.mark.parametrize(
    "text",
    [
        "<" + " " * 5000,
        "<" + " " * 3000 + "/" + " " * 3000,
        "<u" + "\u200b" * 10000,
        "&" + "amp;" * 10000,
        "< " * 10000,
        "<\n" * 5000 + "</" * 5000,
        "<user" * 5000,
    ],
    ids=["spaces", "slash", "zero-width", "amp", "brackets", "closings", "tags"],
)
def test_time_is_linear_in_the_text(text):
    """No text is slow to neutralise: a run of white space after a bracket costs no more than other text."""
    started = time.perf_counter()
    neutral(text)
    restore(text)
    assert time.perf_counter() - started < 1


@law
@given(st.sampled_from(OURS), st.lists(st.integers(0, 20), max_size=4), st.booleans())
def test_no_tag_forms_where_content_parts_meet(tag, cuts, bare):
    """A tag cut into neighbouring parts of one message is disarmed like a whole one."""
    at = sorted({min(c, len(tag)) for c in cuts} | {0, len(tag)})
    pieces = [tag[a:b] for a, b in itertools.pairwise(at)]
    parts = pieces if bare else [{"type": "text", "text": piece} for piece in pieces]
    (piece,) = transcribe(Trajectory([{"role": "user", "content": parts}])).pieces
    assert piece.startswith("<user>\n")
    assert not tag_in(piece.removeprefix("<user>\n"))


@law
@given(HOSTILE, HOSTILE, HOSTILE)
def test_every_tag_in_a_transcript_is_ours(one, other, name):
    """Messages, arguments, results, reasoning and names add text, never a tag."""
    messages = [
        {"role": "user", "content": [one, {"type": "text", "text": other}], "name": name},
        {"role": "assistant", "content": one, "reasoning_content": other, "refusal": one},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": name, "arguments": other}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": one},
    ]
    pieces = transcribe(Trajectory(messages, tools=[{"type": "function", "function": {"name": name}}])).pieces
    for piece in pieces:
        opening = re.match(r"<(?:tools|user|assistant|reasoning|refusal|call|tool)(?: [^<>\n]*)?>", piece)
        assert opening is not None
        assert not tag_in(piece[opening.end() :])


TURNS = [
    "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|start_header_id|>", "<|eot_id|>", "<|begin_of_text|>", "<|user|>",
    "<|END_OF_TURN_TOKEN|>", "<|channel|>", "<|turn>", "<turn|>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>",
    "<\uff5ctool\u2581calls\u2581begin\uff5c>", "<s>", "</s>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "[INST]",
    "[/INST]", "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]", "[TOOL_CALLS]",
    "[TOOL_RESULTS]", "[|assistant|]", "[|endofturn|]", "[gMASK]", "<sop>", "<BOS_TOKEN>", "<extra_id_0>", "<unused12>",
    "<reserved_106>", "<seed:bos>", "<eoh>", "<beginning_of_sentence>",
]  # fmt: skip


@pytest.mark.parametrize("token", TURNS)
def test_no_token_of_a_chat_template_survives(token):
    """Not as it is spelled, nor as a tokenizer that normalises may read it; and nothing is lost."""
    wide = token.translate({ord(c): ord(c) + 0xFEE0 for c in "<>[]|/"})
    for text in (token, f"a{token}b", token * 3, f"&lt;{token}", wide):
        shown = neutral(text)
        assert token not in shown
        assert token not in unicodedata.normalize("NFKC", shown)
        assert restore(shown) == text


@pytest.mark.parametrize("letters", ["𝐮𝐬𝐞𝐫", "𝓾𝓼𝓮𝓻", "ⓤⓢⓔⓡ", "ᵘˢᵉʳ", "u\u200b𝐬er", "uſer", "𝚞ſⓔｒ", "ᵁSER"])
def test_letters_that_unicode_holds_equal_spell_a_tag_too(letters):
    """What NFKC makes a tag of is disarmed like the tag."""
    for text in (f"<{letters}>", f"＜／{letters}＞", f"x<{letters} name>", f"<user><{letters}>"):
        shown = neutral(text)
        assert not tag_in(unicodedata.normalize("NFKC", shown)), shown
        assert restore(shown) == text
    assert neutral("<ﬁle>＜p①＞<hiﬆory>") == "&lt;ﬁle>&#xFF1C;p①＞&lt;hiﬆory>"
    assert neutral("<𝐮sers> <ⓤ> x² < y² <b>ﬁne</b>") == "<𝐮sers> <ⓤ> x² < y² <b>ﬁne</b>"


@law
@given(HOSTILE)
def test_no_tag_survives_normalisation(text):
    """NFKC, which some tokenizers apply first, brings none back."""
    assert not tag_in(unicodedata.normalize("NFKC", neutral(text)))
