"""Reports of towns and firms: plans, jobs, openings, elections."""

from __future__ import annotations

from kinds import Kind, variants

TRADES = ("Foods", "Motors", "Textiles", "Glass", "Paper", "Toys", "Energy", "Tools")

AFFAIRS = (
    Kind(
        name="jobs",
        headlines=(
            "{firm} {trade} to {verb} {n} jobs in {place}",
            "{n} jobs in {place} to be {done} by {firm} {trade}",
            "{firm} {trade} will {verb} {n} jobs at {place} plant",
        ),
        variants=tuple(
            {"trade": trade, **row}
            for trade in TRADES
            for row in variants(
                "verb done plans news",
                "cut; cut; will let {n} people go; lose their work",
                "cut; cut; no longer needs {n} of its people; have to go",
                "add; added; is looking for {n} new people; find work",
                "add; added; wants to hire {n} people; be hired",
            )
        ),
        told=(
            ("The plant of {firm} {trade} in {place} {plans}(|, it said on {day}).",),
            (
                "On {day} {firm} {trade} (told|spoke to) its (workers|people) in {place}.",
                "(By {month}|Within a year) {n} of them (will|are to) {news}.",
            ),
            (
                "(At|For) {firm} {trade}, {n} people (will|are to) {news} (by {month}|this year).",
                "(The change is for the plant in {place}|It is the {place} plant that changes).",
            ),
        ),
        beside=(
            "Its rival {firm2} {trade} (let {n2} people go|hired {n2} people) in {place2} {past}.",
            "Plants in {place2} and {place3} (stay as they are|see no change).",
            "The firm (sold|made) {n3} (units|pieces) (a day|a week) {past}.",
            "(Manager|Director) {who2} had (denied|promised) it {past} in {place2}.",
        ),
    ),
    Kind(
        name="move",
        headlines=(
            "{firm} {trade} moves {n} workers from {place} to {place2}",
            "{n} {firm} {trade} workers leave {place} for {place2}",
            "{firm} {trade} sends {n} {place} workers to {place2}",
        ),
        variants=tuple({"trade": trade} for trade in TRADES),
        told=(
            (
                "{firm} {trade} will (close|give up) its (office|plant) in {place}(| in {month}).",
                "(Its|The) {n} workers (are to|will) (go on|work) in {place2}.",
            ),
            (
                "In {place2}, {firm} {trade} (has rented|has built) "
                "a (hall|tower) for {n} workers.",
                "They (now work|have worked so far) in {place}, "
                "(which they leave|and move) in {month}.",
            ),
            (
                "(No more|The end of) {place}: {n} workers "
                "of {firm} {trade} (have to|will) (pack|move).",
                "(From {month} on|Soon) their desks (will stand|are) in {place2}.",
            ),
        ),
        beside=(
            "(A site|A house) in {place3} (had been considered|was too dear).",
            "{firm2} {trade} went from {place3} to {place4} {past} with {n2} workers.",
            "(Mayor|Union leader) {who2} (regrets|welcomes) it.",
            "The move (costs|takes) {n3} (dollars|hours), {who2} said.",
        ),
    ),
    Kind(
        name="plan",
        headlines=(
            "{place} council {verdict} {firm} plan for {n} {units}",
            "{firm} plan for {n} {units} {done} by {place} council",
            "council in {place} {verdict} {n} {units} by {firm}",
        ),
        variants=tuple(
            {**row, "units": units}
            for units in ("apartments", "garages", "offices", "parking spaces", "gardens")
            for row in variants(
                "verdict done vote end",
                "approves; approved; voted in favor; may now be built",
                "approves; approved; said yes; got a clear majority",
                "rejects; rejected; voted against it; will not be built",
                "rejects; rejected; said no; found no majority",
                "delays; delayed; could not agree; have to wait until {month}",
                "delays; delayed; put off the vote; will be talked about again in {month}",
            )
        ),
        told=(
            (
                "(After a long debate|On {day}) the council of {place} {vote}.",
                "(It was about {n} {units} by|What was asked for were {n} {units} by) {firm}.",
            ),
            (
                "The {n} {units} that {firm} (planned|wanted to build) {end}.",
                "(That was decided|So it was settled) "
                "(by the council in|in the town hall of) {place} on {day}.",
            ),
            (
                "{firm} (wants|hopes) to build {n} {units} in {place}.",
                "On {day} the council there {vote}.",
            ),
        ),
        beside=(
            "({past}|Not long ago), {place2} (approved|rejected|delayed) {n2} {units} by {firm2}.",
            "(Council member|Lawyer) {who2} spoke for {few} hours.",
            "{firm2} had (offered|drawn) {n2} of them {past} and gave up.",
            "(Neighbors|Opponents) had (collected|handed in) {n3} signatures.",
        ),
    ),
    Kind(
        name="opening",
        headlines=(
            "{place} opens {facility} for {n} {users}",
            "new {place} {facility} has room for {n} {users}",
            "{facility} for {n} {users} opens in {place}",
        ),
        variants=variants(
            "facility users",
            "school; pupils",
            "stadium; fans",
            "theater; guests",
            "clinic; patients",
            "garage; cars",
            "hotel; guests",
            "market; buyers",
            "kindergarten; children",
            "campus; students",
            "harbor; boats",
        ),
        told=(
            (
                "(Music played|Crowds came) in {place} on {day} when the "
                "(new|long awaited) {facility} (was opened|opened its doors).",
                "It (has room for|can take|is made for) {n} {users}.",
            ),
            (
                "(As many as|Up to) {n} {users} (find room in|can use) "
                "a {facility} that (was opened|is open) (since {day}|now).",
                "(It stands|It was built) in {place}(|, by the river).",
            ),
            (
                "After {few} years of work, the {facility} "
                "in {place} is (ready|finished) (|at last).",
                "(The ribbon was cut|It opened) on {day}, and {n} {users} (fit in|have a place).",
            ),
        ),
        beside=(
            "The old {facility}, in {place2}, had room for {n2} {users} (|only).",
            "A {facility} for {n2} {users} (is still being built|is planned) in {place3}.",
            "(Architect|Builder) {who2} (came|drove over) from {place2}.",
            "It (cost|took) {n3} (tons of stone|panes of glass), {firm2} (wrote|said).",
        ),
    ),
    Kind(
        name="election",
        headlines=(
            "{who} elected {office} of {place} by {n} votes",
            "{place} elects {who} as {office} by {n} votes",
            "{who} wins {place} {office} race by {n} votes",
        ),
        variants=variants("office", "mayor", "sheriff", "judge"),
        told=(
            (
                "{who} will be the (next|new) {office} of {place}.",
                "({who2} lost|Opponent {who2} came second) on {day}; "
                "(the margin was|what was missing were) {n} votes.",
            ),
            (
                "On {day}, (voters in|the people of) {place} "
                "(chose|picked) {who} over {who2} as {office}.",
                "(There were|It was a matter of) {n} votes between them.",
            ),
            (
                "{who2} (called|sent flowers to) {who} on {day} and (gave up|conceded).",
                "By {n} votes, {place} (had made the other one|wanted the other one as) {office}.",
            ),
        ),
        beside=(
            "{who3}, (the {office} until now|who did not run again), "
            "(wished both well|had won by {n2} votes).",
            "In {place2}, {who3} was (elected|chosen) {office} {past}.",
            "(Turnout was high|Many came): {n3} people (voted|went to the polls).",
            "(Ballots|Votes) were counted in {place2} by {who3}.",
        ),
    ),
    Kind(
        name="strike",
        headlines=(
            "{n} {workers} strike in {place} over {issue}",
            "{place} {workers} strike: {n} stop work over {issue}",
            "strike over {issue} by {n} {workers} in {place}",
        ),
        variants=tuple(
            {"workers": workers, **row}
            for workers in ("nurses", "teachers", "bus drivers", "miners", "cooks", "pilots")
            for row in variants(
                "issue demand",
                "pay; higher wages",
                "pay; more money",
                "hours; shorter days",
                "hours; longer breaks",
                "safety; better helmets and gloves",
                "safety; fewer accidents",
                "pensions; a better old age",
            )
        ),
        told=(
            (
                "In {place}, {n} {workers} (stayed home|put down their work) on {day}.",
                "(They want|What they ask for is) {demand}.",
            ),
            (
                "(They ask for {demand}|The demand is {demand}): on {day}, "
                "{n} {workers} (marched through|filled the streets of) {place}.",
            ),
            (
                "(Nothing moved|All was quiet) in {place} on "
                "{day}, as {workers} (stayed away|did not come).",
                "(All|The) {n} of them (want|call for) {demand}.",
            ),
        ),
        beside=(
            "(Colleagues|Those) in {place2} (went to work|did not join).",
            "{past}, {n2} {workers} (had struck|stopped work) in {place2} for {few} days.",
            "(Union leader|Speaker) {who2} (thanked|counted) "
            "{n3} (helpers|supporters) in {place3}.",
            "The employer, {firm2}, (offers|has offered) {n3} dollars a year.",
        ),
    ),
)
"""Kinds of reports."""
