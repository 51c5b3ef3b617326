import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.text.sentences import split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        "Dr. J. Smith paid $2.50 at 9 a.m. on Monday. | Why?",
        '"Too much!" he said. | "Is it?" | "It is." | She left.',
        "“No.” | ‘Yes.’ | (Really.) | Fine.",
        "Are you in? | let me know! | thanks",
        "We met in the U.S. | The U.S. Army did not. | Acme Inc. | It fell. | Acme Inc. Holdings rose.",
        "It was late... very late... | Then it ended.",
        "Pages (pp. 3-5) and Fig. 2 show it, i.e. Mr. Hall, e.g. Ms. Li vs. Prof. Ray.",
        "I said no. | He saw No. 5 there.",
        "Version 2.0.1 of www.example.com is out at 10.30. | 12 people came. | 1999 was better.",
        "Take plan B. | We go at 5 p.m. | But on Jan. 5 it rains, etc. | No!",
        "Herr Dr. Meier kommt z.B. bzw. ca. um zehn. | Er bleibt.",
        "What?! | Yes!! | Éric came. | ¿Qué?",
        "他来了。 | 她走了！ | 好吗",
        "he left . | she stayed . | why ?",
        "no capitals here. | none at all. | i see.",
    ],
)
def test_marks(sentences: str) -> None:
    expected = sentences.split(" | ")
    # Chinese sentences stand side by side, but may have spaces between them.
    assert split_sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Budget\n\nIt is late\n \n\nagain", ["Budget", "It is late", "again"]),
        ("Hello Ann,\nSee you\r\nBob", ["Hello Ann,", "See you", "Bob"]),
        ("It goes on\nin the next line.\nthanks,\nAnn", ["It goes on in the next line.", "thanks,", "Ann"]),
        ("1. Buy milk.\n2.) Call\n- a\n- b\n* c", ["1. Buy milk.", "2.) Call", "- a", "- b", "* c"]),
        ("hi bob\nlet me know\nann", ["hi bob", "let me know", "ann"]),
        (
            "A paragraph that was wrapped at sixty characters, as in\n"
            "London letters were, has names at the beginning of\n"
            "Lines. Then it\nEnds.",
            [
                "A paragraph that was wrapped at sixty characters, as in London letters were, has "
                "names at the beginning of Lines.",
                "Then it",
                "Ends.",
            ],
        ),
        ("----\nOne\n====\nTwo\n. . .", ["---- One ====", "Two . . ."]),
        ("...", ["..."]),
        (" \n\t ", []),
        ("", []),
    ],
)  # fmt: skip
def test_lines(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@given(st.text(alphabet=st.sampled_from("aAb1 .!?…\n\r\"')(-,。’“"), max_size=60))
def test_nothing_is_lost_and_every_sentence_says_something(text: str) -> None:
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence == " ".join(sentence.split()) for sentence in sentences)
    worded = [any(map(str.isalnum, sentence)) for sentence in sentences]
    assert all(worded) or len(sentences) == 1


@pytest.mark.parametrize(
    "unit", ["word ", "Mr. ", "A b. ", ".", " ", "\n", "a\n", ". ", '. "', "(", "!\n", "\n \n", "1"]
)
def test_work_is_linear(unit: str) -> None:
    # A step that went back over the text would take hours here, and not a fraction of a second.
    count = 300_000 // len(unit)
    sentences = split_sentences(unit * count + "x")
    assert sum(map(len, sentences)) <= len(unit) * count + 1


def test_a_long_text() -> None:
    text = "The cat sat on the mat at 5 p.m. on Monday. " * 10_000
    assert split_sentences(text) == ["The cat sat on the mat at 5 p.m. on Monday."] * 10_000
