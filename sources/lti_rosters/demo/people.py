"""Invented people for the demo, in many scripts; any likeness is chance."""

import hashlib
from dataclasses import dataclass
from random import Random

# Given names and family names that go together; whether the family name comes first, and what joins the two.
NAMES: tuple[tuple[tuple[str, ...], tuple[str, ...], bool, str], ...] = (
    (("Ada", "Tom", "Olive", "Ruth", "Noah", "Ivy"), ("Larkspur", "O'Quill", "Fenwick-Rowe"), False, " "),
    (("Zoë", "Jürgen", "Anaïs", "Søren"), ("Müßig", "Lefèvre", "Åkerlund"), False, " "),
    (("Łucja", "Šimon", "Gökçe", "Ștefan"), ("Wróblik", "Dvořáček", "Yıldızcı"), False, " "),
    (("Itziar", "Iñaki", "Conceição"), ("Peñalosa Ibarra", "Gonçalves", "d'Àvila"), False, " "),
    (("Linh", "Đức", "Ngọc Ánh"), ("Nguyễn", "Đặng", "Phượng"), True, " "),
    (("Алёна", "Мирослав", "Юлія"), ("Берёзкин", "Ковальчук", "Щукин"), False, " "),
    (("Ελένη", "Νίκος", "Ιφιγένεια"), ("Θαλασσινού", "Ψαρράς"), False, " "),
    (("ليلى", "عمر", "نور"), ("النجار", "بن حداد", "المصري"), False, " "),
    (("נועה", "איתן"), ("בר-לב", "שקד"), False, " "),
    (("आरव", "प्रिया", "मीरा"), ("शर्मा", "गुप्ता"), False, " "),
    (("অনন্যা", "রাহুল"), ("চৌধুরী", "সেন"), False, " "),
    (("கவின்", "யாழினி"), ("செல்வன்", "முத்து"), False, " "),
    (("思远", "雨桐", "𠮷"), ("欧阳", "林", "陈"), True, ""),
    (("さくら", "健太", "ひなた"), ("藤原", "小鳥遊"), True, " "),
    (("서연", "민준", "하윤"), ("김", "황보"), True, ""),
    (("สมหญิง", "ธนา"), ("ใจดี", "รุ่งเรือง"), False, " "),
    (("ნინო", "გიორგი"), ("ბერიძე", "კალანდაძე"), False, " "),
    (("ሰላም", "ዳዊት"), ("በቀለ", "ተስፋዬ"), False, " "),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody invented; *number* is unique on a platform."""

    number: int
    given: str
    family: str
    name: str


def invented(random: Random, numbers: range) -> list[Person]:
    """One person for each of *numbers*."""
    return [_person(random, number) for number in numbers]


def opaque(*parts: object) -> str:
    """A stable identifier of 40 hex digits, as platforms make them."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:40]


def _person(random: Random, number: int) -> Person:
    givens, families, family_first, joint = random.choice(NAMES)
    given, family = random.choice(givens), random.choice(families)
    order = (family, given) if family_first else (given, family)
    return Person(number, given, family, joint.join(order))
