"""Nouns and adjectives of the bundled parallel corpus, with what German grammar asks of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, eq=False)
class Noun:
    """english, english_plural; german, german_plural; gender: m, f or n; kinds: what it can be.

    oblique: accusative and dative singular of the weak nouns (der Junge, den Jungen).
    """

    english: str
    english_plural: str
    german: str
    gender: str
    german_plural: str
    kinds: frozenset[str]
    oblique: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Adjective:
    """stem: what German endings are added to. comparative: of both languages. kinds: of the nouns
    that it fits; said: whether it is also said of something (is tired) and compared.
    """

    english: str
    german: str
    stem: str
    english_comparative: str
    german_comparative: str
    kinds: frozenset[str]
    said: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """A noun with the prepositions of being there and of going there, English and German.

    The first German preposition takes the dative, the second the case that `goal` names.
    """

    noun: Noun
    at: tuple[str, str]
    to: tuple[str, str]
    goal: str


def _noun(line: str, kinds: str) -> Noun:
    english, plural, german, gender, german_plural, *oblique = line.split()
    return Noun(
        english=english.replace("_", " "),
        english_plural=plural.replace("_", " "),
        german=german,
        gender=gender,
        german_plural=german_plural,
        kinds=frozenset(kinds.split()),
        oblique=oblique[0] if oblique else german,
    )


PEOPLE = [
    _noun(line, "person")
    for line in (
        "man men Mann m Männer",
        "woman women Frau f Frauen",
        "boy boys Junge m Jungen Jungen",
        "girl girls Mädchen n Mädchen",
        "child children Kind n Kinder",
        "teacher teachers Lehrer m Lehrer",
        "doctor doctors Arzt m Ärzte",
        "nurse nurses Krankenschwester f Krankenschwestern",
        "neighbor neighbors Nachbar m Nachbarn Nachbarn",
        "farmer farmers Bauer m Bauern Bauern",
        "baker bakers Bäcker m Bäcker",
        "guest guests Gast m Gäste",
        "student students Student m Studenten Studenten",
        "queen queens Königin f Königinnen",
        "actress actresses Schauspielerin f Schauspielerinnen",
    )
]

FAMILY = [
    _noun(line, "person family")
    for line in (
        "mother mothers Mutter f Mütter",
        "father fathers Vater m Väter",
        "sister sisters Schwester f Schwestern",
        "brother brothers Bruder m Brüder",
        "daughter daughters Tochter f Töchter",
        "son sons Sohn m Söhne",
        "aunt aunts Tante f Tanten",
        "uncle uncles Onkel m Onkel",
        "friend friends Freund m Freunde",
    )
]
"""Always somebody's: my aunt."""

ANIMALS = [
    _noun("dog dogs Hund m Hunde", "animal ware seen washed drawn"),
    _noun("cat cats Katze f Katzen", "animal ware seen washed drawn"),
    _noun("horse horses Pferd n Pferde", "animal ware seen washed drawn"),
    _noun("bird birds Vogel m Vögel", "animal ware seen drawn"),
    _noun("cow cows Kuh f Kühe", "animal ware seen washed drawn"),
    _noun("chicken chickens Huhn n Hühner", "animal ware seen drawn"),
]

_CLOTHES = "thing ware seen lost worn washed given lent laid"
THINGS = [
    *(
        _noun(line, _CLOTHES)
        for line in (
            "hat hats Hut m Hüte",
            "shirt shirts Hemd n Hemden",
            "jacket jackets Jacke f Jacken",
            "blouse blouses Bluse f Blusen",
        )
    ),
    *(
        _noun(line, f"{_CLOTHES} length")
        for line in (
            "coat coats Mantel m Mäntel",
            "dress dresses Kleid n Kleider",
            "scarf scarves Schal m Schals",
            "skirt skirts Rock m Röcke",
        )
    ),
    _noun("apple apples Apfel m Äpfel", "food ware seen eaten given sweet washed laid drawn"),
    _noun("pear pears Birne f Birnen", "food ware seen eaten given sweet washed laid drawn"),
    _noun("cake cakes Kuchen m Kuchen", "food ware seen eaten given sweet stood"),
    _noun("egg eggs Ei n Eier", "food ware seen eaten given laid"),
    _noun("tomato tomatoes Tomate f Tomaten", "food ware seen eaten given washed laid"),
    _noun("carrot carrots Karotte f Karotten", "food ware seen eaten given washed laid"),
    _noun("sausage sausages Wurst f Würste", "food ware seen eaten given laid"),
    _noun("book books Buch n Bücher",
          "thing ware seen lost read written given lent laid opened closed"),
    _noun("letter letters Brief m Briefe", "length thing seen lost read written given laid opened"),
    _noun("newspaper newspapers Zeitung f Zeitungen",
          "thing ware seen lost read given lent laid"),
    _noun("story stories Geschichte f Geschichten",
          "tale length read written heard forgotten loved"),
    _noun("song songs Lied n Lieder", "tale length written heard forgotten loved"),
    _noun("picture pictures Bild n Bilder", "thing ware seen lost drawn given laid"),
    _noun("key keys Schlüssel m Schlüssel", "thing seen lost given laid"),
    _noun("ring rings Ring m Ringe", "thing ware seen lost given laid"),
    _noun("watch watches Uhr f Uhren", "thing ware seen lost given laid repaired"),
    _noun("umbrella umbrellas Regenschirm m Regenschirme",
          "thing ware seen lost given lent laid repaired opened closed"),
    _noun("ball balls Ball m Bälle", "thing ware seen lost given lent laid drawn"),
    _noun("gift gifts Geschenk n Geschenke", "thing seen lost given laid opened"),
    _noun("knife knives Messer n Messer", "thing ware seen lost given lent laid rinsed"),
    _noun("spoon spoons Löffel m Löffel", "thing ware seen lost given lent laid rinsed"),
    _noun("fork forks Gabel f Gabeln", "thing ware seen lost given lent laid rinsed"),
    _noun("cup cups Tasse f Tassen", "thing ware seen stood rinsed broken given"),
    _noun("plate plates Teller m Teller", "thing ware seen stood rinsed broken given"),
    _noun("glass glasses Glas n Gläser", "thing ware seen stood rinsed broken given"),
    _noun("bottle bottles Flasche f Flaschen",
          "thing ware seen stood rinsed broken opened closed given"),
    _noun("vase vases Vase f Vasen", "thing ware seen stood rinsed broken given"),
    _noun("lamp lamps Lampe f Lampen", "thing ware seen stood switched repaired broken cleaned"),
    _noun("radio radios Radio n Radios", "heard thing ware seen stood switched repaired lent"),
    _noun("computer computers Computer m Computer",
          "thing ware seen stood switched repaired lent"),
    _noun("suitcase suitcases Koffer m Koffer",
          "thing ware seen lost opened closed repaired lent"),
    _noun("bag bags Tasche f Taschen", "thing ware seen lost opened closed given lent washed"),
    _noun("chair chairs Stuhl m Stühle", "thing ware seen repaired drawn"),
    _noun("table tables Tisch m Tische", "thing ware seen repaired cleaned drawn"),
    _noun("bicycle bicycles Fahrrad n Fahrräder",
          "thing ware seen lost cleaned repaired lent drawn"),
    _noun("car cars Auto n Autos", "thing ware seen washed repaired lent drawn"),
    _noun("boat boats Boot n Boote", "thing ware seen washed repaired lent drawn"),
    _noun("door doors Tür f Türen", "thing seen opened closed repaired cleaned"),
    _noun("window windows Fenster n Fenster", "thing seen opened closed repaired cleaned broken"),
    _noun("flower flowers Blume f Blumen", "flower ware seen given drawn laid"),
    _noun("rose roses Rose f Rosen", "flower ware seen given drawn laid"),
]  # fmt: skip


def _place(line: str, at: str, to: str, goal: str = "acc", kinds: str = "") -> Place:
    english_at, german_at = at.split()
    english_to, german_to = to.split()
    noun = _noun(line, f"place {kinds}")
    return Place(noun=noun, at=(english_at, german_at), to=(english_to, german_to), goal=goal)


PLACES = [
    _place("kitchen kitchens Küche f Küchen", "in in", "into in", kinds="tidied"),
    _place("room rooms Zimmer n Zimmer", "in in", "into in", kinds="tidied"),
    _place("garden gardens Garten m Gärten", "in in", "into in", kinds="tidied"),
    _place("house houses Haus n Häuser", "in in", "into in", kinds="tidied"),
    _place("forest forests Wald m Wälder", "in in", "into in"),
    _place("office offices Büro n Büros", "in in", "to in", kinds="tidied"),
    _place("city cities Stadt f Städte", "in in", "to in", kinds="visited"),
    _place("park parks Park m Parks", "in in", "to in", kinds="visited"),
    _place("church churches Kirche f Kirchen", "in in", "to in", kinds="visited"),
    _place("museum museums Museum n Museen", "in in", "to in", kinds="visited"),
    _place("library libraries Bibliothek f Bibliotheken", "in in", "to in", kinds="visited"),
    _place("hotel hotels Hotel n Hotels", "in in", "to zu", "dat"),
    _place("market markets Markt m Märkte", "at auf", "to zu", "dat", kinds="visited"),
    _place("station stations Bahnhof m Bahnhöfe", "at an", "to zu", "dat"),
    _place("bridge bridges Brücke f Brücken", "on auf", "to zu", "dat", kinds="length"),
    _place("river rivers Fluss m Flüsse", "by an", "to zu", "dat", kinds="length"),
]

SURFACES = [
    _place("table tables Tisch m Tische", "on auf", "on auf"),
    _place("bed beds Bett n Betten", "on auf", "on auf"),
    _place("bench benches Bank f Bänke", "on auf", "on auf"),
    _place("box boxes Kiste f Kisten", "in in", "into in"),
    _place("basket baskets Korb m Körbe", "in in", "into in"),
    _place("cupboard cupboards Schrank m Schränke", "in in", "into in"),
]
"""Where things are put, and are then."""


def _adjective(line: str, kinds: str, *, said: bool = True) -> Adjective:
    english, comparative, german, stem, german_comparative = line.split()
    return Adjective(
        english=english,
        german=german,
        stem=stem,
        english_comparative=comparative.replace("_", " "),
        german_comparative=german_comparative,
        kinds=frozenset(kinds.split()),
        said=said,
    )


ADJECTIVES = [
    _adjective("old older alt alt älter", "person animal thing place tale"),
    _adjective("young younger jung jung jünger", "person animal"),
    _adjective("tall taller groß groß größer", "person"),
    _adjective("big bigger groß groß größer", "animal thing place food flower"),
    _adjective("small smaller klein klein kleiner", "animal thing place food flower person"),
    _adjective("new newer neu neu neuer", "thing tale", said=False),
    _adjective("red redder rot rot röter", "thing flower", said=False),
    _adjective("blue bluer blau blau blauer", "thing flower", said=False),
    _adjective("green greener grün grün grüner", "thing", said=False),
    _adjective("yellow yellower gelb gelb gelber", "thing flower", said=False),
    _adjective("white whiter weiß weiß weißer", "thing flower animal", said=False),
    _adjective("black blacker schwarz schwarz schwärzer", "thing animal", said=False),
    _adjective("brown browner braun braun brauner", "thing animal", said=False),
    _adjective("expensive more_expensive teuer teur teurer", "thing food flower"),
    _adjective("cheap cheaper billig billig billiger", "thing food flower"),
    _adjective("beautiful more_beautiful schön schön schöner", "thing place flower animal tale"),
    _adjective("heavy heavier schwer schwer schwerer", "thing"),
    _adjective("dirty dirtier schmutzig schmutzig schmutziger", "thing place animal"),
    _adjective("clean cleaner sauber sauber sauberer", "thing place"),
    _adjective("fresh fresher frisch frisch frischer", "food flower"),
    _adjective("sweet sweeter süß süß süßer", "sweet"),
    _adjective("friendly friendlier freundlich freundlich freundlicher", "person animal"),
    _adjective("clever cleverer klug klug klüger", "person animal"),
    _adjective("brave braver mutig mutig mutiger", "person animal"),
    _adjective("strong stronger stark stark stärker", "person animal"),
    _adjective("famous more_famous berühmt berühmt berühmter", "person tale"),
    _adjective("tired more_tired müde müd müder", "person animal"),
    _adjective("hungry hungrier hungrig hungrig hungriger", "person animal"),
    _adjective("sad sadder traurig traurig trauriger", "person tale"),
    _adjective("happy happier glücklich glücklich glücklicher", "person"),
    _adjective("sick sicker krank krank kränker", "person animal"),
    _adjective("long longer lang lang länger", "length"),
    _adjective("short shorter kurz kurz kürzer", "length"),
]

MOODS = frozenset({"tired", "hungry", "sad", "happy", "sick"})
"""What somebody is for a time, and says why."""
