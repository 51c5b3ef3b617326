"""Verbs of the bundled parallel corpus: their forms in both languages, and what they take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class English:
    """base, third (person singular), past, gerund; particle: `on` of `turn on`, which follows."""

    base: str
    third: str
    past: str
    gerund: str
    particle: str = ""


@dataclass(frozen=True, kw_only=True)
class German:
    """present: of ich, du, er and the plural (wir, sie); participle and infinitive whole;
    particle: the prefix that stands at the end of a main clause (macht ... auf).
    """

    present: tuple[str, str, str, str]
    infinitive: str
    participle: str
    auxiliary: str = "haben"
    particle: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Verb:
    """frame: what stands beside the subject, one of

    - "accusative", "dative": an object; - "two": somebody in the dative, something in the
    accusative; - "put": something, and the place that it comes to; - "prepositional": an object
    with the prepositions `prepositions` in `case`; - "none", "motion", "place": nothing, where to,
    where.

    objects: kinds of nouns that it takes as its (accusative) object. subjects: kinds that do it.
    """

    english: English
    german: German
    frame: str
    objects: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset({"person"})
    prepositions: tuple[str, str] = ("", "")
    case: str = ""

    @property
    def name(self) -> str:
        words = (self.english.base, self.english.particle, self.prepositions[0])
        return " ".join(word for word in words if word)


def _verb(
    english: str,
    german: str,
    frame: str = "accusative",
    objects: str = "",
    *,
    subjects: str = "person",
    prepositions: tuple[str, str] = ("", ""),
    case: str = "",
) -> Verb:
    """English: base, third, past, gerund and particle. German: the stem's forms of ich, du, er,
    the infinitive, the participle, then `sein` or the separable prefix or both.
    """
    base, third, past, gerund, *rest = english.split()
    ich, du, er, infinitive, participle, *marks = german.split()
    auxiliary = "sein" if "sein" in marks else "haben"
    particle = next((mark for mark in marks if mark != "sein"), "")
    return Verb(
        english=English(
            base=base, third=third, past=past, gerund=gerund, particle=" ".join(rest)
        ),
        german=German(
            present=(ich, du, er, infinitive),
            infinitive=f"{particle}{infinitive}",
            participle=participle,
            auxiliary=auxiliary,
            particle=particle,
        ),
        frame=frame,
        objects=frozenset(objects.split()),
        subjects=frozenset(subjects.split()),
        prepositions=prepositions,
        case=case,
    )  # fmt: skip


VERBS = [
    # with an object in the accusative
    _verb("buy buys bought buying", "kaufe kaufst kauft kaufen gekauft", objects="ware"),
    _verb("sell sells sold selling", "verkaufe verkaufst verkauft verkaufen verkauft",
          objects="ware"),
    _verb("see sees saw seeing", "sehe siehst sieht sehen gesehen", objects="seen person"),
    _verb("hear hears heard hearing", "höre hörst hört hören gehört",
          objects="heard person animal"),
    _verb("find finds found finding", "finde findest findet finden gefunden", objects="lost"),
    _verb("lose loses lost losing", "verliere verlierst verliert verlieren verloren",
          objects="lost"),
    _verb("forget forgets forgot forgetting", "vergesse vergisst vergisst vergessen vergessen",
          objects="lost forgotten"),
    _verb("look looks looked looking for", "suche suchst sucht suchen gesucht",
          objects="lost person animal"),
    _verb("hide hides hid hiding", "verstecke versteckst versteckt verstecken versteckt",
          objects="given"),
    _verb("wash washes washed washing", "wasche wäschst wäscht waschen gewaschen",
          objects="washed"),
    _verb("rinse rinses rinsed rinsing", "spüle spülst spült spülen gespült", objects="rinsed"),
    _verb("clean cleans cleaned cleaning", "putze putzt putzt putzen geputzt", objects="cleaned"),
    _verb("repair repairs repaired repairing",
          "repariere reparierst repariert reparieren repariert", objects="repaired"),
    _verb("draw draws drew drawing", "zeichne zeichnest zeichnet zeichnen gezeichnet",
          objects="drawn place"),
    _verb("break breaks broke breaking", "zerbreche zerbrichst zerbricht zerbrechen zerbrochen",
          objects="broken"),
    _verb("read reads read reading", "lese liest liest lesen gelesen", objects="read"),
    _verb("write writes wrote writing", "schreibe schreibst schreibt schreiben geschrieben",
          objects="written"),
    _verb("eat eats ate eating", "esse isst isst essen gegessen", objects="eaten"),
    _verb("wear wears wore wearing", "trage trägst trägt tragen getragen", objects="worn"),
    _verb("visit visits visited visiting", "besuche besuchst besucht besuchen besucht",
          objects="person visited"),
    # separable
    _verb("open opens opened opening", "mache machst macht machen aufgemacht auf",
          objects="opened"),
    _verb("close closes closed closing", "mache machst macht machen zugemacht zu",
          objects="closed"),
    _verb("turn turns turned turning on", "mache machst macht machen angemacht an",
          objects="switched"),
    _verb("turn turns turned turning off", "mache machst macht machen ausgemacht aus",
          objects="switched"),
    _verb("pick picks picked picking up", "hebe hebst hebt heben aufgehoben auf", objects="laid"),
    _verb("throw throws threw throwing away", "werfe wirfst wirft werfen weggeworfen weg",
          objects="laid broken"),
    _verb("pack packs packed packing", "packe packst packt packen eingepackt ein",
          objects="laid"),
    _verb("put puts put putting on", "ziehe ziehst zieht ziehen angezogen an", objects="worn"),
    _verb("take takes took taking off", "ziehe ziehst zieht ziehen ausgezogen aus",
          objects="worn"),
    _verb("try tries tried trying on", "probiere probierst probiert probieren anprobiert an",
          objects="worn"),
    _verb("tidy tidies tidied tidying up", "räume räumst räumt räumen aufgeräumt auf",
          objects="tidied"),
    _verb("invite invites invited inviting", "lade lädst lädt laden eingeladen ein",
          objects="person"),
    _verb("call calls called calling", "rufe rufst ruft rufen angerufen an", objects="person"),
    # states, of the present alone
    _verb("know knows knew knowing", "kenne kennst kennt kennen gekannt", objects="person"),
    _verb("love loves loved loving", "liebe liebst liebt lieben geliebt",
          objects="person animal loved"),
    _verb("need needs needed needing", "brauche brauchst braucht brauchen gebraucht",
          objects="lent stood"),
    # with an object in the dative
    _verb("help helps helped helping", "helfe hilfst hilft helfen geholfen", "dative", "person"),
    _verb("thank thanks thanked thanking", "danke dankst dankt danken gedankt", "dative",
          "person"),
    _verb("answer answers answered answering",
          "antworte antwortest antwortet antworten geantwortet", "dative", "person"),
    _verb("follow follows followed following", "folge folgst folgt folgen gefolgt sein",
          "dative", "person animal", subjects="person animal"),
    _verb("listen listens listened listening to", "höre hörst hört hören zugehört zu",
          "dative", "person"),
    # with two objects
    _verb("give gives gave giving", "gebe gibst gibt geben gegeben", "two", "given"),
    _verb("show shows showed showing", "zeige zeigst zeigt zeigen gezeigt", "two", "given animal"),
    _verb("send sends sent sending", "schicke schickst schickt schicken geschickt", "two", "given"),
    _verb("lend lends lent lending", "leihe leihst leiht leihen geliehen", "two", "lent"),
    _verb("bring brings brought bringing", "bringe bringst bringt bringen gebracht", "two",
          "given"),
    # with a place that something comes to
    _verb("put puts put putting", "lege legst legt legen gelegt", "put", "laid"),
    _verb("put puts put putting", "stelle stellst stellt stellen gestellt", "put", "stood"),
    # with a preposition
    _verb("wait waits waited waiting", "warte wartest wartet warten gewartet", "prepositional",
          "person", prepositions=("for", "auf"), case="acc"),
    _verb("think thinks thought thinking", "denke denkst denkt denken gedacht", "prepositional",
          "person place", prepositions=("of", "an"), case="acc"),
    _verb("dream dreams dreamed dreaming", "träume träumst träumt träumen geträumt",
          "prepositional", "person place animal", prepositions=("of", "von"), case="dat"),
    _verb("dance dances danced dancing", "tanze tanzt tanzt tanzen getanzt", "prepositional",
          "person", prepositions=("with", "mit"), case="dat"),
    _verb("play plays played playing", "spiele spielst spielt spielen gespielt", "prepositional",
          "person animal", prepositions=("with", "mit"), case="dat"),
    # with nothing, or where
    _verb("sleep sleeps slept sleeping", "schlafe schläfst schläft schlafen geschlafen", "none",
          subjects="person animal"),
    _verb("work works worked working", "arbeite arbeitest arbeitet arbeiten gearbeitet", "none"),
    _verb("sing sings sang singing", "singe singst singt singen gesungen", "none"),
    _verb("laugh laughs laughed laughing", "lache lachst lacht lachen gelacht", "none"),
    _verb("cry cries cried crying", "weine weinst weint weinen geweint", "none"),
    _verb("arrive arrives arrived arriving", "komme kommst kommt kommen angekommen sein an",
          "none"),
    _verb("wake wakes woke waking up", "wache wachst wacht wachen aufgewacht sein auf", "none",
          subjects="person animal"),
    _verb("fall falls fell falling asleep",
          "schlafe schläfst schläft schlafen eingeschlafen sein ein", "none",
          subjects="person animal"),
    _verb("stay stays stayed staying", "bleibe bleibst bleibt bleiben geblieben sein", "place"),
    # where to
    _verb("go goes went going", "gehe gehst geht gehen gegangen sein", "motion"),
    _verb("run runs ran running", "laufe läufst läuft laufen gelaufen sein", "motion",
          subjects="person animal"),
    _verb("drive drives drove driving", "fahre fährst fährt fahren gefahren sein", "motion"),
    _verb("come comes came coming", "komme kommst kommt kommen gekommen sein", "motion",
          subjects="person animal"),
]  # fmt: skip

REPORTS = [
    _verb("know knows knew knowing", "weiß weißt weiß wissen gewusst", "that"),
    _verb("believe believes believed believing", "glaube glaubst glaubt glauben geglaubt", "that"),
    _verb("say says said saying", "sage sagst sagt sagen gesagt", "that"),
    _verb("hope hopes hoped hoping", "hoffe hoffst hofft hoffen gehofft", "that"),
]
"""What has a clause with `that` after it."""

STATES = frozenset({"know", "love", "need"})

LASTING = frozenset({
    "wash", "rinse", "clean", "repair", "draw", "read", "write", "eat", "look for", "tidy up",
    "wait for", "dance with", "play with", "sleep", "work", "sing", "laugh", "cry",
})  # fmt: skip
"""What somebody may be doing just now."""

UNWILLED = frozenset({"lose", "forget", "break", "fall asleep", "wake up"})
"""What nobody plans, wants or is allowed to do."""

PLEASANT = frozenset({
    "find", "buy", "visit", "invite", "call", "help", "thank", "answer", "give", "show", "send",
    "lend", "bring", "arrive", "come", "stay", "sing", "laugh", "dance with", "play with", "open",
    "repair", "turn on",
})  # fmt: skip
UNPLEASANT = frozenset({
    "lose", "forget", "break", "sell", "hide", "throw away", "close", "turn off", "cry", "work",
    "wait for", "look for", "answer", "thank", "invite", "visit", "call", "give", "show",
    "listen to", "send", "dream of", "think of", "clean", "rinse", "tidy up",
})  # fmt: skip
"""What makes others, or oneself, happy or sad; some because it was not done."""

DEEDS = frozenset({
    "sleep", "fall asleep", "cry", "sing", "go", "drive", "run", "come", "stay", "call", "eat",
    "buy", "close", "turn off", "turn on", "take off", "put on", "visit", "invite", "wait for",
    "think of", "dream of", "help", "give", "put", "listen to",
})  # fmt: skip
"""What somebody does in a mood."""

CHANGES = frozenset({
    "buy", "sell", "wash", "clean", "rinse", "throw away", "repair", "try on", "wear", "draw",
    "hide", "eat", "read", "tidy up", "pick up",
})  # fmt: skip
"""What is done with something because of how it is."""

GAINS = frozenset({"buy", "find", "wash", "repair", "clean", "rinse", "pick up", "draw"})
LOSSES = frozenset({"sell", "wash", "repair", "throw away", "pack", "eat", "hide", "lose", "forget",
                    "rinse", "clean"})  # fmt: skip
"""What is done with something, and what is done with it afterwards."""

MOMENTS = frozenset({
    "see", "hear", "find", "lose", "break", "open", "close", "turn on", "turn off", "pick up",
    "put on", "take off", "call", "thank", "answer", "follow", "give", "show", "bring", "put",
    "arrive", "wake up", "fall asleep", "come", "go", "run", "hide", "try on", "invite",
    "throw away",
})  # fmt: skip
"""What happens at one moment, at which something else happens."""

BRIEF = frozenset({"arrive"})
"""What is not said with a place here."""
