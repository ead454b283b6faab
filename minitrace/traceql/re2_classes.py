"""RE2's sets of characters, written for the module ``regex``.

A set is ranges of code points wherever RE2 defines it so: `\\d`, `\\s`, `\\w` and `[[:alpha:]]` are
ASCII there. Unicode properties stay names. Case is folded here, by listing every case of a
character, because ``(?i)`` of ``regex`` also takes `ı` and `İ` for `i`, and RE2 does not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache

Ranges = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
ANY: Ranges = ((0, LAST),)
ANYTHING = "(?s:.)"
NOTHING = "(?!)"
SURROGATES = (0xD800, 0xDFFF)


def _ascii(*spans: str) -> Ranges:
    """``_ascii("09", "_")``: each span is the first and the last character, or the only one."""
    return tuple((ord(span[0]), ord(span[-1])) for span in spans)


PERL: dict[str, Ranges] = {"d": _ascii("09"), "s": _ascii("\t\n", "\f\r", " "), "w": _ascii("09", "AZ", "_", "az")}
POSIX: dict[str, Ranges] = {
    "alnum": _ascii("09", "AZ", "az"),
    "alpha": _ascii("AZ", "az"),
    "ascii": _ascii("\0\x7f"),
    "blank": _ascii("\t", " "),
    "cntrl": _ascii("\0\x1f", "\x7f"),
    "digit": _ascii("09"),
    "graph": _ascii("!~"),
    "lower": _ascii("az"),
    "print": _ascii(" ~"),
    "punct": _ascii("!/", ":@", "[`", "{~"),
    "space": _ascii("\t\r", " "),
    "upper": _ascii("AZ"),
    "word": _ascii("09", "AZ", "_", "az"),
    "xdigit": _ascii("09", "AF", "af"),
}
_CATEGORIES = "C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs"
# Of Unicode 15: what came later is unknown to the oldest engines we run on.
_SCRIPTS = """
    Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki
    Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee
    Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra
    Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati
    Gunjala_Gondi Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited
    Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi
    Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian
    Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui
    Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nag_Mundari
    Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic
    Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage
    Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan
    Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri
    Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan
    Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square
"""
CATEGORIES = frozenset(_CATEGORIES.split())
SCRIPTS = frozenset(_SCRIPTS.split())


def known_property(name: str) -> bool:
    """Whether RE2 takes ``\\p{name}``: a category, a script or Any, spelled exactly so."""
    return name == "Any" or name in CATEGORIES or name in SCRIPTS


def escaped(point: int) -> str:
    """A character as it may stand anywhere in a pattern of ``regex``."""
    if point < 0x80:
        return chr(point) if chr(point).isalnum() else f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same characters in order, with no two ranges touching."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Every character that is in none of the ranges."""
    rest, start = [], 0
    for low, high in merged(ranges):
        if start < low:
            rest.append((start, low - 1))
        start = high + 1
    return (*rest, (start, LAST)) if start <= LAST else tuple(rest)


@lru_cache(maxsize=1)
def _cases() -> dict[int, frozenset[int]]:
    """Every character that has cases, in order, with all of them: K, k and the Kelvin sign.

    Unicode's simple case folding. Python's tables give it, but for the two Turkish i.
    Takes 30 ms, once.
    """
    found: dict[int, frozenset[int]] = {}
    for char in map(chr, range(0x1F000)):  # above it are no letters with cases
        forms = {char.lower(), char.upper(), char.casefold()}
        if forms != {char} and char not in "İı":
            forms = {form for form in forms if len(form) == 1} | {char}
            together = frozenset(map(ord, forms)).union(*(found.get(ord(form), ()) for form in forms))
            found.update(dict.fromkeys(together, together))
    return {point: cases for point, cases in sorted(found.items()) if len(cases) > 1}


@lru_cache(maxsize=1)
def _with_cases() -> list[int]:
    return list(_cases())


def folded(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The ranges with every case of their characters."""
    taken, points, cases = tuple(ranges), _with_cases(), _cases()
    inside = (point for low, high in taken for point in points[bisect_left(points, low) : bisect_right(points, high)])
    return merged((*taken, *((case, case) for point in inside for case in cases[point])))


def _named(name: str) -> str:
    """``\\p{Lu}`` as ``regex`` spells it; C is without the characters nobody has assigned yet, as in RE2."""
    if name == "C":
        return "".join(map(_named, ("Cc", "Cf", "Co", "Cs")))
    return rf"\p{{gc={name}}}" if name in CATEGORIES else rf"\p{{sc={name}}}"


@lru_cache(maxsize=256)
def _other_cases(name: str) -> Ranges:
    """The cases of all characters with a property: of Lu those of Ll that have an upper case."""
    text = "".join(map(chr, _with_cases()))
    import regex  # here, for the sake of those who never ask: 20 ms

    return folded((ord(char), ord(char)) for char in regex.findall(f"[{_named(name)}]", text))


def _between(ranges: Ranges) -> str:
    return "".join(escaped(low) if low == high else f"{escaped(low)}-{escaped(high)}" for low, high in ranges)


class CharacterSet:
    """What stands between brackets, or one class such as ``\\d``; filled item by item."""

    def __init__(self, fold: bool) -> None:
        """An empty set; with ``fold``, every item comes with all its cases."""
        self._fold = fold
        self._ranges: list[tuple[int, int]] = []
        self._properties = ""
        self._negated_properties: list[str] = []

    def add(self, ranges: Ranges, negated: bool = False) -> None:
        """Add ranges, or all but them."""
        whole = folded(ranges) if self._fold else ranges
        self._ranges += complement(whole) if negated else whole

    def add_property(self, name: str, negated: bool) -> None:
        """Add the characters of a Unicode property, or all others."""
        if name == "Any":
            return self.add(ANY, negated)
        cases = _other_cases(name) if self._fold else ()
        if negated:
            self._negated_properties.append(f"[^{_named(name)}{_between(cases)}]")
        else:
            self._properties += _named(name)
            self._ranges += cases
        return None

    def only(self) -> int | None:
        """The one character of a set of one: people write ``[.]`` for a dot."""
        ranges = merged(self._ranges)
        if self._properties or self._negated_properties or len(ranges) != 1 or ranges[0][0] != ranges[0][1]:
            return None
        return ranges[0][0]

    def source(self, negated: bool = False) -> str:
        """The set, or its opposite, for ``regex``: something a quantifier may follow."""
        if self._negated_properties:
            return self._alternation(negated)
        ranges = complement(self._ranges) if negated and not self._properties else merged(self._ranges)
        if not self._properties:
            return _plain(ranges)
        return f"[{'^' * negated}{_between(ranges)}{self._properties}]"

    def _alternation(self, negated: bool) -> str:
        ranges = merged(self._ranges)
        first = [f"[{_between(ranges)}{self._properties}]"] if ranges or self._properties else []
        either = "|".join([*first, *self._negated_properties])
        return f"(?:(?!{either}){ANYTHING})" if negated else f"(?:{either})"


def _plain(ranges: Ranges) -> str:
    if not ranges:
        return NOTHING
    return ANYTHING if ranges == ANY else f"[{_between(ranges)}]"
