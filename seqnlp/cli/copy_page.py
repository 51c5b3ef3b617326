"""A page that shows what answers copied: one file, which loads nothing."""

from __future__ import annotations

from html import escape

from seqnlp.tasks.copying import CopyExplanation, WrittenWord

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What was copied</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
article { border-top: 1px solid #8888; padding: 1rem 0; }
.output { font-size: 1.2rem; margin: 0; }
.output span { border-radius: .2em; padding: .1em .15em; cursor: default;
  background: rgb(40 120 230 / calc(var(--p) * 45%)); }
.output span:hover, .output span:focus { outline: 2px solid rgb(40 120 230); }
.said { min-height: 1.6em; margin: .3rem 0 .8rem; opacity: .75; font-size: .9rem; }
.source { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.source span { border-radius: .2em; }
.source span.from { outline: 1px solid rgb(230 120 20);
  background: rgb(240 140 30 / calc(20% + var(--p) * 60%)); }
</style>
</head>
<body>
<h1>What was copied</h1>
<p>Point at a word of an answer, or reach it with the Tab key: its sources light up. The bluer a
word, the more probable that it was copied and not generated.</p>
"""

FOOT = """<script>
for (const article of document.querySelectorAll("article")) {
  const said = article.querySelector(".said");
  const clear = () => {
    for (const word of article.querySelectorAll(".from")) word.classList.remove("from");
    said.textContent = "";
  };
  const show = (word) => {
    clear();
    said.textContent = word.title;
    for (const pair of word.dataset.from.split(" ").filter(Boolean)) {
      const [place, share] = pair.split(":");
      const source = article.querySelector(`.source [data-place="${place}"]`);
      source.style.setProperty("--p", share);
      source.classList.add("from");
    }
  };
  for (const word of article.querySelectorAll(".output span")) {
    word.addEventListener("mouseenter", () => show(word));
    word.addEventListener("focus", () => show(word));
    word.addEventListener("mouseleave", clear);
    word.addEventListener("blur", clear);
  }
}
</script>
</body>
</html>
"""


def article(number: int, output: str, found: CopyExplanation | None) -> str:
    """The part of the page for one text.

    Args:
        number: of the text, from 1.
        output: its answer.
        found: None where nothing is to be explained.
    """
    if found is None:
        note = "Taken whole from a training example." if output else "An empty text."
        shown, said, source = escape(output), note, ""
    else:
        shown, said = " ".join(map(_word, found.words)), ""
        origins = {each.place for word in found.words for each in word.origins}
        source = " ".join(
            f'<span data-place="{place}">{escape(word)}</span>'
            if place in origins
            else escape(word)
            for place, word in enumerate(found.source)
        )
    return (
        f'<article id="text-{number}" aria-label="Text {number}">\n'
        f'<p class="output">{shown}</p>\n'
        f'<p class="said" aria-live="polite">{said}</p>\n'
        f'<p class="source">{source}</p>\n'
        "</article>\n"
    )


def _word(word: WrittenWord) -> str:
    places = " ".join(f"{each.place}:{each.probability:.3f}" for each in word.origins)
    return (
        f'<span tabindex="0" style="--p:{word.copied:.3f}" data-from="{places}" '
        f'title="{escape(_summary(word))}">{escape(word.text)}</span>'
    )


def _summary(word: WrittenWord) -> str:
    """A word's origins in words, numbered from 1."""
    share = f"{word.text}: copied with a probability of {100 * word.copied:.0f} %"
    places = ", ".join(
        f"word {each.place + 1} ({100 * each.probability:.0f} %)" for each in word.origins
    )
    return f"{share}, from {places}" if places else share
