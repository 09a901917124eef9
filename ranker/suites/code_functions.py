"""The functions that the suite `code` asks for: what is asked, styles of doing it right, slips, and tests.

A slip is an edit of a right source. Two slips of one style may be made together where the edits do not meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranker.suites.code_training import FURTHER
from ranker.suites.sandbox import Case, Tests


@dataclass(frozen=True, slots=True)
class Style:
    """A right source, and slips: a label, a text in the source, and what stands there instead."""

    source: str
    slips: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function to write.

    Attributes:
        signature: the function with its parameters.
        asked: what it must do, in full: no test checks what is not said here.
        example: a call and what it returns.
        styles: ways to write it.
        tests: hidden tests.
    """

    signature: str
    asked: str
    example: tuple[str, str]
    styles: tuple[Style, ...]
    tests: Tests

    @property
    def name(self) -> str:
        return self.tests.function


def _function(
    signature: str,
    asked: str,
    example: tuple[str, str],
    styles: Sequence[tuple[str, Sequence[tuple[str, str, str]]]],
    cases: Sequence[tuple[Any, ...]],
) -> Function:
    """A case is (arguments, expected), or (arguments, expected, True) where arguments must not change."""
    return Function(
        signature,
        asked,
        example,
        tuple(Style(source.strip("\n") + "\n", tuple(slips)) for source, slips in styles),
        Tests(signature.partition("(")[0], tuple(Case(*case) for case in cases)),
    )


TRAINING = (
    _function(
        "roman_to_int(text)",
        "Return the value of a Roman numeral in capital letters (I, V, X, L, C, D, M). A smaller letter before a "
        "larger one is subtracted. An empty text is 0.",
        ("roman_to_int('XIV')", "14"),
        [
            (
                """
def roman_to_int(text):
    values = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
    total = 0
    for at, item in enumerate(text):
        value = values[item]
        if at + 1 < len(text) and value < values[text[at + 1]]:
            total -= value
        else:
            total += value
    return total
""",
                [
                    ("last letter missed", "enumerate(text)", "enumerate(text[:-1])"),
                    ("wrong value of D", '"D": 500', '"D": 600'),
                    ("equal letters subtracted", "value < values", "value <= values"),
                    ("subtraction ignored", "total -= value", "total += value"),
                    ("wrong value of L", '"L": 50', '"L": 60'),
                ],
            ),
            (
                """
def roman_to_int(text):
    values = dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000)))
    total = 0
    best = 0
    for item in reversed(text):
        value = values[item]
        if value >= best:
            total += value
            best = value
        else:
            total -= value
    return total
""",
                [
                    ("equal letters subtracted", "value >= best", "value > best"),
                    ("read from the left", "reversed(text)", "text"),
                    ("only I is subtracted", "if value >= best:", "if value >= best or item != 'I':"),
                ],
            ),
        ],
        [
            (("",), 0),
            (("I",), 1),
            (("III",), 3),
            (("IV",), 4),
            (("XIV",), 14),
            (("XL",), 40),
            (("LXXX",), 80),
            (("DC",), 600),
            (("CD",), 400),
            (("MCMXCIV",), 1994),
            (("MMXXVI",), 2026),
        ],
    ),
    _function(
        "flatten(items)",
        "Return a new flat list of everything in a list that may hold further lists, at any depth, in order. "
        "Only lists are opened: tuples and strings stay as they are. The input must not be changed.",
        ("flatten([1, [2, [3]], (4, 5)])", "[1, 2, 3, (4, 5)]"),
        [
            (
                """
def flatten(items):
    out = []
    for item in items:
        if isinstance(item, list):
            out.extend(flatten(item))
        else:
            out.append(item)
    return out
""",
                [
                    ("one level only", "out.extend(flatten(item))", "out.extend(item)"),
                    ("opens tuples", "isinstance(item, list)", "isinstance(item, (list, tuple))"),
                    ("drops what is false", "        else:\n", "        elif item:\n"),
                    ("inner lists first", "out.extend(flatten(item))", "out = flatten(item) + out"),
                    (
                        "empty lists stay",
                        "if isinstance(item, list):",
                        "if isinstance(item, list) and item:",
                    ),
                ],
            ),
            (
                """
def flatten(items):
    out = []
    stack = list(reversed(items))
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(reversed(item))
        else:
            out.append(item)
    return out
""",
                [
                    ("input used up", "stack = list(reversed(items))", "items.reverse()\n    stack = items"),
                    ("inner lists reversed", "stack.extend(reversed(item))", "stack.extend(item)"),
                    ("opens tuples", "isinstance(item, list)", "isinstance(item, (list, tuple))"),
                ],
            ),
        ],
        [
            (([],), []),
            (([1, 2],), [1, 2]),
            (([1, [2, 3]],), [1, 2, 3]),
            (([[1], [2, [3, [4]]]],), [1, 2, 3, 4]),
            (([[], [[]]],), []),
            (([0, [None, [""]]],), [0, None, ""]),
            (([1, (2, 3)],), [1, (2, 3)]),
            ((["ab", ["cd"]],), ["ab", "cd"]),
            (([1, [2], 3],), [1, 2, 3], True),
            (([[1, 2], 3, [4]],), [1, 2, 3, 4]),
        ],
    ),
    _function(
        "second_largest(numbers)",
        "Return the second largest of the distinct values in a list of numbers, or None where there are fewer than "
        "two distinct values. The list must not be changed.",
        ("second_largest([4, 9, 9, 7])", "7"),
        [
            (
                """
def second_largest(numbers):
    distinct = sorted(set(numbers))
    if len(distinct) < 2:
        return None
    return distinct[-2]
""",
                [
                    ("repeats count", "sorted(set(numbers))", "sorted(numbers)"),
                    ("from the wrong end", "distinct[-2]", "distinct[1]"),
                    ("two values are too few", "len(distinct) < 2", "len(distinct) < 3"),
                    ("largest where there is one", "return None", "return distinct[0] if distinct else None"),
                    ("sorted as texts", "sorted(set(numbers))", "sorted(set(numbers), key=str)"),
                ],
            ),
            (
                """
def second_largest(numbers):
    best = runner_up = None
    for item in numbers:
        if best is None or item > best:
            best, runner_up = item, best
        elif item != best and (runner_up is None or item > runner_up):
            runner_up = item
    return runner_up
""",
                [
                    ("repeats count", "elif item != best and (", "elif (item is not None) and ("),
                    ("zero taken for nothing", "runner_up is None or", "not runner_up or"),
                    ("old best forgotten", "best, runner_up = item, best", "best = item"),
                    ("starts at zero", "best = runner_up = None", "best, runner_up = 0, None"),
                ],
            ),
        ],
        [
            (([4, 9, 9, 7],), 7),
            (([1, 2],), 1),
            (([5],), None),
            (([],), None),
            (([3, 3, 3],), None),
            (([-5, -2, -9],), -5),
            (([2, 10, 9],), 9),
            (([1, 0, -1],), 0),
            (([0, -3, 4, -7],), 0),
            (([8, 6, 7, 5],), 7, True),
        ],
    ),
    _function(
        "is_palindrome(text)",
        "Say whether a text reads the same from both ends, looking only at letters and digits and not at upper or "
        "lower case. A text without any letter or digit counts as one that does.",
        ("is_palindrome('No lemon, no melon')", "True"),
        [
            (
                """
def is_palindrome(text):
    kept = [item.lower() for item in text if item.isalnum()]
    return kept == kept[::-1]
""",
                [
                    ("case counts", "item.lower() for", "item for"),
                    ("digits left out", "item.isalnum()", "item.isalpha()"),
                    ("only spaces left out", "if item.isalnum()", "if not item.isspace()"),
                    (
                        "empty is no palindrome",
                        "return kept == kept[::-1]",
                        "return bool(kept) and kept == kept[::-1]",
                    ),
                    ("ends only", "return kept == kept[::-1]", "return kept[:1] == kept[-1:]"),
                ],
            ),
            (
                """
def is_palindrome(text):
    text = text.lower()
    left, right = 0, len(text) - 1
    while left < right:
        if not text[left].isalnum():
            left += 1
        elif not text[right].isalnum():
            right -= 1
        elif text[left] != text[right]:
            return False
        else:
            left += 1
            right -= 1
    return True
""",
                [
                    ("one end skips letters", "elif not text[right].isalnum()", "elif text[right] == ' '"),
                    ("case counts", "    text = text.lower()\n", ""),
                    (
                        "only first pair",
                        "            left += 1\n            right -= 1",
                        "            return True",
                    ),
                    ("middle pair missed", "while left < right:", "while left < right - 1:"),
                ],
            ),
        ],
        [
            (("level",), True),
            (("",), True),
            (("?!",), True),
            (("Level",), True),
            (("No lemon, no melon",), True),
            (("palindrome",), False),
            (("1a2",), False),
            (("12 21",), True),
            (("abca",), False),
            (("race a car",), False),
            (("Eva, can I see bees in a cave?",), True),
        ],
    ),
    _function(
        "first_at_least(numbers, limit)",
        "`numbers` is sorted upwards. Return the index of the first number that is at least `limit`, or -1 where "
        "there is none.",
        ("first_at_least([1, 3, 3, 8], 3)", "1"),
        [
            (
                """
def first_at_least(numbers, limit):
    left, right = 0, len(numbers)
    while left < right:
        middle = (left + right) // 2
        if numbers[middle] < limit:
            left = middle + 1
        else:
            right = middle
    return left if left < len(numbers) else -1
""",
                [
                    ("greater, not at least", "numbers[middle] < limit", "numbers[middle] <= limit"),
                    (
                        "length where there is none",
                        "return left if left < len(numbers) else -1",
                        "return left",
                    ),
                    (
                        "last number missed",
                        "left, right = 0, len(numbers)",
                        "left, right = 0, len(numbers) - 1",
                    ),
                    ("exact match only", "if left < len(numbers) else", "if limit in numbers else"),
                    ("starts at one", "left, right = 0,", "left, right = 1,"),
                ],
            ),
            (
                """
def first_at_least(numbers, limit):
    for at, item in enumerate(numbers):
        if item >= limit:
            return at
    return -1
""",
                [
                    ("greater, not at least", "item >= limit", "item > limit"),
                    ("counts from one", "enumerate(numbers)", "enumerate(numbers, 1)"),
                    ("None where there is none", "return -1", "return None"),
                ],
            ),
        ],
        [
            (([1, 3, 3, 8], 3), 1),
            (([1, 3, 3, 8], 4), 3),
            (([1, 3, 3, 8], 9), -1),
            (([], 1), -1),
            (([5], 5), 0),
            (([5], 4), 0),
            (([5], 6), -1),
            (([2, 2, 2], 2), 0),
            (([-4, -1, 0], -2), 1),
            (([1, 2, 3, 4, 5, 6, 7], 7), 6),
        ],
    ),
    _function(
        "transpose(rows)",
        "Return a list of the columns of a table given as a list of rows, each column a list. Rows may be shorter "
        "than others: their missing places become None. The input must not be changed.",
        ("transpose([[1, 2], [3]])", "[[1, 3], [2, None]]"),
        [
            (
                """
def transpose(rows):
    width = max((len(row) for row in rows), default=0)
    out = []
    for at in range(width):
        out.append([row[at] if at < len(row) else None for row in rows])
    return out
""",
                [
                    ("cut at the shortest row", "max((len", "min((len"),
                    ("last column missed", "range(width)", "range(width - 1)"),
                    ("zero for None", "else None for", "else 0 for"),
                    (
                        "width of the first row",
                        "max((len(row) for row in rows), default=0)",
                        "len(rows[0]) if rows else 0",
                    ),
                    (
                        "tuples",
                        "out.append([row[at] if at < len(row) else None for row in rows])",
                        "out.append(tuple(row[at] if at < len(row) else None for row in rows))",
                    ),
                    (
                        "missing places left out",
                        "[row[at] if at < len(row) else None for row in rows]",
                        "[row[at] for row in rows if at < len(row)]",
                    ),
                ],
            ),
            (
                """
from itertools import zip_longest


def transpose(rows):
    return [list(item) for item in zip_longest(*rows)]
""",
                [
                    ("tuples", "list(item) for", "item for"),
                    ("cut at the shortest row", "zip_longest(*rows)", "zip(*rows)"),
                    ("zero for None", "zip_longest(*rows)", "zip_longest(*rows, fillvalue=0)"),
                ],
            ),
        ],
        [
            (([],), []),
            (([[1]],), [[1]]),
            (([[1, 2], [3, 4]],), [[1, 3], [2, 4]]),
            (([[1, 2, 3]],), [[1], [2], [3]]),
            (([[1], [2], [3]],), [[1, 2, 3]]),
            (([[1, 2], [3]],), [[1, 3], [2, None]]),
            (([[1], [2, 3]],), [[1, 2], [None, 3]]),
            (([[], [1]],), [[None, 1]]),
            (([["a", "b"], ["c", "d"], ["e", "f"]],), [["a", "c", "e"], ["b", "d", "f"]], True),
            (([[], []],), []),
        ],
    ),
    _function(
        "split_bill(cents, people)",
        "Split an amount of whole cents among people as evenly as whole cents allow, as a list. The shares add up to "
        "the amount; those who pay a cent more come first. With no people the list is empty.",
        ("split_bill(10, 3)", "[4, 3, 3]"),
        [
            (
                """
def split_bill(cents, people):
    if people == 0:
        return []
    share, rest = divmod(cents, people)
    return [share + 1] * rest + [share] * (people - rest)
""",
                [
                    (
                        "larger shares last",
                        "[share + 1] * rest + [share] * (people - rest)",
                        "[share] * (people - rest) + [share + 1] * rest",
                    ),
                    (
                        "rest all on the first",
                        "[share + 1] * rest + [share] * (people - rest)",
                        "[share + rest] + [share] * (people - 1)",
                    ),
                    (
                        "rest lost",
                        "return [share + 1] * rest + [share] * (people - rest)",
                        "return [share] * people",
                    ),
                    ("fails without people", "    if people == 0:\n        return []\n", ""),
                    (
                        "everyone rounds up",
                        "return [share + 1] * rest + [share] * (people - rest)",
                        "return [share + (rest > 0)] * people",
                    ),
                ],
            ),
            (
                """
def split_bill(cents, people):
    out = [0] * people
    for at in range(people):
        out[at] = cents // people
        if at < cents % people:
            out[at] += 1
    return out
""",
                [
                    ("one cent too many", "at < cents % people", "at <= cents % people"),
                    ("floats", "cents // people", "cents / people"),
                    (
                        "rest all on the first",
                        "        if at < cents % people:\n            out[at] += 1",
                        "        if at == 0:\n            out[at] += cents % people",
                    ),
                ],
            ),
        ],
        [
            ((10, 3), [4, 3, 3]),
            ((9, 3), [3, 3, 3]),
            ((0, 2), [0, 0]),
            ((5, 1), [5]),
            ((5, 0), []),
            ((2, 4), [1, 1, 0, 0]),
            ((100, 6), [17, 17, 17, 17, 16, 16]),
            ((11, 4), [3, 3, 3, 2]),
            ((7, 7), [1] * 7),
            ((1, 2), [1, 0]),
        ],
    ),
    _function(
        "mask_card(number)",
        "Replace every digit of a card number but the last four by '*'. Spaces and dashes stay where they are and do "
        "not count. With four digits or fewer nothing is replaced.",
        ("mask_card('1234-5678')", "'****-5678'"),
        [
            (
                """
def mask_card(number):
    hidden = sum(item.isdigit() for item in number) - 4
    out = []
    for item in number:
        if item.isdigit() and hidden > 0:
            out.append("*")
            hidden -= 1
        else:
            out.append(item)
    return "".join(out)
""",
                [
                    ("one digit too many", "number) - 4", "number) - 3"),
                    ("separators masked", "if item.isdigit() and hidden", "if hidden"),
                    ("separators lost", "        else:\n", "        elif item.isdigit():\n"),
                    ("separators counted", "sum(item.isdigit() for item in number) - 4", "len(number) - 4"),
                    ("never stops", "            hidden -= 1\n", ""),
                ],
            ),
            (
                """
def mask_card(number):
    out = ""
    shown = 0
    for item in reversed(number):
        if item.isdigit():
            shown += 1
            out = (item if shown <= 4 else "*") + out
        else:
            out = item + out
    return out
""",
                [
                    ("one digit too few", "shown <= 4", "shown < 4"),
                    (
                        "separators counted",
                        "        if item.isdigit():\n            shown += 1\n",
                        "        shown += 1\n        if item.isdigit():\n",
                    ),
                    ("first four shown", "reversed(number)", "number"),
                    ("separators lost", "            out = item + out", "            continue"),
                ],
            ),
        ],
        [
            (("1234-5678",), "****-5678"),
            (("1234567890123456",), "************3456"),
            (("1234 5678 9012 3456",), "**** **** **** 3456"),
            (("1234",), "1234"),
            (("12",), "12"),
            (("",), ""),
            (("12345",), "*2345"),
            (("1-2-3-4-5",), "*-2-3-4-5"),
            (("123456 7-8",), "****56 7-8"),
            (("--",), "--"),
        ],
    ),
    _function(
        "prime_factors(n)",
        "Return the prime factors of a positive whole number in rising order, each as often as it divides. The list "
        "of 1 is empty.",
        ("prime_factors(12)", "[2, 2, 3]"),
        [
            (
                """
def prime_factors(n):
    out = []
    item = 2
    while item * item <= n:
        while n % item == 0:
            out.append(item)
            n //= item
        item += 1
    if n > 1:
        out.append(n)
    return out
""",
                [
                    ("squares missed", "item * item <= n", "item * item < n"),
                    (
                        "each once",
                        "            out.append(item)\n            n //= item",
                        "            if item not in out:\n                out.append(item)\n            n //= item",
                    ),
                    ("large factor lost", "    if n > 1:\n        out.append(n)\n", ""),
                    ("even numbers missed", "item = 2\n", "item = 3\n"),
                    ("one is listed", "if n > 1:", "if n >= 1:"),
                ],
            ),
            (
                """
def prime_factors(n):
    for item in range(2, int(n**0.5) + 1):
        if n % item == 0:
            return [item] + prime_factors(n // item)
    return [n] if n > 1 else []
""",
                [
                    ("squares missed", "int(n**0.5) + 1", "int(n**0.5)"),
                    (
                        "falling order",
                        "[item] + prime_factors(n // item)",
                        "prime_factors(n // item) + [item]",
                    ),
                    ("one is listed", "[n] if n > 1 else []", "[n]"),
                ],
            ),
        ],
        [
            ((1,), []),
            ((2,), [2]),
            ((7,), [7]),
            ((8,), [2, 2, 2]),
            ((9,), [3, 3]),
            ((12,), [2, 2, 3]),
            ((35,), [5, 7]),
            ((49,), [7, 7]),
            ((97,), [97]),
            ((360,), [2, 2, 2, 3, 3, 5]),
        ],
    ),
    _function(
        "running_max(numbers)",
        "Return a new list in which each place holds the largest number up to and including that place.",
        ("running_max([2, 1, 5, 3])", "[2, 2, 5, 5]"),
        [
            (
                """
def running_max(numbers):
    out = []
    best = None
    for item in numbers:
        if best is None or item > best:
            best = item
        out.append(best)
    return out
""",
                [
                    ("zero taken for nothing", "best is None or", "not best or"),
                    ("starts at zero", "    best = None\n", "    best = 0\n"),
                    (
                        "before the place",
                        "        if best is None or item > best:\n            best = item\n        out.append(best)",
                        "        out.append(item if best is None else best)\n        if best is None or item > best:\n            best = item",
                    ),
                    ("smallest", "item > best", "item < best"),
                    (
                        "only new ones",
                        "            best = item\n        out.append(best)",
                        "            best = item\n            out.append(best)",
                    ),
                ],
            ),
            (
                """
def running_max(numbers):
    out = list(numbers)
    for at in range(1, len(out)):
        out[at] = max(out[at], out[at - 1])
    return out
""",
                [
                    ("input changed", "list(numbers)", "numbers"),
                    ("neighbours only", "max(out[at], out[at - 1])", "max(numbers[at], numbers[at - 1])"),
                    ("last place missed", "range(1, len(out))", "range(1, len(out) - 1)"),
                    ("wraps round", "range(1, len(out))", "range(len(out))"),
                ],
            ),
        ],
        [
            (([],), []),
            (([3],), [3]),
            (([2, 1, 5, 3],), [2, 2, 5, 5]),
            (([5, 4, 3],), [5, 5, 5]),
            (([1, 2, 3],), [1, 2, 3]),
            (([-3, -5, -1],), [-3, -3, -1]),
            (([0, -1, -2],), [0, 0, 0]),
            (([3, 1, 1, 2],), [3, 3, 3, 3], True),
            (([4, 1, 6, 2],), [4, 4, 6, 6], True),
            (([1, 1],), [1, 1]),
        ],
    ),
    _function(
        "title_case(text)",
        "Capitalise the first letter of every word (words are separated by spaces) and make its other letters small. "
        "The words 'of', 'the' and 'and' are all small unless they stand first. Spaces stay as they are.",
        ("title_case('the LORD of the rings')", "'The Lord of the Rings'"),
        [
            (
                """
def title_case(text):
    out = []
    first = True
    for item in text.split(" "):
        word = item.lower()
        if first or word not in ("of", "the", "and"):
            word = word[:1].upper() + word[1:]
        if word:
            first = False
        out.append(word)
    return " ".join(out)
""",
                [
                    ("spaces run together", 'text.split(" ")', "text.split()"),
                    ("small words capitalised", 'first or word not in ("of", "the", "and")', "word"),
                    ("first small word stays small", "if first or word not in", "if word not in"),
                    ("other letters stay", "word = item.lower()", "word = item"),
                    ("'and' is capitalised", '("of", "the", "and")', '("of", "the")'),
                    (
                        "a space comes first",
                        "        if word:\n            first = False",
                        "        first = False",
                    ),
                ],
            ),
            (
                """
def title_case(text):
    small = {"of", "the", "and"}
    words = [item.lower() for item in text.split(" ")]
    start = next((at for at, item in enumerate(words) if item), 0)
    return " ".join(
        item if item in small and at != start else item.capitalize() for at, item in enumerate(words)
    )
""",
                [
                    ("a space comes first", "next((at for at, item in enumerate(words) if item), 0)", "0"),
                    ("first small word stays small", " and at != start", ""),
                    ("'the' is capitalised", '{"of", "the", "and"}', '{"of", "and"}'),
                ],
            ),
        ],
        [
            (("hello",), "Hello"),
            (("",), ""),
            (("the LORD of the rings",), "The Lord of the Rings"),
            (("salt and pepper",), "Salt and Pepper"),
            (("of mice and men",), "Of Mice and Men"),
            (("a  b",), "A  B"),
            (("iPHONE",), "Iphone"),
            ((" the end",), " The End"),
            (("it's mine",), "It's Mine"),
            (("AND THE",), "And the"),
        ],
    ),
    _function(
        "count_inversions(items)",
        "Return how many pairs of places i < j there are for which items[i] is greater than items[j]. The list must "
        "not be changed.",
        ("count_inversions([3, 1, 2])", "2"),
        [
            (
                """
def count_inversions(items):
    total = 0
    for i in range(len(items)):
        for j in range(i + 1, len(items)):
            if items[i] > items[j]:
                total += 1
    return total
""",
                [
                    ("equal ones count", "items[i] > items[j]", "items[i] >= items[j]"),
                    ("neighbours only", "range(i + 1, len(items))", "range(i + 1, min(i + 2, len(items)))"),
                    ("last place missed", "range(i + 1, len(items))", "range(i + 1, len(items) - 1)"),
                    ("first place missed", "for i in range(len(items))", "for i in range(1, len(items))"),
                    (
                        "one a place",
                        "                total += 1\n",
                        "                total += 1\n                break\n",
                    ),
                ],
            ),
            (
                """
from bisect import bisect_right, insort


def count_inversions(items):
    seen = []
    total = 0
    for item in items:
        total += len(seen) - bisect_right(seen, item)
        insort(seen, item)
    return total
""",
                [
                    (
                        "equal ones count",
                        "len(seen) - bisect_right(seen, item)",
                        "sum(other >= item for other in seen)",
                    ),
                    ("pairs in order", "len(seen) - bisect_right(seen, item)", "bisect_right(seen, item)"),
                    (
                        "repeats forgotten",
                        "        insort(seen, item)",
                        "        if item not in seen:\n            insort(seen, item)",
                    ),
                ],
            ),
        ],
        [
            (([],), 0),
            (([1],), 0),
            (([1, 2, 3],), 0),
            (([3, 2, 1],), 3),
            (([3, 1, 2],), 2),
            (([2, 2],), 0),
            (([2, 2, 1],), 2),
            (([1, 3, 2, 4],), 1),
            (([5, 1, 4, 2, 3],), 6, True),
            (([4, 4, 1, 1],), 4),
        ],
    ),
    *(_function(*row) for row in FURTHER),
)

HELD_OUT = (
    _function(
        "merge_intervals(intervals)",
        "Merge closed intervals, given as [start, end] pairs in any order, that overlap or touch at an end. Return "
        "the merged ones as a list of lists sorted by start. The input must not be changed.",
        ("merge_intervals([[5, 8], [1, 3], [2, 4]])", "[[1, 4], [5, 8]]"),
        [
            (
                """
def merge_intervals(intervals):
    out = []
    for start, end in sorted(intervals):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out
""",
                [
                    ("touching stay apart", "start <= out[-1][1]", "start < out[-1][1]"),
                    ("inner interval shortens", "max(out[-1][1], end)", "end"),
                    ("not sorted", "sorted(intervals)", "intervals"),
                    ("neighbours merged", "start <= out[-1][1]", "start <= out[-1][1] + 1"),
                    ("sorted by end", "sorted(intervals)", "sorted(intervals, key=lambda pair: pair[1])"),
                    ("input sorted in place", "    out = []\n", "    intervals.sort()\n    out = []\n"),
                ],
            ),
            (
                """
def merge_intervals(intervals):
    if not intervals:
        return []
    ordered = sorted(intervals)
    out = []
    low, high = ordered[0]
    for start, end in ordered[1:]:
        if start > high:
            out.append([low, high])
            low, high = start, end
        else:
            high = max(high, end)
    out.append([low, high])
    return out
""",
                [
                    ("last one lost", "    out.append([low, high])\n    return out", "    return out"),
                    ("fails on nothing", "    if not intervals:\n        return []\n", ""),
                    ("touching stay apart", "start > high", "start >= high"),
                    (
                        "tuples",
                        "    out.append([low, high])\n    return",
                        "    out.append((low, high))\n    return",
                    ),
                ],
            ),
        ],
        [
            (([],), []),
            (([[1, 2]],), [[1, 2]]),
            (([[1, 3], [2, 4]],), [[1, 4]]),
            (([[1, 2], [2, 3]],), [[1, 3]]),
            (([[1, 2], [3, 4]],), [[1, 2], [3, 4]]),
            (([[1, 10], [2, 3]],), [[1, 10]]),
            (([[5, 8], [1, 3], [2, 4]],), [[1, 4], [5, 8]]),
            (([[3, 4], [1, 2]],), [[1, 2], [3, 4]], True),
            (([[1, 9], [2, 3], [4, 12]],), [[1, 12]]),
            (([[0, 0], [0, 0]],), [[0, 0]]),
        ],
    ),
    _function(
        "parse_duration(text)",
        "Turn a duration such as '1h30m' into seconds. It has hours (h), minutes (m) and seconds (s), each with a "
        "whole number before it; parts may be missing, but not all, and their order is h, m, s. Anything else gives "
        "None.",
        ("parse_duration('1h30m')", "5400"),
        [
            (
                """
import re


def parse_duration(text):
    match = re.fullmatch(r"(?:(\\d+)h)?(?:(\\d+)m)?(?:(\\d+)s)?", text)
    if match is None or not text:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
""",
                [
                    ("nothing is zero", "match is None or not text", "match is None"),
                    ("what follows is overlooked", "re.fullmatch", "re.match"),
                    ("wrong hour", "hours * 3600", "hours * 360"),
                    ("one digit only", r"(?:(\d+)m)?", r"(?:(\d)m)?"),
                    ("seconds are needed", '(?:(\\d+)s)?"', '(?:(\\d+)s)"'),
                    ("zero for what is wrong", "        return None", "        return 0"),
                ],
            ),
            (
                """
def parse_duration(text):
    units = {"h": 3600, "m": 60, "s": 1}
    total, digits, smallest = 0, "", 7200
    for item in text:
        if item in "0123456789":
            digits += item
        elif item in units and digits and units[item] < smallest:
            smallest = units[item]
            total += int(digits) * smallest
            digits = ""
        else:
            return None
    return total if text and not digits else None
""",
                [
                    ("any order", " and units[item] < smallest", ""),
                    (
                        "a number without unit is overlooked",
                        "if text and not digits else None",
                        "if text else None",
                    ),
                    ("a unit twice", "units[item] < smallest", "units[item] <= smallest"),
                    ("digits pile up", '            digits = ""\n', ""),
                    ("nothing is zero", "if text and not digits", "if not digits"),
                ],
            ),
        ],
        [
            (("1h30m",), 5400),
            (("45s",), 45),
            (("2h",), 7200),
            (("1h1m1s",), 3661),
            (("",), None),
            (("10",), None),
            (("5m2h",), None),
            (("90m",), 5400),
            (("1h 5m",), None),
            (("0s",), 0),
            (("3m3m",), None),
            (("1h20",), None),
        ],
    ),
    _function(
        "top_words(text, k)",
        "Return the k most frequent words of a text, most frequent first, words of the same frequency in alphabetical "
        "order. Words are separated by white space; upper and lower case are the same, and words are returned in "
        "lower case. Where there are fewer than k words, return all.",
        ("top_words('b a B c', 2)", "['b', 'a']"),
        [
            (
                """
def top_words(text, k):
    counts = {}
    for item in text.lower().split():
        counts[item] = counts.get(item, 0) + 1
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return ranked[:k]
""",
                [
                    (
                        "ties as they come",
                        "key=lambda word: (-counts[word], word)",
                        "key=lambda word: -counts[word]",
                    ),
                    (
                        "ties backwards",
                        "key=lambda word: (-counts[word], word))",
                        "key=lambda word: (counts[word], word), reverse=True)",
                    ),
                    ("rarest first", "(-counts[word], word)", "(counts[word], word)"),
                    ("case counts", "text.lower().split()", "text.split()"),
                    ("single spaces only", "text.lower().split()", "text.lower().split(' ')"),
                    ("one too few", "ranked[:k]", "ranked[: k - 1]"),
                ],
            ),
            (
                """
from collections import Counter


def top_words(text, k):
    counts = Counter(text.lower().split())
    out = [word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    return out[:k]
""",
                [
                    (
                        "ties as they come",
                        "sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))",
                        "counts.most_common()",
                    ),
                    (
                        "repeats counted once",
                        "Counter(text.lower().split())",
                        "Counter(dict.fromkeys(text.lower().split(), 1))",
                    ),
                    ("pairs, not words", "[word for word, _ in sorted", "[(word, n) for word, n in sorted"),
                ],
            ),
        ],
        [
            (("b a B c", 2), ["b", "a"]),
            (("", 3), []),
            (("one", 1), ["one"]),
            (("x y x y z", 2), ["x", "y"]),
            (("y x y x z", 2), ["x", "y"]),
            (("a a b", 5), ["a", "b"]),
            (("Dog dog DOG cat", 1), ["dog"]),
            (("p  q\nq", 2), ["q", "p"]),
            (("a b c", 0), []),
            (("d c b a d", 3), ["d", "a", "b"]),
        ],
    ),
    _function(
        "is_balanced(text)",
        "Say whether the brackets (), [] and {} of a text are balanced: each is closed by one of its own kind, in "
        "the right order. Other characters do not matter.",
        ("is_balanced('a(b)[c]')", "True"),
        [
            (
                """
def is_balanced(text):
    pairs = {")": "(", "]": "[", "}": "{"}
    stack = []
    for item in text:
        if item in pairs.values():
            stack.append(item)
        elif item in pairs:
            if not stack or stack.pop() != pairs[item]:
                return False
    return not stack
""",
                [
                    ("may stay open", "return not stack", "return True"),
                    (
                        "kinds are not compared",
                        "if not stack or stack.pop() != pairs[item]:",
                        "if not stack or not stack.pop():",
                    ),
                    ("fails on an early close", "if not stack or stack.pop()", "if stack.pop()"),
                    (
                        "an early close is overlooked",
                        "if not stack or stack.pop() != pairs[item]:",
                        "if stack and stack.pop() != pairs[item]:",
                    ),
                    ("curly ones forgotten", ', "}": "{"}', "}"),
                ],
            ),
            (
                """
def is_balanced(text):
    kept = "".join(item for item in text if item in "()[]{}")
    size = -1
    while size != len(kept):
        size = len(kept)
        kept = kept.replace("()", "").replace("[]", "").replace("{}", "")
    return kept == ""
""",
                [
                    ("other characters matter", '"".join(item for item in text if item in "()[]{}")', "text"),
                    ("one round", "    while size != len(kept):", "    for _ in range(1):"),
                    ("square ones forgotten", '.replace("[]", "")', ""),
                ],
            ),
        ],
        [
            (("",), True),
            (("()",), True),
            (("a(b)[c]",), True),
            (("([{}])",), True),
            (("(]",), False),
            (("([)]",), False),
            (("(",), False),
            ((")",), False),
            (("}{",), False),
            (("{[()()]}x",), True),
            (("(()",), False),
            (("{",), False),
        ],
    ),
    _function(
        "median(numbers)",
        "Return the median of a list of numbers as a float: the middle one in order, or the mean of the two middle "
        "ones. The median of an empty list is None. The list must not be changed.",
        ("median([7, 1, 3])", "3.0"),
        [
            (
                """
def median(numbers):
    if not numbers:
        return None
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2
""",
                [
                    (
                        "list sorted in place",
                        "ordered = sorted(numbers)",
                        "numbers.sort()\n    ordered = numbers",
                    ),
                    ("not sorted", "ordered = sorted(numbers)", "ordered = list(numbers)"),
                    (
                        "upper middle",
                        "return (ordered[middle - 1] + ordered[middle]) / 2",
                        "return float(ordered[middle])",
                    ),
                    (
                        "one place too far",
                        "(ordered[middle - 1] + ordered[middle])",
                        "(ordered[middle] + ordered[(middle + 1) % len(ordered)])",
                    ),
                    ("whole numbers", "float(ordered[middle])", "ordered[middle]"),
                    ("rounded down", ") / 2\n", ") // 2 * 1.0\n"),
                ],
            ),
            (
                """
def median(numbers):
    ordered = sorted(numbers)
    if not ordered:
        return None
    low = ordered[(len(ordered) - 1) // 2]
    high = ordered[len(ordered) // 2]
    return (low + high) / 2
""",
                [
                    ("zero for nothing", "return None", "return 0.0"),
                    ("lower middle", "ordered[len(ordered) // 2]", "ordered[(len(ordered) - 1) // 2]"),
                    ("repeats dropped", "sorted(numbers)", "sorted(set(numbers))"),
                ],
            ),
        ],
        [
            (([7, 1, 3],), 3.0),
            (([4],), 4.0),
            (([],), None),
            (([1, 2],), 1.5),
            (([4, 1, 3, 2],), 2.5),
            (([-5, -1, -3],), -3.0),
            (([2, 2, 9],), 2.0),
            (([3, 1, 2],), 2.0, True),
            (([1.5, 0.5],), 1.0),
            (([10, 2, 8, 4],), 6.0, True),
        ],
    ),
    _function(
        "run_lengths(text)",
        "Return the runs of equal characters of a text as a list of (character, length) tuples, in order.",
        ("run_lengths('aabc')", "[('a', 2), ('b', 1), ('c', 1)]"),
        [
            (
                """
def run_lengths(text):
    out = []
    for item in text:
        if out and out[-1][0] == item:
            out[-1] = (item, out[-1][1] + 1)
        else:
            out.append((item, 1))
    return out
""",
                [
                    ("case does not count", "out[-1][0] == item", "out[-1][0].lower() == item.lower()"),
                    ("counts from zero", "out.append((item, 1))", "out.append((item, 0))"),
                    ("longest run is two", "out[-1][1] + 1", "2"),
                    ("lists", "return out", "return [list(pair) for pair in out]"),
                    ("single ones left out", "return out", "return [pair for pair in out if pair[1] > 1]"),
                    ("spaces skipped", "for item in text:", "for item in text.strip():"),
                ],
            ),
            (
                """
def run_lengths(text):
    out = []
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or text[at] != text[start]:
            out.append((text[start], at - start))
            start = at
    return out
""",
                [
                    ("last run lost", "if at == len(text) or text[at]", "if at < len(text) and text[at]"),
                    (
                        "compares with the neighbour's place",
                        "out.append((text[start], at - start))",
                        "out.append((text[start], at - start + (start > 0)))",
                    ),
                    ("start stays", "            start = at\n", "            start = at - (len(out) > 1)\n"),
                ],
            ),
        ],
        [
            (("",), []),
            (("a",), [("a", 1)]),
            (("aabc",), [("a", 2), ("b", 1), ("c", 1)]),
            (("aaaa",), [("a", 4)]),
            (("abab",), [("a", 1), ("b", 1), ("a", 1), ("b", 1)]),
            (("aA",), [("a", 1), ("A", 1)]),
            (("  x",), [(" ", 2), ("x", 1)]),
            (("xyyyz",), [("x", 1), ("y", 3), ("z", 1)]),
            (("1122",), [("1", 2), ("2", 2)]),
            (("bbb ",), [("b", 3), (" ", 1)]),
        ],
    ),
    _function(
        "compare_versions(a, b)",
        "Compare two versions such as '1.10.2', part by part as numbers. Return -1 where the first is older, 1 where "
        "it is newer, 0 where they are equal. Missing parts are zeros.",
        ("compare_versions('1.9', '1.10')", "-1"),
        [
            (
                """
def compare_versions(a, b):
    left = [int(part) for part in a.split(".")]
    right = [int(part) for part in b.split(".")]
    size = max(len(left), len(right))
    left += [0] * (size - len(left))
    right += [0] * (size - len(right))
    return (left > right) - (left < right)
""",
                [
                    ("second not filled up", "    right += [0] * (size - len(right))\n", ""),
                    ("first not filled up", "    left += [0] * (size - len(left))\n", ""),
                    (
                        "true and false",
                        "return (left > right) - (left < right)",
                        "return 0 if left == right else left > right",
                    ),
                    ("other way round", "(left > right) - (left < right)", "(left < right) - (left > right)"),
                    (
                        "parts as texts",
                        '[int(part) for part in a.split(".")]\n    right = [int(part) for part in b.split(".")]',
                        'a.split(".")\n    right = b.split(".")',
                    ),
                    (
                        "two parts only",
                        "return (left > right) - (left < right)",
                        "left, right = left[:2], right[:2]\n    return (left > right) - (left < right)",
                    ),
                ],
            ),
            (
                """
from itertools import zip_longest


def compare_versions(a, b):
    for left, right in zip_longest(a.split("."), b.split("."), fillvalue="0"):
        if int(left) != int(right):
            return -1 if int(left) < int(right) else 1
    return 0
""",
                [
                    (
                        "common parts only",
                        'zip_longest(a.split("."), b.split("."), fillvalue="0")',
                        'zip(a.split("."), b.split("."))',
                    ),
                    (
                        "parts as texts",
                        "if int(left) != int(right):\n            return -1 if int(left) < int(right)",
                        "if left != right:\n            return -1 if left < right",
                    ),
                    (
                        "difference, not sign",
                        "return -1 if int(left) < int(right) else 1",
                        "return int(left) - int(right)",
                    ),
                    ("leading zeros count", "if int(left) != int(right):", "if left != right:"),
                ],
            ),
        ],
        [
            (("1.9", "1.10"), -1),
            (("1.0", "1"), 0),
            (("2", "1.9.9"), 1),
            (("1.2.3", "1.2.3"), 0),
            (("1.0.1", "1"), 1),
            (("1", "1.0.1"), -1),
            (("01.2", "1.2"), 0),
            (("0.9", "0.8"), 1),
            (("1.2.3", "1.2.10"), -1),
            (("3.1", "3.4"), -1),
            (("10", "9"), 1),
            (("5", "5.0.0"), 0),
        ],
    ),
    _function(
        "chunks(items, size)",
        "Cut a list into lists of `size` items each, in order; the last one may be shorter. A size below 1 raises "
        "ValueError.",
        ("chunks([1, 2, 3], 2)", "[[1, 2], [3]]"),
        [
            (
                """
def chunks(items, size):
    if size < 1:
        raise ValueError("size must be at least 1")
    out = []
    for at in range(0, len(items), size):
        out.append(items[at : at + size])
    return out
""",
                [
                    ("rest lost", "range(0, len(items), size)", "range(0, len(items) - size + 1, size)"),
                    ("windows slide", "range(0, len(items), size)", "range(0, len(items))"),
                    ("an empty one for nothing", "    return out", "    return out or [[]]"),
                    (
                        "last filled up",
                        "    return out",
                        "    if out:\n        out[-1] = out[-1] + [None] * (size - len(out[-1]))\n    return out",
                    ),
                    ("single ones refused", "size < 1", "size <= 1"),
                    ("an item is skipped", "at + size]", "at + size - (at > 0)]"),
                ],
            ),
            (
                """
def chunks(items, size):
    if size < 1:
        raise ValueError("size must be positive")
    out, part = [], []
    for item in items:
        part.append(item)
        if len(part) == size:
            out.append(part)
            part = []
    if part:
        out.append(part)
    return out
""",
                [
                    ("rest lost", "    if part:\n        out.append(part)\n", ""),
                    ("empty last one", "    if part:\n        out.append(part)", "    out.append(part)"),
                    ("one list over again", "            part = []", "            part.clear()"),
                    ("one too long", "len(part) == size", "len(part) > size"),
                ],
            ),
        ],
        [
            (([1, 2, 3], 2), [[1, 2], [3]]),
            (([], 3), []),
            (([1], 1), [[1]]),
            (([1, 2], 5), [[1, 2]]),
            (([1, 2, 3, 4], 2), [[1, 2], [3, 4]]),
            (([1, 2, 3], 1), [[1], [2], [3]]),
            (([1, 2, 3, 4, 5, 6, 7], 3), [[1, 2, 3], [4, 5, 6], [7]]),
            (([0, 0, 0], 3), [[0, 0, 0]]),
            ((["a", "b", "c"], 2), [["a", "b"], ["c"]], True),
            (([None, None], 1), [[None], [None]]),
        ],
    ),
    _function(
        "dig(data, path, default=None)",
        "Follow a path of keys separated by dots through nested dictionaries and return what stands there, or "
        "`default` where a key is missing or something on the way is no dictionary. A value of None, 0 or '' that "
        "stands there is returned as it is. The empty path gives the data itself.",
        ("dig({'a': {'b': 3}}, 'a.b')", "3"),
        [
            (
                """
def dig(data, path, default=None):
    if not path:
        return data
    for part in path.split("."):
        if not isinstance(data, dict) or part not in data:
            return default
        data = data[part]
    return data
""",
                [
                    (
                        "default for what is empty",
                        "        data = data[part]\n    return data",
                        "        data = data[part]\n    return data or default",
                    ),
                    ("None always", "return default", "return None"),
                    ("no empty path", "    if not path:\n        return data\n", ""),
                    (
                        "fails on the way",
                        "if not isinstance(data, dict) or part not in data:",
                        "if part not in data:",
                    ),
                    ("first key only", 'path.split(".")', 'path.split(".")[:1]'),
                    ("what is empty counts as missing", "or part not in data", "or not data.get(part)"),
                ],
            ),
            (
                """
def dig(data, path, default=None):
    for part in path.split(".") if path else []:
        try:
            data = data[part]
        except (KeyError, TypeError):
            return default
    return data
""",
                [
                    ("missing keys raise", "except (KeyError, TypeError)", "except TypeError"),
                    ("fails on the way", "except (KeyError, TypeError)", "except KeyError"),
                    ("goes on after a miss", "            return default", "            data = default"),
                    (
                        "default for None",
                        "    return data\n",
                        "    return default if data is None else data\n",
                    ),
                ],
            ),
        ],
        [
            (({"a": {"b": 3}}, "a.b"), 3),
            (({"a": 1}, "a"), 1),
            (({"a": 1}, "b"), None),
            (({"a": 1}, "b", 7), 7),
            (({"a": {"b": 0}}, "a.b", 5), 0),
            (({"a": None}, "a", 5), None),
            (({"a": 1}, "a.b", "x"), "x"),
            (({"a": 1}, ""), {"a": 1}),
            (({"a": {"b": {"c": ""}}}, "a.b.c", "x"), ""),
            (({"a": {"b": 2}}, "c.b", {"b": 9}), {"b": 9}),
            (({}, "a", 0), 0),
        ],
    ),
    _function(
        "moving_average(numbers, window)",
        "Return the means of every `window` numbers that follow one another, as a list of floats, in order. Where "
        "the window is longer than the list or below 1, return an empty list.",
        ("moving_average([1, 2, 3, 4], 2)", "[1.5, 2.5, 3.5]"),
        [
            (
                """
def moving_average(numbers, window):
    if window < 1:
        return []
    out = []
    for at in range(len(numbers) - window + 1):
        out.append(sum(numbers[at : at + window]) / window)
    return out
""",
                [
                    ("last one lost", "len(numbers) - window + 1", "len(numbers) - window"),
                    ("whole numbers", "/ window", "// window"),
                    ("fails at zero", "    if window < 1:\n        return []\n", ""),
                    ("a short one at the end", "len(numbers) - window + 1", "len(numbers)"),
                    (
                        "windows do not overlap",
                        "range(len(numbers) - window + 1)",
                        "range(0, len(numbers) - window + 1, window)",
                    ),
                    ("one number too many", "numbers[at : at + window]", "numbers[at : at + window + 1]"),
                ],
            ),
            (
                """
def moving_average(numbers, window):
    if window < 1 or window > len(numbers):
        return []
    total = sum(numbers[:window])
    out = [total / window]
    for at in range(window, len(numbers)):
        total += numbers[at] - numbers[at - window]
        out.append(total / window)
    return out
""",
                [
                    ("too long a window", " or window > len(numbers)", ""),
                    ("nothing is taken away", " - numbers[at - window]", ""),
                    ("wrong one taken away", "numbers[at - window]", "numbers[at - window + 1]"),
                    ("full length refused", "window > len(numbers)", "window >= len(numbers)"),
                ],
            ),
        ],
        [
            (([1, 2, 3, 4], 2), [1.5, 2.5, 3.5]),
            (([5], 1), [5.0]),
            (([], 1), []),
            (([1, 2], 3), []),
            (([1, 2], 0), []),
            (([1, 2], -1), []),
            (([2, 4, 6], 3), [4.0]),
            (([1, 2, 4], 1), [1.0, 2.0, 4.0]),
            (([3, -3, 3, -3], 2), [0.0, 0.0, 0.0]),
            (([1, 2, 2, 5, 9], 3), [5 / 3, 3.0, 16 / 3]),
        ],
    ),
    _function(
        "unique_by(rows, key)",
        "Keep of the dictionaries in a list only the last one for each value of `key`, in the order in which the "
        "values first occurred. Rows without the key are left out. The list must not be changed.",
        (
            "unique_by([{'id': 1, 'n': 'a'}, {'id': 2, 'n': 'b'}, {'id': 1, 'n': 'c'}], 'id')",
            "[{'id': 1, 'n': 'c'}, {'id': 2, 'n': 'b'}]",
        ),
        [
            (
                """
def unique_by(rows, key):
    last = {}
    for item in rows:
        if key in item:
            last[item[key]] = item
    return list(last.values())
""",
                [
                    ("first one kept", "last[item[key]] = item", "last.setdefault(item[key], item)"),
                    (
                        "order of the last",
                        "            last[item[key]] = item",
                        "            last.pop(item[key], None)\n            last[item[key]] = item",
                    ),
                    (
                        "fails without the key",
                        "        if key in item:\n            last[item[key]] = item",
                        "        last[item[key]] = item",
                    ),
                    (
                        "missing is a value",
                        "        if key in item:\n            last[item[key]] = item",
                        "        last[item.get(key)] = item",
                    ),
                    ("what is false is missing", "if key in item:", "if item.get(key):"),
                    (
                        "rows run together",
                        "last[item[key]] = item",
                        "last.setdefault(item[key], {}).update(item)",
                    ),
                ],
            ),
            (
                """
def unique_by(rows, key):
    out = []
    places = {}
    for item in rows:
        if key not in item:
            continue
        if item[key] in places:
            out[places[item[key]]] = item
        else:
            places[item[key]] = len(out)
            out.append(item)
    return out
""",
                [
                    ("first one kept", "            out[places[item[key]]] = item", "            continue"),
                    (
                        "stops at a gap",
                        "        if key not in item:\n            continue",
                        "        if key not in item:\n            break",
                    ),
                    (
                        "rows without the key kept",
                        "        if key not in item:\n            continue",
                        "        if key not in item:\n            out.append(item)\n            continue",
                    ),
                ],
            ),
        ],
        [
            (([], "id"), []),
            (([{"id": 1}], "id"), [{"id": 1}]),
            (([{"id": 1, "n": 1}, {"id": 1, "n": 2}], "id"), [{"id": 1, "n": 2}]),
            (([{"id": 2}, {"id": 1}], "id"), [{"id": 2}, {"id": 1}]),
            (
                ([{"id": 1, "n": "a"}, {"id": 2, "n": "b"}, {"id": 1, "n": "c"}], "id"),
                [{"id": 1, "n": "c"}, {"id": 2, "n": "b"}],
            ),
            (([{"x": 1}, {"id": 3}], "id"), [{"id": 3}]),
            (([{"x": 1}], "id"), []),
            (([{"id": 0}, {"id": None}], "id"), [{"id": 0}, {"id": None}]),
            (([{"id": 5, "a": 1}, {"id": 5}], "id"), [{"id": 5}], True),
            (([{"k": "b"}, {"k": "a"}, {"k": "b", "z": 0}], "k"), [{"k": "b", "z": 0}, {"k": "a"}]),
        ],
    ),
    _function(
        "wrap(text, width)",
        "Break a text into lines of at most `width` characters at its white space, each line as full as it can be, "
        "and return the lines. Words are joined by single spaces; a word longer than the width stands alone on its "
        "line, whole.",
        ("wrap('to be or not', 5)", "['to be', 'or', 'not']"),
        [
            (
                """
def wrap(text, width):
    out = []
    line = ""
    for item in text.split():
        if not line:
            line = item
        elif len(line) + 1 + len(item) <= width:
            line += " " + item
        else:
            out.append(line)
            line = item
    if line:
        out.append(line)
    return out
""",
                [
                    ("full lines refused", "len(item) <= width", "len(item) < width"),
                    ("space not counted", "len(line) + 1 + len(item)", "len(line) + len(item)"),
                    ("last line lost", "    if line:\n        out.append(line)\n", ""),
                    (
                        "an empty line for nothing",
                        "    if line:\n        out.append(line)",
                        "    out.append(line)",
                    ),
                    ("single spaces only", "text.split()", 'text.split(" ")'),
                    (
                        "long words cut",
                        "            line = item\n    if line",
                        "            line = item[:width]\n    if line",
                    ),
                ],
            ),
            (
                """
def wrap(text, width):
    out = []
    for item in text.split():
        if out and len(f"{out[-1]} {item}") <= width:
            out[-1] = f"{out[-1]} {item}"
        else:
            out.append(item)
    return out
""",
                [
                    ("full lines refused", ") <= width", ") < width"),
                    ("a word a line after the first", "if out and", "if len(out) == 1 and"),
                    (
                        "long words left out",
                        "        else:\n            out.append(item)",
                        "        elif len(item) <= width:\n            out.append(item)",
                    ),
                ],
            ),
        ],
        [
            (("to be or not", 5), ["to be", "or", "not"]),
            (("", 5), []),
            (("   ", 5), []),
            (("word", 4), ["word"]),
            (("longword", 4), ["longword"]),
            (("a longword b", 4), ["a", "longword", "b"]),
            (("a b c d", 3), ["a b", "c d"]),
            (("a  b\nc", 10), ["a b c"]),
            (("one two three", 7), ["one two", "three"]),
            (("aa bb cc", 4), ["aa", "bb", "cc"]),
            (("x y z", 1), ["x", "y", "z"]),
        ],
    ),
)
