"""Reports of what went wrong: fires, floods, thefts and the like."""

from __future__ import annotations

from kinds import Kind, variants

MISHAPS = (
    Kind(
        name="fire",
        headlines=(
            "{building} fire in {place} drives {n} from homes",
            "{n} leave their homes after {building} fire in {place}",
            "fire at {place} {building} displaces {n} people",
        ),
        variants=variants("building", "warehouse", "bakery", "cinema", "school", "garage", "hotel"),
        told=(
            (
                "(A fire|A blaze|Fire) broke out (at|in) a {building} in {place} on {day}.",
                "(Smoke|Heat) (made {n} people move to|sent {n} residents to) a gym(| overnight).",
            ),
            (
                "In {place}, {n} (people|neighbors) had to leave their homes on {day}.",
                "(The reason was|They fled from) flames in a {building} (nearby|down the street).",
            ),
            (
                "(Crews|Firefighters) (needed|took) {few} hours to put "
                "out a {building} that (burned|was on fire) in {place}.",
                "(Shelters were found|Beds were set up) for the "
                "{n} (residents|people) (around it|next to it).",
            ),
        ),
        beside=(
            "(A much larger|Another) fire, in {place2} "
            "{past}, drove {n2} people (away|from their homes).",
            "(Engines|Trucks) came (over|to help) from {place2} and {place3}.",
            "The {building} had been (sold|painted) {past} for {n3} dollars by {who2}.",
            "(Fire chief|Captain) {who2} said that {n3} (buckets|gallons) of foam were used.",
        ),
    ),
    Kind(
        name="flood",
        headlines=(
            "{disaster} damages {n} {things} in {place}",
            "{n} {things} damaged by {disaster} in {place}",
            "{place} counts {n} damaged {things} after {disaster}",
        ),
        variants=variants(
            "disaster things event",
            "flood; homes; the river rose",
            "flood; cars; the river left its bed",
            "storm; roofs; strong winds came through",
            "storm; trees; winds blew all night",
            "hail; cars; ice fell from the sky",
            "hail; greenhouses; lumps of ice came down",
            "snow; roofs; it snowed for days",
            "snow; barns; more snow fell than ever",
        ),
        told=(
            (
                "(Residents of {place} woke up to a mess|People in {place} are cleaning up) "
                "after {event} on {day}.",
                "(The town counted|Insurers count) {n} {things} that (need repair|were hit).",
            ),
            (
                "At least {n} {things} (were hit|need repair) "
                "in {place} when {event} (on {day}|this week).",
            ),
            (
                "On {day} {event}, and "
                "(nowhere was it as bad as in {place}|{place} took the worst of it).",
                "(Owners|Insurers) there (reported|wrote down) {n} broken {things}.",
            ),
        ),
        beside=(
            "(Neighboring|Nearby) {place2} was spared, (but for|except for) {n2} (cellars|fences).",
            "{past}, {n2} {things} were (hit|broken) in {place2}.",
            "(Mayor|Engineer) {who2} of {place2} (sent|lent) {n3} (pumps|blankets).",
            "(A warning|The forecast) had named {place2} and {place3} (instead|only).",
        ),
    ),
    Kind(
        name="spill",
        headlines=(
            "truck loses {n} {goods} on road to {place}",
            "{n} {goods} fall off truck bound for {place}",
            "truck on its way to {place} drops {n} {goods}",
        ),
        variants=variants(
            "goods", "eggs", "bottles", "melons", "bricks", "pumpkins", "shoes", "cans"
        ),
        told=(
            (
                "A truck (bound for|headed for|on the way to) "
                "{place} (tipped over|lost its load) on {day}.",
                "(Drivers had to slow down for|The road was covered with|Crews swept up) "
                "{n} {goods}.",
            ),
            (
                "Some {n} {goods} (lay|were strewn) (on|over) the (road|highway) on {day}.",
                "They (fell from|came off) a truck that was "
                "(taking them|driving) from {place2} to {place}.",
            ),
            (
                "{who} (set out|left) from {place2} with a truck on {day}, loaded with {n} "
                "{goods}, and not one (got|came) to {place}, "
                "where they were to be (sold|delivered).",
                "The (back door|tailgate) (opened|broke) in a curve.",
            ),
        ),
        beside=(
            "The (firm|owner) in {place4} has (lost|dropped) loads before, {n2} {goods} {past}.",
            "(The driver, {who3},|Driver {who3}) was not hurt and had {n3} miles behind (him|her).",
            "(Traffic|Cars) had to go (through|around by) {place3}.",
            "{who3} from {place3} (took|carried) {n2} of them home.",
        ),
    ),
    Kind(
        name="theft",
        headlines=(
            "thieves take {n} {goods} from {shop} in {place}",
            "{n} {goods} stolen from {place} {shop}",
            "{shop} in {place} loses {n} {goods} to thieves",
        ),
        variants=variants(
            "goods shop",
            "bicycles; shop",
            "watches; shop",
            "coats; shop",
            "pies; bakery",
            "cakes; bakery",
            "books; library",
            "maps; library",
            "coins; museum",
            "masks; museum",
            "chairs; school",
            "laptops; school",
        ),
        told=(
            (
                "(Somebody|A gang) broke into a {shop} in "
                "{place} (on {day} night|over the weekend).",
                "(Missing are|Gone are) {n} {goods}(|, police said).",
            ),
            (
                "(The police are|Officer {who} is) looking for {n} "
                "{goods} (that vanished|that were taken) on {day}.",
                "They (had been kept in|belong to) a {shop} in {place}.",
            ),
            (
                "When the {shop} in {place} opened on {day}, "
                "(its back door was broken|its window was gone) "
                "and {n} {goods} (were missing|had disappeared).",
            ),
        ),
        beside=(
            "(In a like case|In another case), in {place2} "
            "{past}, {n2} {goods} (were stolen|were taken).",
            "The owner, {who2}, (offers|promises) {n3} dollars for (hints|help).",
            "A van from {place2} was seen (nearby|at the back).",
            "(Police|Officers) had (caught|found) thieves with {n2} {goods} in {place3} {past}.",
        ),
    ),
    Kind(
        name="rescue",
        headlines=(
            "{helpers} save {n} {animals} from {danger} near {place}",
            "{n} {animals} saved from {danger} near {place}",
            "{helpers} near {place} bring {n} {animals} out of {danger}",
        ),
        variants=variants(
            "helpers animals danger where",
            "firefighters; sheep; flood; a field under water",
            "firefighters; horses; fire; a burning barn",
            "soldiers; cows; flood; a meadow under water",
            "soldiers; goats; snow; a pasture under deep snow",
            "students; frogs; drought; a pond that fell dry",
            "students; fish; drought; a creek that fell dry",
            "volunteers; chickens; fire; a henhouse in flames",
            "volunteers; sheep; snow; a hillside under deep snow",
        ),
        told=(
            (
                "(It took|They needed) {few} hours (on {day}|of work), but "
                "in the end {helpers} had {n} {animals} (safe|in safety).",
                "The {animals} (were stuck in|could not leave) {where} near {place}.",
            ),
            (
                "Near {place}, {helpers} (brought|led|carried) "
                "{n} {animals} out of {where} on {day}.",
            ),
            (
                "(A call|Word) came (to|from) {place} on {day}: "
                "{animals} (were caught|were trapped) in {where}.",
                "By (evening|noon), {helpers} (had rescued|had saved) {n} of them.",
            ),
        ),
        beside=(
            "{past}, only {n2} {animals} could be (saved|brought out) near {place2}.",
            "The owner, {who2} of {place2}, (keeps|has) "
            "another {n2} {animals} (at home|elsewhere).",
            "(Boats|Tractors) were (lent|sent) by {who2} from {place3}.",
            "(The work|Everything) was paid for with {n3} dollars from {place2}.",
        ),
    ),
    Kind(
        name="recall",
        headlines=(
            "{firm} {trade} recalls {n} {goods} over {fault}",
            "{firm} {trade} wants {n} {goods} back for {fault}",
            "{n} {goods} by {firm} {trade} recalled over {fault}",
        ),
        variants=variants(
            "trade goods fault trouble",
            "Motors; vans; weak brakes; stop too late",
            "Motors; buses; bad doors; open while driving",
            "Toys; dolls; sharp edges; may cut a child",
            "Toys; robots; hot batteries; get too warm",
            "Foods; pizzas; glass pieces; may have splinters in them",
            "Foods; soups; wrong labels; name the wrong things on the can",
            "Tools; drills; loose wires; may give a shock",
            "Tools; ladders; weak steps; break too soon",
        ),
        told=(
            (
                "(Anyone|Whoever) bought {goods} from {firm} {trade} "
                "should bring them back(|, the maker said on {day}).",
                "(The {n} pieces|All {n} of them) {trouble}.",
            ),
            (
                "{firm} {trade} (is taking|takes) back {n} {goods} that {trouble}.",
                "(Customers|Buyers) get their money back (from {day} on|at once).",
            ),
            (
                "(Tests|Checks) on {day} (found|showed) {goods} that {trouble}.",
                "(Some|About) {n} were sold by {firm} {trade}, which wants them (back|returned).",
            ),
        ),
        beside=(
            "{firm2} {trade} had a like problem {past} with {n2} {goods}.",
            "{who2} of {place2} (noticed|saw) it first.",
            "(Goods|Those) made by {firm2} {trade} in {place2} are not (concerned|meant).",
            "(Shares|The stock) fell, and {n3} people called the (hotline|help line) in {place3}.",
        ),
    ),
)
"""Kinds of reports."""
