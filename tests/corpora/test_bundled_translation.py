"""The bundled parallel corpus: reproducible, grammatical, and out of reach of memory."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "corpora" / "translation"
SIZES = {"train": 12000, "validation": 600, "test": 1000}
SIDES = ("en", "de")

# What meets in the sentences, drawn again; one line a sentence.
DRAW = """
import json, sys
sys.path.insert(0, sys.argv[1])
import english
from combinations import combinations, split_of
from make_stories import SEED
from stories import Stories
wanted, stories = set(json.load(sys.stdin)), Stories(SEED)
while wanted:
    meaning = stories.sentence()
    text = english.sentence(meaning)
    if text in wanted:
        wanted.remove(text)
        met = [(k, c, split_of(k, c)) for k, cs in combinations(meaning).items() for c in cs]
        print(json.dumps([text, met]))
"""


@cache
def read(split: str, side: str) -> list[str]:
    return (FOLDER / f"{split}.{side}").read_text(encoding="utf-8").removesuffix("\n").split("\n")


@cache
def everything(side: str) -> list[str]:
    return [text for split in SIZES for text in read(split, side)]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(script), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts, and what they write beside them."""
    folder = tmp_path_factory.mktemp("translation")
    for file in FOLDER.glob("*.py"):
        shutil.copy(file, folder)
    done = run(folder / "make_stories.py", "--counts")
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "counts").write_text(done.stdout, encoding="utf-8")
    return folder


def test_the_files_are_what_the_script_writes(copy: Path) -> None:
    for split in SIZES:
        for side in SIDES:
            file = f"{split}.{side}"
            assert (copy / file).read_bytes() == (FOLDER / file).read_bytes()
    counts = (copy / "counts").read_text(encoding="utf-8")
    assert counts in (FOLDER / "card.md").read_text(encoding="utf-8")
    assert not list(copy.glob("*.tmp"))


def test_the_check_names_a_changed_and_a_missing_file(copy: Path) -> None:
    changed, missing = copy / "train.en", copy / "test.de"
    missing.unlink()
    changed.write_bytes(changed.read_bytes().replace(b"Anna", b"Anne", 1))
    done = run(copy / "make_stories.py", "--check")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{changed}: differs from what the script writes; run `python make_stories.py`",
        f"{missing}: is missing; run `python make_stories.py`",
    ]
    assert not missing.exists()


def test_sizes_and_lengths() -> None:
    for split, size in SIZES.items():
        for side in SIDES:
            assert len(read(split, side)) == size
            assert all(4 <= len(text.split()) <= 16 for text in read(split, side))


@pytest.mark.parametrize("side", SIDES)
def test_no_sentence_occurs_twice_and_no_word_is_new(side: str) -> None:
    texts = [text.lower() for text in everything(side)]
    assert len(set(texts)) == len(texts) == sum(SIZES.values())
    known = {word for text in read("train", side) for word in words_of(text)}
    for split in ("validation", "test"):
        assert {word for text in read(split, side) for word in words_of(text)} <= known


def test_every_sentence_of_test_and_validation_has_what_train_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", DRAW, str(FOLDER)],
        input=json.dumps(everything("en")), capture_output=True, text=True, check=True,
    )  # fmt: skip
    met = dict(map(json.loads, done.stdout.splitlines()))
    trained = {(kind, each) for text in read("train", "en") for kind, each, _ in met[text]}
    for split in ("validation", "test"):
        for text in read(split, "en"):
            held_out = {(kind, each) for kind, each, where in met[text] if where == split}
            assert held_out
            assert not held_out & trained
            assert {where for _, _, where in met[text]} <= {"train", split}
            for kind, each in held_out:
                for part in each.split(" + "):
                    # Each part is known from other combinations.
                    others = [c for k, c in trained if k == kind and part in c.split(" + ")]
                    assert others, (kind, each, part)


def test_memory_fails() -> None:
    import sacrebleu

    sys.path.insert(0, str(FOLDER))
    try:
        import nearest  # type: ignore[import-not-found, unused-ignore]
    finally:
        sys.path.remove(str(FOLDER))
    for source, target in (SIDES, SIDES[::-1]):
        found = nearest.answer("test", source, target, "words and pairs of words")
        assert 10 < sacrebleu.corpus_bleu(found, [read("test", target)]).score < 25


def test_the_examples_of_the_card_are_in_the_files() -> None:
    pairs = set(zip(everything("en"), everything("de"), strict=True))
    table = (FOLDER / "card.md").read_text(encoding="utf-8").partition("| English | German |")[2]
    rows = re.findall(r"^\| [^|]+ \| (.+) \| (.+) \|$", table.partition("Conventions")[0], re.M)
    assert len(rows) > 10
    assert set(rows) <= pairs


# The grammar again, from its tables (Duden), apart from the code that wrote the sentences.

NOUNS = """
der Mann/Männer die Frau/Frauen der Junge/Jungen das Mädchen/Mädchen das Kind/Kinder
der Lehrer/Lehrer der Arzt/Ärzte die Krankenschwester/Krankenschwestern der Nachbar/Nachbarn
der Bauer/Bauern der Bäcker/Bäcker der Gast/Gäste der Student/Studenten die Königin/Königinnen
die Schauspielerin/Schauspielerinnen die Mutter/Mütter der Vater/Väter die Schwester/Schwestern
der Bruder/Brüder die Tochter/Töchter der Sohn/Söhne die Tante/Tanten der Onkel/Onkel
der Freund/Freunde der Hund/Hunde die Katze/Katzen das Pferd/Pferde der Vogel/Vögel die Kuh/Kühe
das Huhn/Hühner der Mantel/Mäntel der Hut/Hüte das Kleid/Kleider das Hemd/Hemden die Jacke/Jacken
der Schal/Schals der Rock/Röcke die Bluse/Blusen der Apfel/Äpfel die Birne/Birnen
der Kuchen/Kuchen das Ei/Eier die Tomate/Tomaten die Karotte/Karotten die Wurst/Würste
das Buch/Bücher der Brief/Briefe die Zeitung/Zeitungen die Geschichte/Geschichten das Lied/Lieder
das Bild/Bilder der Schlüssel/Schlüssel der Ring/Ringe die Uhr/Uhren
der Regenschirm/Regenschirme der Ball/Bälle das Geschenk/Geschenke das Messer/Messer
der Löffel/Löffel die Gabel/Gabeln die Tasse/Tassen der Teller/Teller das Glas/Gläser
die Flasche/Flaschen die Vase/Vasen die Lampe/Lampen das Radio/Radios der Computer/Computer
der Koffer/Koffer die Tasche/Taschen der Stuhl/Stühle der Tisch/Tische das Fahrrad/Fahrräder
das Auto/Autos das Boot/Boote die Tür/Türen das Fenster/Fenster die Blume/Blumen die Rose/Rosen
die Küche/Küchen das Zimmer/Zimmer der Garten/Gärten das Haus/Häuser der Wald/Wälder
das Büro/Büros die Stadt/Städte der Park/Parks die Kirche/Kirchen das Museum/Museen
die Bibliothek/Bibliotheken das Hotel/Hotels der Markt/Märkte der Bahnhof/Bahnhöfe
die Brücke/Brücken der Fluss/Flüsse das Bett/Betten die Bank/Bänke die Kiste/Kisten
der Korb/Körbe der Schrank/Schränke
"""
WEAK = {"Junge": "Jungen", "Nachbar": "Nachbarn", "Bauer": "Bauern", "Student": "Studenten"}
NOT_NOUNS = {"Tag", "Woche", "Sommer", "Morgen"}
CASES = ("nom", "acc", "dat")
STRONG = {"m": ("er", "en", "em"), "f": ("e", "e", "er"), "n": ("es", "es", "em"),
          "p": ("e", "e", "en")}  # fmt: skip
WEAKLY = {"m": ("e", "en", "en"), "f": ("e", "e", "en"), "n": ("e", "e", "en"),
          "p": ("en", "en", "en")}  # fmt: skip
MIXED = {"m": ("er", "en", "en"), "f": ("e", "e", "en"), "n": ("es", "es", "en"),
         "p": ("en", "en", "en")}  # fmt: skip
DER = {"m": ("der", "den", "dem"), "f": ("die", "die", "der"), "n": ("das", "das", "dem"),
       "p": ("die", "die", "den")}  # fmt: skip
EIN = {"m": ("", "en", "em"), "f": ("e", "e", "er"), "n": ("", "", "em"), "p": ("e", "e", "en")}
CONTRACTED = {"im": "dem", "am": "dem", "zum": "dem", "vom": "dem", "zur": "der", "ins": "das"}
STEMS = (
    "alt|jung|groß|klein|neu|rot|blau|grün|gelb|weiß|schwarz|braun|teur|billig|schön|schwer|schmutzig|"
    "sauber|frisch|süß|freundlich|klug|mutig|stark|berühmt|müd|hungrig|traurig|glücklich|krank|lang|kurz"
)

Place = tuple[str, str]
"""A gender (p is the plural) and a case."""


def tables() -> tuple[dict[str, set[Place]], dict[str, dict[Place, str]]]:
    """Where the forms of nouns and of articles may stand, the latter with the adjective's ending."""
    nouns: dict[str, set[Place]] = {}
    for entry in NOUNS.split("\n"):
        for article, singular, plural in re.findall(r"(d\w\w) (\w+)/(\w+)", entry):
            gender = {"der": "m", "die": "f", "das": "n"}[article]
            for case in CASES:
                form = singular if case == "nom" else WEAK.get(singular, singular)
                nouns.setdefault(form, set()).add((gender, case))
                dative = plural if case != "dat" or plural[-1] in "ns" else plural + "n"
                nouns.setdefault(dative, set()).add(("p", case))
    articles: dict[str, dict[Place, str]] = {}
    for gender, forms in DER.items():
        for number, case in enumerate(CASES):
            place = (gender, case)
            for form in (forms[number], f"dies{STRONG[gender][number]}"):
                articles.setdefault(form, {})[place] = WEAKLY[gender][number]
            for stem in ("ein", "kein", "mein", "dein", "sein", "ihr", "unser"):
                if stem != "ein" or gender != "p":
                    form = stem + EIN[gender][number]
                    articles.setdefault(form, {})[place] = MIXED[gender][number]
            for form in ("", "zwei", "drei"):
                if gender == "p":
                    articles.setdefault(form, {})[place] = STRONG[gender][number]
    return nouns, articles


def test_articles_adjectives_and_nouns_agree() -> None:
    nouns, articles = tables()
    seen: Counter[str] = Counter()
    for text in everything("de"):
        words = re.findall(r"\w+|,", text)
        for number, word in enumerate(words):
            if word not in nouns or not number:
                continue
            before = ["", "", *words[:number]]
            previous = before[-1].lower() if number == 1 else before[-1]
            adjective = re.fullmatch(f"({STEMS})(e|en|er|es|em)", previous)
            comma, article = before[-3:-1] if adjective else before[-2:]
            article = CONTRACTED.get(article.lower(), article.lower())
            tried = [articles.get(article, articles[""])]
            if comma == "," or article == "ihr":
                # A relative or a personal pronoun; the noun has no article.
                tried.append(articles[""])
            assert any(
                adjective is None or options[place] == adjective[2]
                for options in tried
                for place in nouns[word] & set(options)
            ), (text, word)
            seen[word] += 1
    assert sum(seen.values()) > 20_000
    capitals = {
        word for text in everything("de") for word in words_of(text)[1:] if word[0].isupper()
    }
    names = {"Peter", "Paul", "Max", "Jonas", "Tom", "Felix", "Anna", "Maria", "Lena", "Clara", "Emma",
             "Julia"}  # fmt: skip
    assert capitals - set(nouns) - NOT_NOUNS == names


AUXILIARIES = {
    "ich": "habe bin werde kann muss will darf sollte möchte war konnte musste wollte durfte",
    "du": "hast bist wirst kannst musst willst darfst solltest möchtest warst konntest musstest "
    "wolltest durftest",
    "er": "hat ist wird kann muss will darf sollte möchte war konnte musste wollte durfte",
    "wir": "haben sind werden können müssen wollen dürfen sollten möchten waren konnten mussten "
    "wollten durften",
}
FINITE = {form for forms in AUXILIARIES.values() for form in forms.split()}


def test_auxiliaries_agree_with_pronouns_on_either_side() -> None:
    found: Counter[str] = Counter()
    for text in everything("de"):
        words = words_of(text.split(",")[0])
        first, second = words[0].lower(), words[1]
        for pronoun, verb in ((first, second), (second, first)):
            if pronoun in AUXILIARIES and verb in FINITE:
                assert verb in AUXILIARIES[pronoun].split(), text
                found[pronoun] += 1
    assert min(found[pronoun] for pronoun in AUXILIARIES) > 100


def test_the_finite_verb_is_last_in_a_subordinate_clause_and_second_after_a_time() -> None:
    last: Counter[bool] = Counter()
    times = "Gestern|Heute|Morgen|Bald|Letzte Woche|Letzten Sommer|Heute Morgen|Nächste Woche"
    for text in everything("de"):
        for clause in re.findall(r", (?:weil|dass|als|obwohl|wenn|bevor) ([^,]*)[.]$", text):
            words = clause.split()
            # A separable verb is one word there, and no auxiliary stands before the end.
            assert not set(words[:-1]) & (FINITE - {"haben", "werden"}), text
            last[words[-1] in FINITE] += 1
        fronted = re.match(f"(?:{times}) (?!Morgen)(\\w+)", text)
        if fronted and not re.match(r"Heute Morgen|Morgen\b.*\?", text):
            assert fronted[1] in FINITE, text
    assert last[True] > 10 * last[False] > 0
