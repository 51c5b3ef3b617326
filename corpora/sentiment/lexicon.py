"""Words of the bundled sentiment corpus: praise and blame, people, days, openings."""

from __future__ import annotations

# Quality -> (positive, negative) adjectives. A noun names the qualities that fit it.
ADJECTIVES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "general": (
        ("wonderful", "superb", "excellent", "terrific", "great", "lovely"),
        ("awful", "dreadful", "terrible", "dismal", "horrible", "lousy"),
    ),
    "pace": (
        ("gripping", "lively", "absorbing", "thrilling", "engaging"),
        ("dull", "tedious", "sluggish", "boring", "tiresome"),
    ),
    "craft": (
        ("clever", "subtle", "inventive", "elegant", "polished"),
        ("clumsy", "crude", "hollow", "contrived", "sloppy"),
    ),
    "acting": (
        ("convincing", "charming", "moving", "graceful"),
        ("wooden", "lifeless", "unconvincing", "amateurish"),
    ),
    "taste": (
        ("delicious", "tasty", "fresh", "flavorful", "appetizing"),
        ("bland", "stale", "soggy", "greasy", "tasteless"),
    ),
    "people": (
        ("friendly", "attentive", "helpful", "courteous", "cheerful"),
        ("rude", "careless", "grumpy", "unhelpful", "impatient"),
    ),
    "comfort": (
        ("clean", "comfortable", "cozy", "tidy", "inviting"),
        ("dirty", "uncomfortable", "cramped", "shabby", "gloomy"),
    ),
    "device": (
        ("reliable", "sturdy", "responsive", "solid", "dependable"),
        ("unreliable", "flimsy", "slow", "faulty", "temperamental"),
    ),
    "ease": (
        ("intuitive", "handy", "logical", "straightforward", "smooth"),
        ("confusing", "clunky", "messy", "cluttered", "baffling"),
    ),
    "sound": (
        ("crisp", "rich", "pleasant", "melodious"),
        ("tinny", "muddy", "harsh", "shrill"),
    ),
}  # fmt: skip

# These take no "more": a superlative in disguise, or an adjective that takes "-er".
UNGRADED = frozenset(
    (*ADJECTIVES["general"][0], *ADJECTIVES["general"][1], "dull", "fresh", "stale", "rude",
     "clean", "dirty", "cozy", "tidy", "slow", "rich", "harsh", "crisp", "bland",
     "tasty", "handy", "messy", "friendly", "lively", "clever")
)  # fmt: skip

NOUNS = (
    ("a gem", "a treat", "a triumph", "a delight", "a joy"),
    ("a mess", "a disaster", "a letdown", "a failure", "an ordeal"),
)  # fmt: skip
VERBS = (
    ("love", "enjoy", "recommend", "praise"),
    ("hate", "dislike", "criticize", "regret"),
)
PAST = (
    ("loved", "enjoyed", "recommended", "praised"),
    ("hated", "disliked", "criticized", "regretted"),
)
FEELINGS = (
    ("delighted", "happy", "impressed", "satisfied"),
    ("annoyed", "miserable", "frustrated", "angry"),
)

PEOPLE = (
    "my sister", "my brother", "my neighbor", "my aunt", "our daughter", "an old friend",
    "the friend who came along", "a colleague of mine", "the woman next to me", "my flatmate",
)  # fmt: skip
COMPANY = (
    "my brother", "my sister", "two colleagues", "an old friend", "my parents", "our neighbors",
    "a cousin", "the children",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("March", "April", "June", "September", "October", "November")
COUNTS = ("two", "three", "four", "five")
OPENINGS = (
    "In short,", "To be honest,", "All told,", "Well,", "Overall,", "For the record,",
    "Speaking for myself,", "As far as I can tell,", "Looking back,", "If you ask me,",
    "A quick note:", "My two cents:", "In my view,", "Long story short,", "As it happens,",
)  # fmt: skip
