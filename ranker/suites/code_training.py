"""Further functions of the suite `code` for training, as the arguments of `code_functions._function`.

They are many, and their slips few in kind: a limit that counts or not, the first and the last element, what an empty
input gives, an input that is changed, a rule of the text that is passed over.
"""

from __future__ import annotations

from typing import Any

Slip = tuple[str, str, str]
Row = tuple[str, str, tuple[str, str], list[tuple[str, list[Slip]]], list[tuple[Any, ...]]]

FURTHER: tuple[Row, ...] = (
    (
        "clamp_all(numbers, low, high)",
        (
            "Return a new list in which every number below `low` is replaced by `low` and every number above `high` by "
            "`high`. Where `low` is greater than `high`, return None. The list must not be changed."
        ),
        ("clamp_all([-3, 4, 12], 0, 10)", "[0, 4, 10]"),
        [
            (
                """
def clamp_all(numbers, low, high):
    if low > high:
        return None
    out = []
    for item in numbers:
        if item < low:
            out.append(low)
        elif item > high:
            out.append(high)
        else:
            out.append(item)
    return out
""",
                [
                    ("equal limits refused", "low > high", "low >= high"),
                    ("limits not checked", "    if low > high:\n        return None\n", ""),
                    ("too large left out", "            out.append(high)", "            continue"),
                    ("last missed", "in numbers:", "in numbers[:-1]:"),
                    ("zero for the lower limit", "out.append(low)", "out.append(0)"),
                    ("list for None", "return None", "return []"),
                ],
            ),
            (
                """
def clamp_all(numbers, low, high):
    if low > high:
        return None
    return [min(max(item, low), high) for item in numbers]
""",
                [
                    ("from below only", "min(max(item, low), high)", "max(item, low)"),
                    ("min and max swapped", "min(max(item, low), high)", "max(min(item, low), high)"),
                    ("equal limits refused", "low > high", "low >= high"),
                    (
                        "list changed",
                        "return [min(max(item, low), high) for item in numbers]",
                        (
                            "for at, item in enumerate(numbers):\n        numbers[at] = min(max(item, low), high)\n"
                            "    return numbers"
                        ),
                    ),
                    ("order lost", "for item in numbers", "for item in sorted(numbers)"),
                ],
            ),
        ],
        [
            (([], 0, 1), []),
            (([5], 0, 9), [5]),
            (([-3, 4, 12], 0, 10), [0, 4, 10]),
            (([1, 2], 3, 2), None),
            (([1, 5, 9], 4, 4), [4, 4, 4]),
            (([7, -7], -2, 2), [2, -2]),
            (([3, 1, 2], 1, 3), [3, 1, 2]),
            (([8, 0], 1, 7), [7, 1]),
            (([9, 8, 1], 2, 5), [5, 5, 2], True),
            (([-9, -3], -5, -1), [-5, -3]),
        ],
    ),
    (
        "caesar(text, shift)",
        (
            "Move every letter a-z and A-Z `shift` places on in the alphabet, past z again from a; a negative shift "
            "moves back. Upper case stays upper case, and all other characters stay as they are."
        ),
        ("caesar('Xyz!', 2)", "'Zab!'"),
        [
            (
                """
def caesar(text, shift):
    out = ""
    for item in text:
        if "a" <= item <= "z":
            out += chr((ord(item) - 97 + shift) % 26 + 97)
        elif "A" <= item <= "Z":
            out += chr((ord(item) - 65 + shift) % 26 + 65)
        else:
            out += item
    return out
""",
                [
                    ("z left alone", 'item <= "z"', 'item < "z"'),
                    ("others lost", "            out += item\n", "            continue\n"),
                    ("no way round", "(ord(item) - 97 + shift) % 26 + 97", "ord(item) + shift"),
                    (
                        "wrong length of the alphabet",
                        "(ord(item) - 65 + shift) % 26",
                        "(ord(item) - 65 + shift) % 25",
                    ),
                    ("capitals made small", "% 26 + 65", "% 26 + 97"),
                    ("capitals moved back", "65 + shift", "65 - shift"),
                ],
            ),
            (
                """
def caesar(text, shift):
    small = "abcdefghijklmnopqrstuvwxyz"
    shift %= 26
    moved = small[shift:] + small[:shift]
    return text.translate(str.maketrans(small + small.upper(), moved + moved.upper()))
""",
                [
                    ("capitals left alone", "small + small.upper(), moved + moved.upper()", "small, moved"),
                    ("moved back", "small[shift:] + small[:shift]", "small[-shift:] + small[:-shift]"),
                    ("one place too far", "    shift %= 26\n", "    shift = shift % 26 + (shift < 0)\n"),
                    ("capitals made small", "moved + moved.upper()", "moved + moved"),
                    ("case ignored", "text.translate", "text.lower().translate"),
                ],
            ),
        ],
        [
            (("", 3), ""),
            (("abc", 1), "bcd"),
            (("Xyz!", 2), "Zab!"),
            (("xyz", 3), "abc"),
            (("Hello, World", 5), "Mjqqt, Btwqi"),
            (("abc", -1), "zab"),
            (("AZ", 1), "BA"),
            (("a-b c", 26), "a-b c"),
            (("same", 0), "same"),
            (("12 34", 7), "12 34"),
            (("zebra", 27), "afcsb"),
        ],
    ),
    (
        "rotate(items, k)",
        (
            "Return a new list with the items moved `k` places to the right, those that fall off the end coming in at the "
            "start. A negative k moves to the left, and k may be larger than the list is long. The list must not be "
            "changed."
        ),
        ("rotate([1, 2, 3, 4], 1)", "[4, 1, 2, 3]"),
        [
            (
                """
def rotate(items, k):
    if not items:
        return []
    cut = len(items) - k % len(items)
    return items[cut:] + items[:cut]
""",
                [
                    ("wrong direction", "cut = len(items) - k % len(items)", "cut = k % len(items)"),
                    ("large k not taken round", "k % len(items)", "k"),
                    ("fails for the empty list", "    if not items:\n        return []\n", ""),
                    ("one item lost", "items[:cut]", "items[: cut - 1]"),
                    ("None for the empty list", "return []", "return None"),
                ],
            ),
            (
                """
def rotate(items, k):
    out = list(items)
    for at, item in enumerate(items):
        out[(at + k) % len(items)] = item
    return out
""",
                [
                    ("input changed", "out = list(items)", "out = items"),
                    ("wrong direction", "(at + k)", "(at - k)"),
                    ("one place too far", "(at + k)", "(at + k + 1)"),
                    ("first item missed", "enumerate(items)", "enumerate(items[1:], 1)"),
                    ("negative k as positive", "(at + k)", "(at + abs(k))"),
                ],
            ),
        ],
        [
            (([], 2), []),
            (([1], 5), [1]),
            (([1, 2, 3, 4], 1), [4, 1, 2, 3]),
            (([1, 2, 3], 0), [1, 2, 3]),
            (([1, 2, 3], 3), [1, 2, 3]),
            (([1, 2, 3, 4], -1), [2, 3, 4, 1]),
            (([1, 2, 3], 4), [3, 1, 2]),
            ((["a", "b", "c", "d", "e"], 2), ["d", "e", "a", "b", "c"], True),
            (([1, 2, 3], -5), [3, 1, 2]),
            (([0, 0, 7], 1), [7, 0, 0]),
        ],
    ),
    (
        "longest_word(text)",
        (
            "Return the longest word of a text; of several of that length the first. Words are separated by white space, "
            "and the characters . , ! and ? at their ends do not belong to them. Without words return ''."
        ),
        ("longest_word('Go, then wait!')", "'then'"),
        [
            (
                """
def longest_word(text):
    best = ""
    for item in text.split():
        item = item.strip(".,!?")
        if len(item) > len(best):
            best = item
    return best
""",
                [
                    ("last of equals", "len(item) > len(best)", "len(item) >= len(best)"),
                    ("punctuation counts", '        item = item.strip(".,!?")\n', ""),
                    ("longest by alphabet", "len(item) > len(best)", "item > best"),
                    ("last word missed", "text.split():", "text.split()[:-1]:"),
                    ("stops at the first", "            best = item\n", "            return item\n"),
                    ("starts only stripped at the end", "item.strip(", "item.rstrip("),
                ],
            ),
            (
                """
def longest_word(text):
    kept = [item.strip(".,!?") for item in text.split()]
    return max(kept, key=len, default="")
""",
                [
                    ("None without words", 'default=""', "default=None"),
                    ("punctuation counts", 'item.strip(".,!?") for', "item for"),
                    ("shortest", "max(kept", "min(kept"),
                    ("last of equals", "max(kept,", "max(reversed(kept),"),
                    ("made small", 'item.strip(".,!?")', 'item.strip(".,!?").lower()'),
                ],
            ),
        ],
        [
            (("",), ""),
            (("  ",), ""),
            (("one",), "one"),
            (("Go, then wait!",), "then"),
            (("a bb ccc",), "ccc"),
            (("Paris or Milan",), "Paris"),
            (("yes!!!! maybe",), "maybe"),
            (("what? ever... so",), "what"),
            (("zoo animals run",), "animals"),
            (("...well done",), "well"),
        ],
    ),
    (
        "digit_sum(n)",
        "Return the sum of the decimal digits of a whole number. The sign of a negative number does not count.",
        ("digit_sum(407)", "11"),
        [
            (
                """
def digit_sum(n):
    n = abs(n)
    total = 0
    while n > 0:
        total += n % 10
        n //= 10
    return total
""",
                [
                    ("negative numbers are zero", "    n = abs(n)\n", ""),
                    ("first digit missed", "n > 0", "n > 9"),
                    ("starts at one", "total = 0", "total = 1 if n > 99 else 0"),
                    ("product", "total += n % 10", "total = max(total, 1) * (n % 10)"),
                    ("ten stops it", "while n > 0:", "while n > 0 and n % 10 > 0:"),
                ],
            ),
            (
                """
def digit_sum(n):
    return sum(int(item) for item in str(abs(n)))
""",
                [
                    ("fails below zero", "str(abs(n))", "str(n)"),
                    ("last digit missed", "str(abs(n))", "str(abs(n))[:-1]"),
                    ("each digit once", "in str(abs(n))", "in set(str(abs(n)))"),
                    ("digits counted", "int(item) for", "1 for"),
                    (
                        "down to one digit",
                        "return sum(int(item) for item in str(abs(n)))",
                        "return (abs(n) - 1) % 9 + 1 if n else 0",
                    ),
                ],
            ),
        ],
        [
            ((0,), 0),
            ((1,), 1),
            ((10,), 1),
            ((407,), 11),
            ((99,), 18),
            ((-12,), 3),
            ((-505,), 10),
            ((1000000,), 1),
            ((123456789,), 45),
            ((110,), 2),
        ],
    ),
    (
        "days_in_month(year, month)",
        (
            "Return the number of days of a month (1 to 12). February has 29 days in leap years: years divisible by 4, "
            "but of those divisible by 100 only the ones divisible by 400. For any other month number return 0."
        ),
        ("days_in_month(2024, 2)", "29"),
        [
            (
                """
def days_in_month(year, month):
    if month < 1 or month > 12:
        return 0
    if month == 2:
        if year % 400 == 0 or year % 4 == 0 and year % 100 != 0:
            return 29
        return 28
    if month in (4, 6, 9, 11):
        return 30
    return 31
""",
                [
                    ("centuries are leap years", " and year % 100 != 0", ""),
                    ("no century is a leap year", "year % 400 == 0 or ", ""),
                    ("December refused", "month > 12", "month >= 12"),
                    ("zero not refused", "month < 1 or ", ""),
                    ("November is long", "(4, 6, 9, 11)", "(4, 6, 9)"),
                    ("None for no month", "return 0", "return None"),
                ],
            ),
            (
                """
def days_in_month(year, month):
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return days[month - 1] if 1 <= month <= 12 else 0
""",
                [
                    ("counts from zero", "days[month - 1]", "days[month % 12]"),
                    ("centuries are leap years", " and (year % 100 != 0 or year % 400 == 0)", ""),
                    ("January refused", "1 <= month", "1 < month"),
                    ("zero is December", "1 <= month <= 12", "month <= 12"),
                    ("July and August swapped lengths", "31, 31, 30, 31, 30, 31]", "31, 30, 31, 30, 31, 30]"),
                ],
            ),
        ],
        [
            ((2024, 2), 29),
            ((2023, 2), 28),
            ((1900, 2), 28),
            ((2000, 2), 29),
            ((2023, 1), 31),
            ((2023, 4), 30),
            ((2023, 8), 31),
            ((2023, 11), 30),
            ((2023, 12), 31),
            ((2023, 0), 0),
            ((2023, 13), 0),
        ],
    ),
    (
        "index_of_max(numbers)",
        (
            "Return the index of the largest number of a list; where it occurs several times, the last of its indexes. "
            "For an empty list return None."
        ),
        ("index_of_max([3, 8, 8, 1])", "2"),
        [
            (
                """
def index_of_max(numbers):
    best = None
    for at, item in enumerate(numbers):
        if best is None or item >= numbers[best]:
            best = at
    return best
""",
                [
                    ("first of equals", "item >= numbers[best]", "item > numbers[best]"),
                    ("index zero taken for nothing", "best is None or", "not best or"),
                    ("starts at zero", "best = None", "best = 0"),
                    ("counts from one", "    return best", "    return best + 1 if best else best"),
                    ("smallest", "item >= numbers[best]", "item <= numbers[best]"),
                    ("last number missed", "enumerate(numbers)", "enumerate(numbers[:-1])"),
                ],
            ),
            (
                """
def index_of_max(numbers):
    if not numbers:
        return None
    at = len(numbers) - 1
    while numbers[at] != max(numbers):
        at -= 1
    return at
""",
                [
                    ("minus one for None", "return None", "return -1"),
                    ("the number for its index", "    return at", "    return numbers[at]"),
                    ("first of equals", "    return at", "    return numbers.index(numbers[at])"),
                    ("largest by size without sign", "!= max(numbers)", "!= max(numbers, key=abs)"),
                    ("last number missed", "len(numbers) - 1", "max(len(numbers) - 2, 0)"),
                ],
            ),
        ],
        [
            (([],), None),
            (([4],), 0),
            (([3, 8, 8, 1],), 2),
            (([5, 2, 1],), 0),
            (([1, 2, 3],), 2),
            (([-4, -2, -9],), 1),
            (([0, 0],), 1),
            (([1, -7, 5, 2],), 2),
            (([9, 1, 9, 4, 9, 0],), 4),
            (([2, -6],), 0),
        ],
    ),
    (
        "common_items(a, b)",
        (
            "Return a list of the items that are in both lists, each once, in the order in which they first stand in "
            "`a`. Neither list may be changed."
        ),
        ("common_items([3, 1, 3, 2], [2, 3])", "[3, 2]"),
        [
            (
                """
def common_items(a, b):
    out = []
    for item in a:
        if item in b and item not in out:
            out.append(item)
    return out
""",
                [
                    ("repeats stay", " and item not in out", ""),
                    (
                        "order of b",
                        "for item in a:\n        if item in b",
                        "for item in b:\n        if item in a",
                    ),
                    ("those of a alone", "item in b and", "item not in b and"),
                    ("false items left out", "if item in b", "if item and item in b"),
                    (
                        "stops at the first other",
                        "            out.append(item)\n",
                        "            out.append(item)\n        elif item not in b:\n            break\n",
                    ),
                ],
            ),
            (
                """
def common_items(a, b):
    left = list(b)
    out = []
    for item in a:
        if item in left:
            out.append(item)
            left = [other for other in left if other != item]
    return out
""",
                [
                    (
                        "b used up",
                        "            left = [other for other in left if other != item]\n",
                        "            while item in left:\n                left.remove(item)\n                b.remove(item)\n",
                    ),
                    ("repeats stay", "            left = [other for other in left if other != item]\n", ""),
                    ("sorted", "return out", "return sorted(out)"),
                    ("newest first", "out.append(item)", "out.insert(0, item)"),
                    ("first of a missed", "in a:", "in a[1:]:"),
                ],
            ),
        ],
        [
            (([], []), []),
            (([1], []), []),
            (([], [1]), []),
            (([3, 1, 3, 2], [2, 3]), [3, 2]),
            (([1, 2], [3, 4]), []),
            (([1, 1, 1], [1]), [1]),
            (([0, 5], [5, 0]), [0, 5]),
            (([2, 1], [1, 2, 2]), [2, 1], True),
            ((["b", "x", "a"], ["a", "b"]), ["b", "a"]),
            (([4, 7, 7], [7, 9, 7]), [7]),
        ],
    ),
    (
        "group_by_length(words)",
        (
            "Return a dictionary from length to the list of the words of that length, in their order, repeats included. "
            "White space at the ends of a word does not count and is taken off; a word with nothing else is left out."
        ),
        ("group_by_length(['a', 'bc', ' d '])", "{1: ['a', 'd'], 2: ['bc']}"),
        [
            (
                """
def group_by_length(words):
    out = {}
    for item in words:
        item = item.strip()
        if not item:
            continue
        if len(item) not in out:
            out[len(item)] = []
        out[len(item)].append(item)
    return out
""",
                [
                    ("white space counts", "        item = item.strip()\n", ""),
                    ("stops at an empty word", "            continue", "            break"),
                    ("empty words kept", "        if not item:\n            continue\n", ""),
                    (
                        "first of each lost",
                        "            out[len(item)] = []\n",
                        "            out[len(item)] = []\n            continue\n",
                    ),
                    (
                        "last one only",
                        "        if len(item) not in out:\n            out[len(item)] = []\n",
                        "        out[len(item)] = []\n",
                    ),
                ],
            ),
            (
                """
def group_by_length(words):
    kept = [item.strip() for item in words if item.strip()]
    return {n: [item for item in kept if len(item) == n] for n in {len(item) for item in kept}}
""",
                [
                    ("white space counts", "[item.strip() for", "[item for"),
                    ("empty words kept", " if item.strip()]", "]"),
                    ("shorter ones too", "len(item) == n", "len(item) <= n"),
                    (
                        "repeats left out",
                        "[item for item in kept if len(item) == n]",
                        "sorted({item for item in kept if len(item) == n})",
                    ),
                    ("made small", "[item.strip() for", "[item.strip().lower() for"),
                ],
            ),
        ],
        [
            (([],), {}),
            ((["a"],), {1: ["a"]}),
            ((["a", "bc", " d "],), {1: ["a", "d"], 2: ["bc"]}),
            ((["", "x"],), {1: ["x"]}),
            (([" "],), {}),
            ((["no", "no"],), {2: ["no", "no"]}),
            ((["b", "a"],), {1: ["b", "a"]}),
            ((["one", "", "two", "four"],), {3: ["one", "two"], 4: ["four"]}),
            ((["Up", "down"],), {2: ["Up"], 4: ["down"]}),
            ((["xyz "],), {3: ["xyz"]}),
        ],
    ),
    (
        "invert(mapping)",
        (
            "Turn a dictionary from names to values into one from values to the sorted list of the names that have them. "
            "Names whose value is None are left out; 0 and '' are values. The input must not be changed."
        ),
        ("invert({'b': 1, 'a': 1, 'c': None})", "{1: ['a', 'b']}"),
        [
            (
                """
def invert(mapping):
    out = {}
    for name, value in mapping.items():
        if value is not None:
            out.setdefault(value, []).append(name)
    for value in out:
        out[value].sort()
    return out
""",
                [
                    ("false values left out", "if value is not None:", "if value:"),
                    ("None kept", "value is not None", "True"),
                    ("not sorted", "    for value in out:\n        out[value].sort()\n", ""),
                    ("falling order", "out[value].sort()", "out[value].sort(reverse=True)"),
                    ("last name only", "out.setdefault(value, []).append(name)", "out[value] = [name]"),
                ],
            ),
            (
                """
def invert(mapping):
    out = {}
    for name in sorted(mapping):
        value = mapping[name]
        if value is None:
            continue
        out[value] = out.get(value, []) + [name]
    return out
""",
                [
                    ("stops at None", "            continue", "            break"),
                    ("false values left out", "value is None", "not value"),
                    ("not sorted", "sorted(mapping)", "mapping"),
                    ("input changed", "mapping[name]", "mapping.pop(name)"),
                    (
                        "a bare name for one",
                        "out.get(value, []) + [name]",
                        "out[value] + [name] if value in out else name",
                    ),
                ],
            ),
        ],
        [
            (({},), {}),
            (({"a": 1},), {1: ["a"]}),
            (({"b": 1, "a": 1, "c": None},), {1: ["a", "b"]}),
            (({"a": None},), {}),
            (({"a": 0, "b": ""},), {0: ["a"], "": ["b"]}),
            (({"x": "u", "y": "v"},), {"u": ["x"], "v": ["y"]}, True),
            (({"a": None, "b": 2, "c": 2},), {2: ["b", "c"]}),
            (({"z": 3, "m": 3, "k": 4},), {3: ["m", "z"], 4: ["k"]}),
            (({"q": 5, "p": 0, "o": 5},), {5: ["o", "q"], 0: ["p"]}),
            (({"one": "t"},), {"t": ["one"]}),
        ],
    ),
    (
        "to_binary(n)",
        (
            "Return a whole number in binary digits as a text, without leading zeros, with a '-' before it where the "
            "number is negative. Zero is '0'."
        ),
        ("to_binary(-6)", "'-110'"),
        [
            (
                """
def to_binary(n):
    if n == 0:
        return "0"
    out = ""
    left = abs(n)
    while left > 0:
        out = str(left % 2) + out
        left //= 2
    return "-" + out if n < 0 else out
""",
                [
                    ("nothing for zero", '    if n == 0:\n        return "0"\n', ""),
                    ("sign lost", 'return "-" + out if n < 0 else out', "return out"),
                    ("digits backwards", "str(left % 2) + out", "out + str(left % 2)"),
                    ("first digit lost", "left > 0", "left > 1"),
                    ("a number for zero", 'return "0"', "return 0"),
                ],
            ),
            (
                """
def to_binary(n):
    sign = "-" if n < 0 else ""
    n = abs(n)
    if n < 2:
        return sign + str(n)
    return sign + to_binary(n // 2) + str(n % 2)
""",
                [
                    ("two is a digit", "n < 2", "n <= 2"),
                    ("zero is negative", "if n < 0", "if n <= 0"),
                    ("sign lost for one digit", "return sign + str(n)", "return str(n)"),
                    ("sign at every step", "sign + to_binary(n // 2)", "sign + to_binary(n // 2) + sign"),
                    ("digits backwards", "to_binary(n // 2) + str(n % 2)", "str(n % 2) + to_binary(n // 2)"),
                ],
            ),
        ],
        [
            ((0,), "0"),
            ((1,), "1"),
            ((2,), "10"),
            ((5,), "101"),
            ((6,), "110"),
            ((-1,), "-1"),
            ((-6,), "-110"),
            ((-9,), "-1001"),
            ((255,), "11111111"),
            ((64,), "1000000"),
        ],
    ),
    (
        "longest_rise(numbers)",
        (
            "Return the length of the longest stretch of a list in which every number is greater than the one before it. "
            "A single number is a stretch of length 1; the empty list gives 0."
        ),
        ("longest_rise([3, 1, 4, 9, 9])", "3"),
        [
            (
                """
def longest_rise(numbers):
    if not numbers:
        return 0
    best = length = 1
    for at in range(1, len(numbers)):
        if numbers[at] > numbers[at - 1]:
            length += 1
        else:
            length = 1
        best = max(best, length)
    return best
""",
                [
                    ("equal numbers rise", "numbers[at] > numbers[at - 1]", "numbers[at] >= numbers[at - 1]"),
                    ("stops at the first fall", "            length = 1\n", "            break\n"),
                    ("last stretch returned", "    return best", "    return length"),
                    ("last number missed", "range(1, len(numbers))", "range(1, len(numbers) - 1)"),
                    ("one for the empty list", "return 0", "return 1"),
                    ("starts again at zero", "            length = 1\n", "            length = 0\n"),
                ],
            ),
            (
                """
def longest_rise(numbers):
    best = length = 0
    before = None
    for item in numbers:
        length = length + 1 if before is not None and item > before else 1
        before = item
        if length > best:
            best = length
    return best
""",
                [
                    ("zero taken for nothing", "before is not None and", "before and"),
                    ("equal numbers rise", "item > before", "item >= before"),
                    ("falls", "item > before", "item < before"),
                    (
                        "first number is the measure",
                        "        before = item\n",
                        "        before = item if before is None else before\n",
                    ),
                    ("last stretch returned", "    return best", "    return length"),
                ],
            ),
        ],
        [
            (([],), 0),
            (([7],), 1),
            (([1, 2, 3],), 3),
            (([3, 1, 4, 9, 9],), 3),
            (([2, 2, 2],), 1),
            (([5, 4, 3],), 1),
            (([1, 2, 0, 1, 2, 3],), 4),
            (([1, 5, 6, 2, 3],), 3),
            (([-2, 0, 4],), 3),
            (([4, 1, 2, 2, 3, 8, 9],), 4),
        ],
    ),
    (
        "pairs_with_sum(numbers, target)",
        (
            "Return how many pairs of different places i < j there are for which numbers[i] + numbers[j] is `target`. The "
            "list must not be changed."
        ),
        ("pairs_with_sum([1, 3, 2, 2], 4)", "2"),
        [
            (
                """
def pairs_with_sum(numbers, target):
    total = 0
    for i in range(len(numbers)):
        for j in range(i + 1, len(numbers)):
            if numbers[i] + numbers[j] == target:
                total += 1
    return total
""",
                [
                    ("a place with itself", "range(i + 1, len(numbers))", "range(i, len(numbers))"),
                    ("at most the target", "== target", "<= target"),
                    ("last number missed", "range(i + 1, len(numbers))", "range(i + 1, len(numbers) - 1)"),
                    ("stops at one", "                total += 1", "                return 1"),
                    (
                        "neighbours only",
                        "range(i + 1, len(numbers))",
                        "range(i + 1, min(i + 2, len(numbers)))",
                    ),
                    ("counts places", "range(i + 1, len(numbers))", "range(len(numbers))"),
                ],
            ),
            (
                """
def pairs_with_sum(numbers, target):
    counts = {}
    total = 0
    for item in numbers:
        total += counts.get(target - item, 0)
        counts[item] = counts.get(item, 0) + 1
    return total
""",
                [
                    (
                        "a number with itself",
                        (
                            "        total += counts.get(target - item, 0)\n"
                            "        counts[item] = counts.get(item, 0) + 1\n"
                        ),
                        (
                            "        counts[item] = counts.get(item, 0) + 1\n"
                            "        total += counts.get(target - item, 0)\n"
                        ),
                    ),
                    ("repeats count once", "counts[item] = counts.get(item, 0) + 1", "counts[item] = 1"),
                    ("difference", "target - item", "target + item"),
                    ("default of one", "counts.get(target - item, 0)", "counts.get(target - item, 1)"),
                    ("each value once", "in numbers:", "in sorted(set(numbers)):"),
                ],
            ),
        ],
        [
            (([], 0), 0),
            (([2], 4), 0),
            (([1, 3], 4), 1),
            (([1, 3, 2, 2], 4), 2),
            (([2, 2, 2], 4), 3),
            (([1, 2, 3], 9), 0),
            (([5, 0, 5, 0], 5), 4),
            (([-1, 1, 0], 0), 1, True),
            (([4, 1, 6], 10), 1),
            (([8, 1, 2], 3), 1),
        ],
    ),
    (
        "snake_case(name)",
        (
            "Turn a name such as 'userName' into small letters with a '_' before every letter that was a capital, save at "
            "the start of the name. White space at the ends is taken off first."
        ),
        ("snake_case('userName')", "'user_name'"),
        [
            (
                """
def snake_case(name):
    out = ""
    for item in name.strip():
        if item.isupper() and out:
            out += "_"
        out += item.lower()
    return out
""",
                [
                    ("sign at the start too", " and out:", ":"),
                    ("capitals stay", "item.lower()", "item"),
                    ("white space stays", "name.strip()", "name"),
                    (
                        "capitals lost",
                        '            out += "_"\n        out',
                        '            out += "_"\n            continue\n        out',
                    ),
                    (
                        "first capital only",
                        "if item.isupper() and out:",
                        'if item.isupper() and out and "_" not in out:',
                    ),
                    ("dash for underscore", '"_"', '"-"'),
                ],
            ),
            (
                """
import re


def snake_case(name):
    name = name.strip()
    return re.sub(r"(?<!^)([A-Z])", r"_\\1", name).lower()
""",
                [
                    ("white space stays", "    name = name.strip()\n", ""),
                    ("capitals stay", ".lower()", ""),
                    ("sign at the start too", "(?<!^)", ""),
                    ("capitals in a row as one", "([A-Z])", "([A-Z]+)"),
                    ("sign after it", r"_\1", r"\1_"),
                ],
            ),
        ],
        [
            (("",), ""),
            (("user",), "user"),
            (("userName",), "user_name"),
            (("UserName",), "user_name"),
            ((" lastSeen ",), "last_seen"),
            (("aBC",), "a_b_c"),
            (("already_there",), "already_there"),
            (("X",), "x"),
            (("parseXMLNow",), "parse_x_m_l_now"),
            (("plain2",), "plain2"),
        ],
    ),
    (
        "postage(grams)",
        (
            "Return the price in cents of a letter: 95 up to and including 50 grams, 170 up to and including 500 grams, "
            "310 up to and including 1000 grams. For a heavier one, or a weight of 0 or less, return None."
        ),
        ("postage(50)", "95"),
        [
            (
                """
def postage(grams):
    if grams <= 0 or grams > 1000:
        return None
    if grams <= 50:
        return 95
    if grams <= 500:
        return 170
    return 310
""",
                [
                    ("50 is above", "grams <= 50:", "grams < 50:"),
                    ("500 is above", "grams <= 500:", "grams < 500:"),
                    ("1000 refused", "grams > 1000", "grams >= 1000"),
                    ("zero not refused", "grams <= 0 or", "grams < 0 or"),
                    ("zero for None", "return None", "return 0"),
                    ("no upper limit", " or grams > 1000", ""),
                ],
            ),
            (
                """
def postage(grams):
    if grams > 0:
        for limit, price in ((50, 95), (500, 170), (1000, 310)):
            if grams <= limit:
                return price
    return None
""",
                [
                    ("limits are above", "grams <= limit", "grams < limit"),
                    ("last band missed", "(500, 170), (1000, 310)", "(500, 170)"),
                    ("negative weights pass", "grams > 0", "grams != 0"),
                    ("highest price above", "return None", "return 310"),
                    (
                        "gives up after the first band",
                        "                return price\n",
                        "                return price\n            if grams > 400:\n                return None\n",
                    ),
                ],
            ),
        ],
        [
            ((1,), 95),
            ((50,), 95),
            ((51,), 170),
            ((500,), 170),
            ((501,), 310),
            ((1000,), 310),
            ((1001,), None),
            ((0,), None),
            ((-5,), None),
            ((300,), 170),
        ],
    ),
    (
        "diagonal_sum(rows)",
        (
            "Return the sum of the numbers on the two diagonals of a square table given as a list of rows. A number that "
            "stands on both diagonals counts once. An empty table gives 0."
        ),
        ("diagonal_sum([[1, 2, 3], [4, 5, 6], [7, 8, 9]])", "25"),
        [
            (
                """
def diagonal_sum(rows):
    size = len(rows)
    total = 0
    for i in range(size):
        total += rows[i][i]
        if i != size - 1 - i:
            total += rows[i][size - 1 - i]
    return total
""",
                [
                    (
                        "middle counts twice",
                        "        if i != size - 1 - i:\n            total",
                        "        total",
                    ),
                    (
                        "one diagonal",
                        "        if i != size - 1 - i:\n            total += rows[i][size - 1 - i]\n",
                        "",
                    ),
                    ("last row missed", "range(size)", "range(size - 1)"),
                    ("last row only", "total += rows[i][i]", "total = rows[i][i]"),
                    (
                        "middle left out",
                        "        total += rows[i][i]\n        if i != size - 1 - i:\n",
                        "        if i != size - 1 - i:\n            total += rows[i][i]\n",
                    ),
                ],
            ),
            (
                """
def diagonal_sum(rows):
    total = sum(row[i] + row[-1 - i] for i, row in enumerate(rows))
    if len(rows) % 2 == 1:
        middle = len(rows) // 2
        total -= rows[middle][middle]
    return total
""",
                [
                    ("wrong column", "row[-1 - i]", "row[-i]"),
                    ("even tables for odd ones", "len(rows) % 2 == 1", "len(rows) % 2 == 0 and rows"),
                    ("added once more", "total -= rows", "total += rows"),
                    (
                        "middle counts twice",
                        "        total -= rows[middle][middle]\n",
                        "        total -= 0\n",
                    ),
                    ("negative ones as positive", "row[i] + row[-1 - i]", "abs(row[i]) + row[-1 - i]"),
                ],
            ),
        ],
        [
            (([],), 0),
            (([[7]],), 7),
            (([[1, 2], [3, 4]],), 10),
            (([[1, 2, 3], [4, 5, 6], [7, 8, 9]],), 25),
            (([[1, 0], [0, 1]],), 2),
            (([[0, 2], [3, 0]],), 5),
            (([[0, 0, 0], [0, 0, 0], [0, 0, 0]],), 0),
            (([[1, 9, 1], [9, -2, 9], [1, 9, 1]],), 2),
            (([[0]],), 0),
            (([[1, 0, 0, 2], [0, 3, 4, 0], [0, 5, 6, 0], [7, 0, 0, 8]],), 36),
        ],
    ),
    (
        "without_places(items, places)",
        (
            "Return a new list of the items whose index is not in `places`. Indexes that are negative or beyond the end "
            "are ignored, and one may be given twice. Neither list may be changed."
        ),
        ("without_places(['a', 'b', 'c'], [1])", "['a', 'c']"),
        [
            (
                """
def without_places(items, places):
    out = []
    for at, item in enumerate(items):
        if at not in places:
            out.append(item)
    return out
""",
                [
                    ("counts from one", "enumerate(items)", "enumerate(items, 1)"),
                    ("the items named", "at not in places", "item not in places"),
                    ("those at the places", "at not in places", "at in places"),
                    (
                        "stops at the first place",
                        "            out.append(item)\n",
                        "            out.append(item)\n        else:\n            break\n",
                    ),
                    ("last item missed", "enumerate(items)", "enumerate(items[:-1])"),
                ],
            ),
            (
                """
def without_places(items, places):
    out = list(items)
    for at in sorted(set(places), reverse=True):
        if 0 <= at < len(items):
            del out[at]
    return out
""",
                [
                    ("from the front", "sorted(set(places), reverse=True)", "sorted(set(places))"),
                    ("twice removed", "sorted(set(places), reverse=True)", "sorted(places, reverse=True)"),
                    ("negative ones count", "0 <= at < len(items)", "-len(items) <= at < len(items)"),
                    ("place zero kept", "0 <= at", "0 < at"),
                    ("input changed", "out = list(items)", "out = items"),
                ],
            ),
        ],
        [
            (([], []), []),
            (([], [0]), []),
            ((["a", "b", "c"], [1]), ["a", "c"]),
            ((["a", "b"], []), ["a", "b"]),
            (([5, 6, 7, 8], [0, 2]), [6, 8]),
            (([5, 6, 7], [2, 0]), [6], True),
            (([5, 6, 7], [-1]), [5, 6, 7]),
            (([5, 6], [9]), [5, 6]),
            (([5, 6, 7, 8], [1, 1]), [5, 7, 8]),
            (([0, 1, 2], [0, 1, 2]), []),
        ],
    ),
    (
        "find_all(text, part)",
        (
            "Return the start indexes of all the places where `part` occurs in `text`, in rising order, overlapping ones "
            "included. Upper and lower case count as the same. An empty part gives an empty list."
        ),
        ("find_all('Banana', 'AN')", "[1, 3]"),
        [
            (
                """
def find_all(text, part):
    if not part:
        return []
    text, part = text.lower(), part.lower()
    out = []
    for at in range(len(text) - len(part) + 1):
        if text[at : at + len(part)] == part:
            out.append(at)
    return out
""",
                [
                    ("last place missed", "len(text) - len(part) + 1", "len(text) - len(part)"),
                    ("case counts", "    text, part = text.lower(), part.lower()\n", ""),
                    ("every place for nothing", "    if not part:\n        return []\n", ""),
                    ("first one only", "            out.append(at)", "            return [at]"),
                    ("case of the part counts", "text.lower(), part.lower()", "text.lower(), part"),
                    ("counts from one", "out.append(at)", "out.append(at + 1)"),
                ],
            ),
            (
                """
def find_all(text, part):
    out = []
    text, part = text.lower(), part.lower()
    at = text.find(part)
    while part and at >= 0:
        out.append(at)
        at = text.find(part, at + 1)
    return out
""",
                [
                    ("overlaps missed", "at + 1)", "at + len(part))"),
                    ("start missed", "at >= 0", "at > 0"),
                    ("case counts", "    text, part = text.lower(), part.lower()\n", ""),
                    ("falling order", "out.append(at)", "out.insert(0, at)"),
                    (
                        "one place too many",
                        "    return out",
                        "    return out + [at] if len(out) > 1 else out",
                    ),
                ],
            ),
        ],
        [
            (("", "a"), []),
            (("abc", ""), []),
            (("abc", "x"), []),
            (("abc", "a"), [0]),
            (("Banana", "AN"), [1, 3]),
            (("aaaa", "aa"), [0, 1, 2]),
            (("abcabc", "bc"), [1, 4]),
            (("ab", "abc"), []),
            (("Go go", "go"), [0, 3]),
            (("mississippi", "issi"), [1, 4]),
        ],
    ),
    (
        "interleave(a, b)",
        (
            "Return a new list with the items of two lists in turn, beginning with `a`. Where one list is longer, its "
            "further items follow at the end. Neither list may be changed."
        ),
        ("interleave([1, 2, 3], [9])", "[1, 9, 2, 3]"),
        [
            (
                """
def interleave(a, b):
    out = []
    for at in range(max(len(a), len(b))):
        if at < len(a):
            out.append(a[at])
        if at < len(b):
            out.append(b[at])
    return out
""",
                [
                    ("cut at the shorter", "max(len(a), len(b))", "min(len(a), len(b))"),
                    ("length of a only", "max(len(a), len(b))", "len(a)"),
                    (
                        "b first",
                        (
                            "        if at < len(a):\n            out.append(a[at])\n        if at < len(b):\n"
                            "            out.append(b[at])\n"
                        ),
                        (
                            "        if at < len(b):\n            out.append(b[at])\n"
                            "        if at < len(a):\n            out.append(a[at])\n"
                        ),
                    ),
                    ("a or b", "        if at < len(b)", "        elif at < len(b)"),
                    ("last of b missed", "if at < len(b)", "if at < len(b) - 1"),
                ],
            ),
            (
                """
def interleave(a, b):
    n = min(len(a), len(b))
    out = [item for pair in zip(a, b) for item in pair]
    return out + a[n:] + b[n:]
""",
                [
                    ("rest of b lost", "a[n:] + b[n:]", "a[n:]"),
                    ("one item lost", "a[n:]", "a[n + 1 :]"),
                    ("one item twice", "b[n:]", "b[max(n - 1, 0) :]"),
                    ("b first", "zip(a, b)", "zip(b, a)"),
                    ("rest lost", "return out + a[n:] + b[n:]", "return out"),
                ],
            ),
        ],
        [
            (([], []), []),
            (([1], []), [1]),
            (([], [2, 3]), [2, 3]),
            (([1, 2], [8, 9]), [1, 8, 2, 9]),
            (([1, 2, 3], [9]), [1, 9, 2, 3]),
            (([1], [7, 8, 9]), [1, 7, 8, 9]),
            (([0, None], [None, 0]), [0, None, None, 0]),
            ((["a"], ["b"]), ["a", "b"], True),
            (([5, 5], [5]), [5, 5, 5]),
            (([1, 2, 3, 4], [9, 9]), [1, 9, 2, 9, 3, 4]),
        ],
    ),
    (
        "coins_for(cents)",
        (
            "Pay an amount of cents with as few coins of 50, 20, 10, 5, 2 and 1 as possible and return them as a list, "
            "the largest first. For 0 the list is empty, for a negative amount the result is None."
        ),
        ("coins_for(45)", "[20, 20, 5]"),
        [
            (
                """
def coins_for(cents):
    if cents < 0:
        return None
    out = []
    for coin in (50, 20, 10, 5, 2, 1):
        while cents >= coin:
            out.append(coin)
            cents -= coin
    return out
""",
                [
                    ("exact coin refused", "cents >= coin", "cents > coin"),
                    ("zero refused", "cents < 0", "cents <= 0"),
                    ("each coin once", "while cents >= coin", "if cents >= coin"),
                    ("coin of 10 missing", "20, 10, 5", "20, 5"),
                    ("smallest first", "out.append(coin)", "out.insert(0, coin)"),
                    ("list for None", "return None", "return []"),
                ],
            ),
            (
                """
def coins_for(cents):
    if cents < 0:
        return None
    out = []
    for coin in (50, 20, 10, 5, 2, 1):
        out += [coin] * (cents // coin)
        cents %= coin
    return out
""",
                [
                    ("negative not refused", "    if cents < 0:\n        return None\n", ""),
                    ("last coin missing", "5, 2, 1)", "5, 2)"),
                    ("smaller coins first", "(50, 20, 10, 5, 2, 1)", "(50, 5, 20, 10, 2, 1)"),
                    ("each coin once", "[coin] * (cents // coin)", "[coin] * (cents >= coin)"),
                    (
                        "one tuple a coin",
                        "[coin] * (cents // coin)",
                        "[(coin, cents // coin)] * (cents >= coin)",
                    ),
                ],
            ),
        ],
        [
            ((0,), []),
            ((1,), [1]),
            ((4,), [2, 2]),
            ((10,), [10]),
            ((45,), [20, 20, 5]),
            ((99,), [50, 20, 20, 5, 2, 2]),
            ((-3,), None),
            ((50,), [50]),
            ((101,), [50, 50, 1]),
            ((18,), [10, 5, 2, 1]),
            ((-50,), None),
        ],
    ),
    (
        "fill_gaps(values)",
        (
            "Return a new list in which every None is replaced by the last value before it that is not None. A None "
            "before the first value stays None; 0 and '' are values. The list must not be changed."
        ),
        ("fill_gaps([None, 4, None, 0, None])", "[None, 4, 4, 0, 0]"),
        [
            (
                """
def fill_gaps(values):
    out = []
    last = None
    for item in values:
        if item is not None:
            last = item
        out.append(last)
    return out
""",
                [
                    ("false values are gaps", "if item is not None:", "if item:"),
                    ("starts at zero", "last = None", "last = 0"),
                    (
                        "leading gaps left out",
                        "        out.append(last)",
                        "        if last is not None:\n            out.append(last)",
                    ),
                    ("first value only", "if item is not None:", "if item is not None and last is None:"),
                    (
                        "gaps left out",
                        "            last = item\n        out.append(last)",
                        "            last = item\n            out.append(last)",
                    ),
                ],
            ),
            (
                """
def fill_gaps(values):
    out = list(values)
    for at in range(1, len(out)):
        if out[at] is None:
            out[at] = out[at - 1]
    return out
""",
                [
                    ("input changed", "out = list(values)", "out = values"),
                    ("false values are gaps", "out[at] is None", "not out[at]"),
                    ("first gap is filled from the end", "range(1, len(out))", "range(len(out))"),
                    ("last place missed", "range(1, len(out))", "range(1, len(out) - 1)"),
                    ("one gap only", "= out[at - 1]", "= values[at - 1]"),
                    ("filled with zero", "= out[at - 1]", "= 0"),
                ],
            ),
        ],
        [
            (([],), []),
            (([1, 2],), [1, 2]),
            (([None, 4, None, 0, None],), [None, 4, 4, 0, 0]),
            (([None],), [None]),
            (([None, None, 3],), [None, None, 3]),
            (([5, None, None],), [5, 5, 5]),
            (([7, 0, 2],), [7, 0, 2]),
            (([None, 8, None, 9],), [None, 8, 8, 9], True),
            ((["a", "", None],), ["a", "", ""]),
            (([3, None, None, 1],), [3, 3, 3, 1]),
        ],
    ),
    (
        "settings(defaults, given)",
        (
            "Return a new dictionary with the values of `defaults`, replaced by those of `given` where they are not None. "
            "Names that only `given` has are left out. Values such as 0, False and '' replace too. Neither dictionary may "
            "be changed."
        ),
        ("settings({'a': 1, 'b': 2}, {'a': 0, 'b': None, 'c': 3})", "{'a': 0, 'b': 2}"),
        [
            (
                """
def settings(defaults, given):
    out = dict(defaults)
    for name, value in given.items():
        if name in defaults and value is not None:
            out[name] = value
    return out
""",
                [
                    ("input changed", "out = dict(defaults)", "out = defaults"),
                    ("further names taken", "name in defaults and ", ""),
                    ("false values do not count", "value is not None", "value"),
                    ("None replaces", " and value is not None", ""),
                    ("replaced ones only", "out = dict(defaults)", "out = {}"),
                    (
                        "stops at None",
                        "            out[name] = value\n",
                        "            out[name] = value\n        else:\n            break\n",
                    ),
                ],
            ),
            (
                """
def settings(defaults, given):
    out = {}
    for name, value in defaults.items():
        wanted = given.get(name)
        out[name] = value if wanted is None else wanted
    return out
""",
                [
                    ("false values do not count", "value if wanted is None else wanted", "wanted or value"),
                    ("None replaces", "given.get(name)", "given.get(name, value)\n        value = wanted"),
                    (
                        "defaults win",
                        "value if wanted is None else wanted",
                        "wanted if value is None else value",
                    ),
                    (
                        "defaults lost",
                        "        out[name] = value if wanted is None else wanted",
                        "        if wanted is not None:\n            out[name] = wanted",
                    ),
                    ("given used up", "given.get(name)", "given.pop(name, None)"),
                ],
            ),
        ],
        [
            (({}, {}), {}),
            (({"a": 1}, {}), {"a": 1}),
            (({}, {"a": 1}), {}),
            (({"a": 1}, {"a": 2}), {"a": 2}),
            (({"a": 1, "b": 2}, {"a": 0, "b": None, "c": 3}), {"a": 0, "b": 2}),
            (({"a": True}, {"a": False}), {"a": False}),
            (({"k": "x"}, {"k": ""}), {"k": ""}),
            (({"k": None}, {"k": 5}), {"k": 5}),
            (({"a": 1, "b": 2}, {"b": 3}), {"a": 1, "b": 3}, True),
            (({"a": 1, "b": 2}, {"a": None, "b": 7}), {"a": 1, "b": 7}),
        ],
    ),
    (
        "differences(a, b)",
        (
            "Return at how many places two texts differ, upper and lower case being the same. Each character by which one "
            "text is longer than the other counts as a difference."
        ),
        ("differences('Cart', 'cat')", "2"),
        [
            (
                """
def differences(a, b):
    total = abs(len(a) - len(b))
    for left, right in zip(a.lower(), b.lower()):
        if left != right:
            total += 1
    return total
""",
                [
                    ("length ignored", "abs(len(a) - len(b))", "0"),
                    ("longer b lowers the count", "abs(len(a) - len(b))", "len(a) - len(b)"),
                    ("case counts", "zip(a.lower(), b.lower())", "zip(a, b)"),
                    ("case of b counts", "b.lower()", "b"),
                    ("equal ones counted", "left != right", "left == right"),
                    (
                        "stops at the first",
                        "            total += 1\n",
                        "            total += 1\n            break\n",
                    ),
                ],
            ),
            (
                """
def differences(a, b):
    a, b = a.lower(), b.lower()
    n = max(len(a), len(b))
    return sum(a[at : at + 1] != b[at : at + 1] for at in range(n))
""",
                [
                    ("length ignored", "max(len(a), len(b))", "min(len(a), len(b))"),
                    ("length of a", "max(len(a), len(b))", "len(a)"),
                    ("last place missed", "range(n)", "range(n - 1)"),
                    ("first place missed", "range(n)", "range(1, n)"),
                    ("case counts", "    a, b = a.lower(), b.lower()\n", ""),
                    ("one for many", "return sum(", "return 0 + any("),
                ],
            ),
        ],
        [
            (("", ""), 0),
            (("a", ""), 1),
            (("", "ab"), 2),
            (("Cart", "cat"), 2),
            (("same", "same"), 0),
            (("abc", "ABC"), 0),
            (("abc", "xbc"), 1),
            (("abc", "abd"), 1),
            (("house", "mouse trap"), 6),
            (("ab", "ba"), 2),
        ],
    ),
    (
        "from_base(text, base)",
        (
            "Return the value of a text of digits in a base from 2 to 16; the letters a to f stand for 10 to 15, in upper "
            "or lower case. White space at the ends does not count. For an empty text, or one with any other character "
            "than the base's digits, return None."
        ),
        ("from_base('fF', 16)", "255"),
        [
            (
                """
def from_base(text, base):
    text = text.strip().lower()
    if not text:
        return None
    total = 0
    for item in text:
        value = "0123456789abcdef".find(item)
        if value < 0 or value >= base:
            return None
        total = total * base + value
    return total
""",
                [
                    ("digits beyond the base", " or value >= base", ""),
                    ("base is a digit", "value >= base", "value > base"),
                    ("white space refused", "text.strip().lower()", "text.lower()"),
                    ("capitals refused", "text.strip().lower()", "text.strip()"),
                    ("zero for nothing", "    if not text:\n        return None\n", ""),
                    ("always base ten", "total * base", "total * 10"),
                ],
            ),
            (
                """
def from_base(text, base):
    digits = "0123456789abcdef"[:base]
    total = 0
    place = 1
    for item in reversed(text.strip().lower()):
        if item not in digits:
            return None
        total += digits.index(item) * place
        place *= base
    return total if text.strip() else None
""",
                [
                    ("last digit refused", '"[:base]', '"[: base - 1]'),
                    ("read from the left", "reversed(text.strip().lower())", "text.strip().lower()"),
                    ("zero for nothing", "    return total if text.strip() else None", "    return total"),
                    ("zero is nothing", "total if text.strip() else", "total if total else"),
                    ("stops at a wrong digit", "            return None", "            break"),
                    ("other characters passed over", "            return None", "            continue"),
                ],
            ),
        ],
        [
            (("0", 2), 0),
            (("101", 2), 5),
            (("fF", 16), 255),
            (("", 10), None),
            (("12", 2), None),
            ((" 70 ", 8), 56),
            (("12a", 10), None),
            (("1f", 16), 31),
            (("  ", 5), None),
            (("-1", 10), None),
            (("444", 5), 124),
        ],
    ),
    (
        "count_between(numbers, low, high)",
        (
            "Return how many numbers of a list are at least `low` and below `high`. Entries that are None are passed "
            "over; 0 is a number."
        ),
        ("count_between([1, 2, None, 5], 1, 5)", "2"),
        [
            (
                """
def count_between(numbers, low, high):
    total = 0
    for item in numbers:
        if item is None:
            continue
        if low <= item < high:
            total += 1
    return total
""",
                [
                    ("lower limit left out", "low <= item", "low < item"),
                    ("upper limit counts", "item < high", "item <= high"),
                    ("zero passed over", "if item is None", "if not item"),
                    ("stops at None", "            continue", "            break"),
                    ("adds them up", "total += 1", "total += item"),
                    ("fails at None", "        if item is None:\n            continue\n", ""),
                ],
            ),
            (
                """
def count_between(numbers, low, high):
    kept = [item for item in numbers if item is not None]
    return sum(1 for item in kept if item >= low and item < high)
""",
                [
                    ("upper limit counts", "item < high", "item <= high"),
                    ("lower limit left out", "item >= low", "item > low"),
                    ("one limit is enough", "item >= low and", "item >= low or"),
                    ("zero passed over", "if item is not None", "if item"),
                    ("each number once", "for item in kept if", "for item in set(kept) if"),
                ],
            ),
        ],
        [
            (([], 0, 9), 0),
            (([1, 2, None, 5], 1, 5), 2),
            (([0, 3], -1, 4), 2),
            (([4, 4, 4], 4, 5), 3),
            (([4], 1, 4), 0),
            (([-3, -1, 0], -3, 0), 2),
            (([7, 8], 0, 5), 0),
            (([None, 2], 0, 5), 1),
            (([2, 3, 9], 2, 9), 2),
            (([6], 5, 8), 1),
        ],
    ),
    (
        "initials(name)",
        (
            "Return the first letter of every part of a name as a capital with a '.' after each. Parts are separated by "
            "white space or dashes. A name without parts gives ''."
        ),
        ("initials('ada king-noel')", "'A.K.N.'"),
        [
            (
                """
def initials(name):
    out = ""
    for item in name.replace("-", " ").split():
        out += item[0].upper() + "."
    return out
""",
                [
                    ("dashes do not part", 'name.replace("-", " ")', "name"),
                    ("case stays", "item[0].upper()", "item[0]"),
                    (
                        "first one only",
                        '        out += item[0].upper() + "."\n',
                        '        return item[0].upper() + "."\n',
                    ),
                    ("single spaces only", '.replace("-", " ").split()', '.replace("-", " ").split(" ")'),
                    ("last letters", "item[0]", "item[-1]"),
                    ("last part missed", ".split()", ".split()[:-1]"),
                ],
            ),
            (
                """
def initials(name):
    out = []
    before = " "
    for item in name:
        if before in " -" and item not in " -":
            out.append(item.upper() + ".")
        before = item
    return "".join(out)
""",
                [
                    ("first part missed", 'before = " "\n', 'before = ""\n    before = name[:1]\n'),
                    ("dashes do not part", 'before in " -"', 'before == " "'),
                    ("spaces between", '"".join(out)', '" ".join(out)'),
                    ("case stays", "item.upper()", "item"),
                    ("separators count", ' and item not in " -"', ""),
                    (
                        "first one only",
                        '            out.append(item.upper() + ".")',
                        '            return item.upper() + "."',
                    ),
                ],
            ),
        ],
        [
            (("",), ""),
            (("Bob",), "B."),
            (("ada king-noel",), "A.K.N."),
            (("Grace Hopper",), "G.H."),
            (("  alan  turing ",), "A.T."),
            (("-",), ""),
            (("Jean-Luc",), "J.L."),
            (("X Y Z",), "X.Y.Z."),
            (("li",), "L."),
            (("Otto",), "O."),
        ],
    ),
    (
        "withdraw(balance, amounts)",
        (
            "Take amounts from a balance, one after the other, and return what is left. An amount that is larger than "
            "what is left at that point, or not above zero, is passed over; one that takes everything is allowed. The "
            "list must not be changed."
        ),
        ("withdraw(100, [30, 80, -5, 70])", "0"),
        [
            (
                """
def withdraw(balance, amounts):
    for item in amounts:
        if item <= 0 or item > balance:
            continue
        balance -= item
    return balance
""",
                [
                    ("taking everything refused", "item > balance", "item >= balance"),
                    ("negative amounts taken", "item <= 0 or ", ""),
                    ("stops at a refused one", "            continue", "            break"),
                    ("too large ones taken", " or item > balance", ""),
                    ("all or nothing", "            continue", "            return balance"),
                    ("last one missed", "in amounts:", "in amounts[:-1]:"),
                ],
            ),
            (
                """
def withdraw(balance, amounts):
    left = balance
    for item in amounts:
        if 0 < item <= left:
            left = left - item
    return left
""",
                [
                    ("measured at the first balance", "item <= left", "item <= balance"),
                    ("taking everything refused", "item <= left", "item < left"),
                    ("negative amounts taken", "0 < item <=", "item <="),
                    ("smallest first", "in amounts:", "in sorted(amounts):"),
                    (
                        "returned after the first",
                        "            left = left - item\n",
                        "            return left - item\n",
                    ),
                    (
                        "as much as there is",
                        "        if 0 < item <= left:\n            left = left - item\n",
                        "        if item > 0:\n            left = max(left - item, 0)\n",
                    ),
                ],
            ),
        ],
        [
            ((10, []), 10),
            ((100, [30, 80, -5, 70]), 0),
            ((50, [20, 20]), 10),
            ((5, [5]), 0),
            ((5, [6]), 5),
            ((20, [0, -4, 3]), 17),
            ((0, [1]), 0),
            ((40, [50, 15]), 25),
            ((9, [8, 4, 1]), 0),
            ((30, [25, 10, 2]), 3),
        ],
    ),
)
