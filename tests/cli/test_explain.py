"""`seqnlp predict --explain copy`: lines in the terminal, and a page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from seqnlp.cli import explain
from seqnlp.cli.copy_page import FOOT, HEAD, article
from seqnlp.cli.explain import context, lines
from seqnlp.tasks.copying import CopyExplanation, Origin, WrittenWord
from tests.cli.calling import call

TEXT = "On Friday Kadir lost a mill. Mosel was there and saw it."


def word(text: str, copied: float, *origins: tuple[int, float]) -> WrittenWord:
    found = tuple(Origin(place=place, probability=share) for place, share in origins)
    return WrittenWord(text=text, copied=copied, origins=found)


SMALL = CopyExplanation(
    source=("on", "friday", "kadir", "lost", "a", "mill.", "mosel", "was", "there"),
    words=(
        word("kadir", 0.97, (2, 0.9), (6, 0.07), (1, 0.03)),
        word("loses", 0.02, (3, 0.02)),
        word("二重", 0.5, (5, 0.3), (4, 0.1), (0, 0.06), (7, 0.05)),
    ),
)


def test_a_word_to_a_line_and_its_origins_in_context() -> None:
    assert [line.plain for line in lines(SMALL, width=60)] == [
        "kadir  copied     97 %  word 3  90 %  on friday [kadir] …",
        "                        word 7   7 %  … mill. [mosel] was …",
        "loses  generated  98 %",
        "二重   copied     50 %  word 6  30 %  … a [mill.] mosel …",
        "                        word 5  10 %  … lost [a] mill. …",
        "                        word 1   6 %  [on] friday kadir …",
    ]


@given(
    st.lists(st.text("ab二", min_size=1, max_size=30), min_size=1, max_size=12),
    st.data(),
    st.integers(12, 60),
)
def test_a_context_fits_its_room(source: list[str], data: st.DataObject, room: int) -> None:
    place = data.draw(st.integers(0, len(source) - 1))
    found = context(source, place, room=room)
    assert found.cell_len <= room
    before, _, rest = found.plain.partition("[")
    shown, _, behind = rest.partition("]")
    assert source[place].startswith(shown.removesuffix("…"))
    assert shown == source[place] or cell_len(source[place]) > room - 6
    around = [each for each in before.split() if each != "…"]
    assert source[place - len(around) : place] == around
    after = [each for each in behind.split() if each != "…"]
    assert source[place + 1 :][: len(after)] == after
    assert ("…" in before) == (len(around) < place)
    assert ("…" in behind) == (place + 1 + len(after) < len(source))


def test_explanations_go_to_standard_error(
    capfd: pytest.CaptureFixture[str], reports_run: Path
) -> None:
    words = ["predict", reports_run, "--explain", "copy", TEXT, "", "Sarah sold a boat."]
    status, out, err = call(capfd, *words, "--beam", 3, "--n-best", 2)
    assert status == 0
    answers = [line.split("\t")[2] for line in out.splitlines()]
    assert [answers[0], *answers[2:4]] == ["kadir loses a mill", "", "sarah sells a boat"]
    shown = [line.split() for line in err.splitlines()]
    assert [row[0] for row in shown] == [*answers[0].split(), *answers[3].split()]
    assert shown[0][1] == "copied"
    assert shown[0][4:6] == ["word", "3"]
    assert "on friday [kadir] lost" in err.splitlines()[0]
    assert shown[1][1] == "generated"


class Page(HTMLParser):
    """What stands in a page: the attributes and text of each element, by its article."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.articles: list[dict[str, list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "article":
            self.articles.append({"from": [], "place": [], "text": []})
        for key in ("from", "place"):
            if (value := given.get(f"data-{key}")) is not None:
                self.articles[-1][key].append(value)

    def handle_data(self, data: str) -> None:
        if self.articles:
            self.articles[-1]["text"] += data.split()


def test_a_page_has_all_that_it_needs(
    capfd: pytest.CaptureFixture[str], reports_run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    texts = [TEXT, "", "<Tom> & Sarah sold a boat."]
    status, out, err = call(capfd, "predict", reports_run, "--explain", "copy", file, *texts)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 3
    page = Page(file.read_text())
    assert len(page.articles) == 3
    for part in page.articles:
        named = {pair.split(":")[0] for each in part["from"] for pair in each.split()}
        assert named == set(part["place"])
    first, empty, marks = page.articles
    assert first["from"][0].startswith("2:")
    assert first["text"][:4] == ["kadir", "loses", "a", "mill"]
    assert " ".join(first["text"][4:]) == TEXT.lower()
    assert empty["text"] == ["An", "empty", "text."]
    assert {"<", "tom", ">", "&"} <= set(marks["text"])
    # Nothing is loaded from anywhere, nor could be.
    assert not {"src", "href"} & {key for _, given in page.tags for key in given}
    policy = next(given["content"] for _, given in page.tags if "http-equiv" in given)
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http:" not in file.read_text()
    assert "https:" not in file.read_text()


def test_a_page_escapes_what_it_shows() -> None:
    found = CopyExplanation(source=('"<i>"', "b"), words=(word('<b>"', 1.0, (0, 1.0)),))
    shown = article(1, "", found)
    assert "<b>" not in shown
    assert "<i>" not in shown
    assert (
        'title="&lt;b&gt;&quot;: copied with a probability of 100 %, from word 1 (100 %)"' in shown
    )
    retrieved = article(2, "<u>", None)
    assert "&lt;u&gt;" in retrieved
    assert "Taken whole from a training example." in retrieved
    assert len(Page(HEAD + shown + retrieved + FOOT).articles) == 2


def test_a_page_ends_after_so_many_texts(
    capfd: pytest.CaptureFixture[str],
    reports_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explain, "MOST_TEXTS", 2)
    file = tmp_path / "page.htm"
    words = ["predict", reports_run, *[TEXT] * 4, "--explain=copy", file]
    status, out, err = call(capfd, *words)
    assert (status, len(out.splitlines())) == (0, 4)
    assert err == "note: the page has the first 2 texts\n"
    assert file.read_text().count("<article") == 2
    assert file.read_text().endswith("</html>\n")


def test_json_has_the_places_of_tokens(
    capfd: pytest.CaptureFixture[str], reports_run: Path
) -> None:
    words = ["predict", reports_run, TEXT, "--format", "jsonl"]
    _, out, _ = call(capfd, *words, "--explain", "copy")
    record = json.loads(out)
    best = record["hypotheses"][0]
    token, source, share = best["copied"][0]
    assert best["tokens"][token] == record["source_tokens"][source] == "kadir"
    assert 0.9 < share <= 1
    _, out, _ = call(capfd, *words)
    assert "copied" not in json.loads(out)["hypotheses"][0]


@pytest.mark.parametrize("name", ["pairs_run", "toy_run", "extracts_run"])
def test_what_copies_nothing_says_so(
    capfd: pytest.CaptureFixture[str], name: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(name)
    status, out, err = call(capfd, "predict", run, "a text", "--explain", "copy")
    assert (status, out) == (2, "")
    task = {"pairs_run": "translation", "extracts_run": "extraction"}.get(name, "sentiment")
    assert err.endswith(
        "--explain copy is for models that copy words: of a task that writes, trained with "
        f"head.copying = true; this one is of the task '{task}'\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--explain", "attention"], "'attention' is not 'copy'"),
        (["--explain", "copy", "page.xhtml"], "--explain copy page.xhtml: a page ends in .html or .htm"),
        (["--explain", "copy", "nowhere/page.html"], "cannot write nowhere/page.html: No such file"),
        (["--explain", "copy", "a.html", "--output", "a.html"], "--explain copy a.html: that of --output, too"),
    ],
    ids=["kind", "ending", "folder", "twice"],
)  # fmt: skip
def test_what_is_refused(
    capfd: pytest.CaptureFixture[str],
    reports_run: Path,
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capfd, "predict", reports_run, TEXT, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())
