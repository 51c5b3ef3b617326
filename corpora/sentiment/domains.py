"""What the reviews of the bundled sentiment corpus are about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One thing that people review.

    `items` and `aspects` map a bare noun to the qualities that fit it; a noun ending in `*` is a
    plural. `asides` hold `{no}`, where "not" may stand without touching the verdict.
    """

    name: str
    items: dict[str, str]
    aspects: dict[str, str]
    rivals: tuple[str, ...]  # what the item is compared with
    who: tuple[str, ...]  # "nobody ..."
    span: tuple[str, ...]  # "not once in ..."
    relative: tuple[str, ...]  # "the film, ..., was"
    asides: tuple[str, ...]
    context: tuple[str, ...]  # neutral sentences
    tenses: tuple[str, ...] = ("past",)
    lasting: bool = True  # can be better or worse than it used to be


ANYWHERE = (
    "I am writing this on a {day} with a cup of tea beside me.",
    "I paid for it myself, and nobody asked me to write this.",
    "It was raining, but we had an umbrella.",
    "That was back in {month}, shortly after we moved to the coast.",
    "I thought about it for {count} days before I wrote this.",
    "I have written about {rival} elsewhere.",
    "{company} asked me how it compares with {rival}, so here is my answer.",
    "This was the {day} before the long weekend, if that matters to anyone.",
)

DOMAINS = (
    Domain(
        name="films",
        lasting=False,
        items=dict.fromkeys(("film", "movie", "drama", "sequel"), "general pace craft"),
        aspects={
            "plot": "general pace craft", "acting": "general acting", "dialogue": "general craft",
            "ending": "general pace craft", "cast": "general acting", "score": "general sound",
            "action scenes*": "general pace craft", "script": "general craft pace",
        },
        rivals=("the original", "the first part", "the play it is based on", "last year's remake"),
        who=("who saw it", "in our row", "who stayed for the credits"),
        span=("those two hours", "the two hours that we sat there", "the whole evening"),
        relative=("which runs for two hours", "which {person} had picked",
                  "which we saw on a {day} at the old cinema by the station"),
        asides=("we had{no} booked seats", "I had{no} read the book first",
                "the cinema was{no} full"),
        context=(
            "We went on a {day} with {company}.",
            "I saw it at the early showing with {company}.",
            "It runs for just over two hours.",
            "The cinema was half full and we had seats near the back.",
            "We did not stay for the credits.",
            "I had never seen anything by this director before.",
            "We saw it on a {day} in {month} at the small cinema behind the station.",
            "The showing began at {count}, and we took the bus home afterwards.",
        ),
    ),
    Domain(
        name="restaurants",
        items=dict.fromkeys(("restaurant", "diner", "bistro", "canteen"), "general comfort"),
        aspects={
            "food": "general taste", "service": "general people", "soup": "general taste",
            "waiters*": "general people", "bread": "general taste",
            "dining room": "comfort general", "dessert": "general taste", "fries*": "general taste",
        },
        rivals=("the place next door", "the one on the corner", "the steakhouse",
                "the one by the harbor"),
        who=("who ate there", "at our table", "in our party of {count}"),
        span=("the evening", "all the time we sat at that table", "our {count} visits"),
        relative=("which {person} had chosen", "which sits between a bank and a bakery",
                  "where we ate on a {day} in {month}"),
        asides=("we had{no} booked a table", "we did{no} order wine", "I was{no} in a hurry"),
        context=(
            "We went on a {day} with {company}.",
            "We were a party of {count} and sat by the window.",
            "I had the fish and {company} had the stew.",
            "It is on the corner across from the town hall.",
            "We did not try the wine.",
            "I had never eaten in that part of town before.",
            "We paid by card and walked home along the river with {company}.",
            "The kitchen closes at ten on a {day}.",
        ),
    ),
    Domain(
        name="hotels",
        items=dict.fromkeys(("hotel", "guesthouse", "inn"), "general comfort"),
        aspects={
            "room": "general comfort", "bed": "general comfort", "front desk": "general people",
            "breakfast": "general taste", "staff*": "general people", "lobby": "general comfort",
            "bathroom": "general comfort", "porters*": "general people",
        },
        rivals=("the one down the road", "the hostel we used last year", "the lodge on the hill",
                "the place we had before"),
        who=("who stayed there", "on our floor", "in our tour group"),
        span=("the {count} nights we spent there", "our stay", "the whole week"),
        relative=("which stands behind the market", "which {person} had found",
                  "where we spent {count} nights in {month}"),
        asides=("we had{no} asked for a view", "we did{no} arrive late", "it was{no} high season"),
        context=(
            "We stayed for {count} nights in {month}.",
            "We shared a room on the third floor with {company}.",
            "It is a short walk from the station.",
            "We had the corner room that looks onto the square.",
            "We did not use the pool.",
            "I had never been to that town before.",
            "We checked out on a {day} and took the noon train home with {company}.",
            "There was a wedding on the {day}, but we were out all day.",
        ),
    ),
    Domain(
        name="phones",
        items=dict.fromkeys(("phone", "handset", "model"), "general device"),
        aspects={
            "screen": "general device", "battery": "general device", "camera": "general device",
            "speaker": "general sound", "menus*": "general ease", "buttons*": "general device",
            "setup": "general ease", "case": "general device",
        },
        rivals=("my old one", "the one it replaced", "the model from last year", "the cheaper one"),
        who=("who tried it", "in our office", "who owns one"),
        span=("{count} weeks of daily use", "the {count} months I have had it", "all that time"),
        relative=("which I bought in {month}", "which {person} had used before me",
                  "which came in a plain gray box with a short cable"),
        asides=("I had{no} read the manual", "I did{no} buy it new", "I do{no} travel much"),
        context=(
            "I bought it in {month} and use it every day.",
            "I have had it for {count} weeks.",
            "It came in a plain box with a short cable.",
            "I mostly use it for messages and maps on the way to work.",
            "I have not tried the radio.",
            "I had never owned one with two cameras before.",
            "I know that {company} got the same one in gray on a {day}.",
            "It arrived on a {day}, {count} days after I had ordered it.",
        ),
        tenses=("present",),
    ),
    Domain(
        name="books",
        items=dict.fromkeys(("novel", "book", "story"), "general pace craft"),
        aspects={
            "opening": "general pace craft", "prose": "general craft",
            "ending": "general pace craft", "middle part": "general pace",
            "heroine": "general acting", "side characters*": "general acting",
            "plot": "general pace craft",
            "final chapters*": "general pace craft",
        },
        rivals=("her first one", "the series it came from", "the film they made of it",
                "the one before it"),
        who=("who read it", "in our reading group", "who finished it"),
        span=("{count} hundred pages", "the week it took me", "the {count} evenings I spent on it"),
        relative=("which is set in a fishing town", "which {person} had lent me",
                  "which I read on the train in {month}"),
        asides=("I had{no} read the first volume", "I do{no} read much", "it was{no} a gift"),
        context=(
            "I read it over {count} evenings in {month}.",
            "It is about {count} hundred pages long.",
            "I borrowed it from the library on a {day}.",
            "The story is set in a fishing town and covers {count} winters.",
            "I have not read the others in the series.",
            "I had never read anything by this author before.",
            "We read it for our group, which meets on a {day} at the home of {company}.",
            "There is a map at the front and a list of names at the back.",
        ),
        tenses=("past", "present"),
        lasting=False,
    ),
    Domain(
        name="trains",
        items=dict.fromkeys(("train", "night train", "express"), "general comfort"),
        aspects={
            "carriage": "general comfort", "seats*": "general comfort",
            "conductors*": "general people", "ticket machine": "general device",
            "heating": "general device", "timetable": "general ease", "snacks*": "general taste",
            "ticket office": "general people",
        },
        rivals=("the bus", "the ferry", "the slow line", "the coach we took last time"),
        who=("who was on board", "in our carriage", "who took it"),
        span=("the {count} hours to the coast", "the whole trip", "{count} years of commuting"),
        relative=("which leaves at {count}", "which {person} had suggested",
                  "which we took to the coast on a {day}"),
        asides=("we had{no} reserved", "I did{no} travel far", "it was{no} the weekend"),
        context=(
            "We took it to the coast on a {day}.",
            "I was traveling with {company}.",
            "The trip takes about {count} hours.",
            "We changed once and had the second carriage from the front.",
            "We did not use the dining car.",
            "I had never taken that line before.",
            "It stops at {count} towns on the way and reaches the harbor in the evening.",
            "I had a suitcase and {company} had a bicycle.",
        ),
    ),
    Domain(
        name="software",
        items=dict.fromkeys(("app", "program", "editor"), "general ease device"),
        aspects={
            "interface": "general ease device", "search": "general device ease",
            "help pages*": "general ease", "support team": "general people",
            "export": "general device ease", "layout": "general ease",
            "shortcuts*": "general ease device", "installer": "general device ease",
        },
        rivals=("the old version", "the one we used before", "the free one",
                "the tool that came with my laptop"),
        who=("who used it", "on our team", "who installed it"),
        span=("{count} months of daily work", "the whole trial", "the {count} weeks we ran it"),
        relative=("which came out in {month}", "which {person} had installed",
                  "which we run on {count} machines"),
        asides=("I had{no} seen the tutorial", "we did{no} import old files",
                "I am{no} a programmer"),
        context=(
            "We installed it in {month} on {count} machines.",
            "I use it for invoices and letters.",
            "I run it on an old laptop at home.",
            "We switched on a {day} and moved about {count} hundred files across.",
            "I have not opened the calendar.",
            "I had never used anything of the kind before.",
            "I share the account with {company} and we use it every {day}.",
            "It asks for an email address, but you can skip that.",
        ),
        tenses=("present",),
    ),
    Domain(
        name="concerts",
        lasting=False,
        items=dict.fromkeys(("concert", "show", "gig"), "general pace"),
        aspects={
            "band": "general acting pace", "sound": "general sound",
            "singing": "general acting sound", "opening act": "general acting pace",
            "hall": "general comfort", "solos*": "general craft pace",
            "ushers*": "general people", "encore": "general pace craft",
        },
        rivals=("the one last year", "the show in the park", "the recording",
                "the one the night before"),
        who=("who was there", "in the front rows", "near the stage"),
        span=("the {count} hours", "the whole night", "a set of {count} long songs"),
        relative=("which began at {count}", "which {person} had found out about",
                  "which took place on a {day} in the town hall"),
        asides=("we did{no} get there early", "we were{no} near the stage",
                "I had{no} heard the album"),
        context=(
            "It took place on a {day} in the town hall.",
            "I went with {company} and we stood near the back.",
            "There were {count} acts on the bill.",
            "The doors opened at {count} and we had seats on the balcony.",
            "We did not stay for the signing.",
            "I had never heard them live before.",
            "We parked by the river and walked over with {company}.",
            "They played songs from the first {count} albums and a few older ones.",
        ),
    ),
)  # fmt: skip
