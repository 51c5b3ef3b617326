"""Reports of what people did: races, matches, gifts, finds."""

from __future__ import annotations

from kinds import Kind, variants

FEATS = (
    Kind(
        name="match",
        headlines=(
            "{place} beat {place2} in {sport} {stage} before {n} fans",
            "{n} fans see {place} beat {place2} in {sport} {stage}",
            "{place2} lose {sport} {stage} to {place} before {n}",
        ),
        variants=tuple(
            {"sport": sport, "stage": stage}
            for sport in ("hockey", "handball", "football", "rugby", "baseball")
            for stage in ("final", "semifinal", "opener")
        ),
        told=(
            (
                "{place2} had no (answer|chance): {place} "
                "(were better|won) in the {sport} {stage} on {day}.",
                "(The arena was full|All seats were sold), with {n} fans (singing|there).",
            ),
            (
                "In front of {n} fans, {place2} (went down to|lost to) "
                "{place} (on {day}|this weekend).",
                "It was the {stage} of the (year in {sport}|{sport} season).",
            ),
            (
                "{place} (defeated|got past) {place2} on {day} in the {sport} {stage}.",
                "(Some|As many as) {n} fans (had come|watched).",
            ),
            (
                "(It looked good for|The better start was that of) {place2} in the "
                "{sport} {stage}, but {place} (came back and won|turned it around) on {day}.",
                "The (gates|box office) counted {n} fans.",
            ),
        ),
        beside=(
            "(The next match|On {day} the next match) is against {place3}.",
            "{past}, {place3} had beaten {place4} before {n2} fans.",
            "{who2} was the (best player|loudest voice), with {few} (points|shots).",
            "(Coach|Captain) {who2}, (who comes from|once of) {place3}, (had tears|was proud).",
        ),
    ),
    Kind(
        name="race",
        headlines=(
            "{who} wins {place} {race} ahead of {who2}",
            "{who} beats {who2} to win {race} in {place}",
            "{who2} second behind {who} in {place} {race}",
        ),
        variants=variants("race", "marathon", "bicycle race", "ski race", "boat race", "sled race"),
        told=(
            (
                "At the {race} in {place}, {who2} (led for long|was ahead at first) on {day}.",
                "(But|Yet) {who} (passed on the last hill|was faster in the end) and won.",
            ),
            (
                "{who} (came first|was first at the line) on {day}, {few} seconds before {who2}.",
                "The {race} (went through|was held in) {place}.",
            ),
            (
                "Only {who2} (could follow|kept up) when {who} "
                "(ran away with|decided) the {race} of {place} on {day}.",
                "(It was not enough|Second place was the reward).",
            ),
            (
                "{who2} (finished second|had to settle for second place) in the {place} {race}.",
                "The (winner|first) is {who}, (a newcomer|as so often).",
            ),
        ),
        beside=(
            "{who3} of {place3} (came third|was third), (in tears|with a smile).",
            "(There were|Counted were) {n2} starters, {n3} of them for the first time.",
            "{past}, {who3} had won (there|in {place3}) ahead of {who4}.",
            "{who4}, the favorite, (fell|gave up) after {few} miles.",
        ),
    ),
    Kind(
        name="gift",
        headlines=(
            "{who} leaves {n} {goods} to {place} {house}",
            "{place} {house} gets {n} {goods} from {who}",
            "{house} in {place} receives {n} {goods} of {who}",
        ),
        variants=variants(
            "goods house",
            "books; library",
            "maps; library",
            "letters; archive",
            "photographs; archive",
            "paintings; museum",
            "coins; museum",
            "clocks; museum",
            "violins; school",
            "records; school",
            "plants; garden",
            "trees; garden",
        ),
        told=(
            (
                "(The {house} in {place} has been given a "
                "treasure|There is joy at the {house} in {place}).",
                "{who}, who (died {past}|moves away), (left|gave) it {n} {goods}.",
            ),
            (
                "{who} (collected|kept) {n} {goods} (for a lifetime|in the attic).",
                "(Since {day}|Now) they (belong to|are at home in) the {house} of {place}.",
            ),
            (
                "In a (will|letter) (read|opened) on {day}, {who} (wanted|decided that) "
                "{n} {goods} (to go|go) to a {house}, the one in {place}.",
            ),
        ),
        beside=(
            "The {house} in {place2} had (hoped for|counted on) it.",
            "{who2} had (bought|sold) {n2} of the {goods} in {place2} {past}.",
            "(Director|Guide) {who2} needs {n3} (shelves|boxes) for (the lot|storage).",
            "{past}, {who3} had (left|given) {n2} {goods} to {place3}.",
        ),
    ),
    Kind(
        name="find",
        headlines=(
            "{finder} finds {n} old {goods} in {spot} near {place}",
            "{n} old {goods} found in {spot} near {place}",
            "{spot} near {place} holds {n} old {goods}",
        ),
        variants=tuple(
            {"finder": finder, **row}
            for finder in ("farmer", "student", "hiker", "builder", "boy", "diver")
            for row in variants(
                "goods spot",
                "coins; field",
                "coins; cave",
                "pots; field",
                "bones; cave",
                "bones; swamp",
                "letters; cellar",
                "bottles; cellar",
                "swords; swamp",
            )
        ),
        told=(
            (
                "A {finder} (was out near|took a walk near) {place} "
                "on {day} and (stepped into|looked around in) a {spot}.",
                "(There lay|It held) {n} {goods}, hundreds of years old.",
            ),
            (
                "(Hundreds of years old|Older than any house) are the {n} "
                "{goods} that a {finder} (came upon|saw first) on {day}.",
                "The {spot} is (near|close to) {place}.",
            ),
            (
                "Near {place}, a {finder} (dug up|pulled out) {n} {goods} from a {spot}.",
                "(They are very old|Nobody had touched them for ages)(|, experts said on {day}).",
            ),
        ),
        beside=(
            "(Professor|Expert) {who2} of {place2} (dates them|will clean them).",
            "{past}, {n2} {goods} had (been found|come to light) near {place2}.",
            "A (buyer|museum) in {place3} (offers|would pay) {n3} dollars.",
            "{who2} had (searched|looked) there {past} for {n3} hours (for nothing|without luck).",
        ),
    ),
    Kind(
        name="post",
        headlines=(
            "{who} to replace {who2} at {place} {house}",
            "{place} {house} names {who} to follow {who2}",
            "{who2} leaves {place} {house} to {who}",
        ),
        variants=variants("house", "hospital", "theater", "zoo", "orchestra", "college", "museum"),
        told=(
            (
                "(After {few} years|On {day}) {who2} "
                "(steps down as|quits as) head of the {house} in {place}.",
                "{who} (takes over|will follow) (in {month}|soon).",
            ),
            (
                "{who} (becomes|will be) head of the {house} in {place} (in {month}|next year).",
                "The post (was held by|had belonged to) {who2} (until {day}|for {few} years).",
            ),
            (
                "(A new head for|Change at) the {house} in {place}: "
                "{who2} (hands the keys to|makes room for) {who}.",
            ),
            (
                "The {house} in {place} (found|has chosen) {who} as its head on {day}.",
                "{who2} (is retiring|has left) after {few} years.",
            ),
        ),
        beside=(
            "{who3}, the deputy, (had applied too|was not asked).",
            "(There were|The board looked at) {n2} letters, one from {who3} in {place3}.",
            "The {house} had {n2} visitors {past}.",
            "At the {house} in {place3}, {who4} had followed {who3} {past}.",
        ),
    ),
    Kind(
        name="show",
        headlines=(
            "{n} come to {place} to see {who} {show}",
            "{who} {show} draws {n} to {place}",
            "{show} by {who} brings {n} visitors to {place}",
        ),
        variants=variants(
            "show", "exhibition", "puppet theater", "garden", "ballet", "musical", "circus"
        ),
        told=(
            (
                "The {show} of {who} (is a success|fills the halls).",
                "(Since {day}|Within {few} days) {n} people "
                "(have come to|traveled to) {place} for (it|this).",
            ),
            (
                "In {place}, {n} (visitors|people) (stood in line|paid) "
                "for the {show} by {who} (|until {day}).",
            ),
            (
                "{place} (has never seen|had not expected) "
                "such crowds: {n} (people|guests) in {few} days.",
                "(The reason is|What they wanted was) the {show} by {who}.",
            ),
        ),
        beside=(
            "(Before that|{past}), the {show} had drawn {n2} people to {place2}.",
            "The {show} by {who2} drew {n2} to {place3} {past}.",
            "It goes to {place2} in {month}.",
            "{who3} (wrote the music|takes care of the lights) and (lives|was born) in {place3}.",
        ),
    ),
)
"""Kinds of reports."""
