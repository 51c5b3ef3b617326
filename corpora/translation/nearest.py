"""How far memory goes on the bundled parallel corpus: the card's table.

Every sentence is answered with the translation of the training sentence that is most like it, by
TF-IDF over words and pairs of words, or over characters.
"""

from __future__ import annotations

from pathlib import Path

import sacrebleu
from sklearn.feature_extraction.text import TfidfVectorizer

HERE = Path(__file__).resolve().parent

VECTORIZERS = {
    "words": TfidfVectorizer(token_pattern=r"\w+"),
    "words and pairs of words": TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2)),
    "characters": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5)),
}


def read(split: str, code: str) -> list[str]:
    return (HERE / f"{split}.{code}").read_text(encoding="utf-8").splitlines()


def answer(split: str, source: str, target: str, how: str) -> list[str]:
    """The translations of the nearest training sentences."""
    vectorizer = VECTORIZERS[how]
    known = vectorizer.fit_transform(read("train", source))
    asked = vectorizer.transform(read(split, source))
    translations = read("train", target)
    return [translations[i] for i in (asked @ known.T).toarray().argmax(axis=1)]


def main() -> None:
    print("| | BLEU | chrF | exact |\n|---|---:|---:|---:|")
    for source, target in (("en", "de"), ("de", "en")):
        references = read("test", target)
        for how in VECTORIZERS:
            found = answer("test", source, target, how)
            bleu = sacrebleu.corpus_bleu(found, [references]).score
            chrf = sacrebleu.corpus_chrf(found, [references]).score
            exact = 100 * sum(map(str.__eq__, found, references)) / len(found)
            print(f"| {source} to {target}, {how} | {bleu:.1f} | {chrf:.1f} | {exact:.1f} % |")
    print(f"\nsacrebleu {sacrebleu.__version__}")


if __name__ == "__main__":
    main()
