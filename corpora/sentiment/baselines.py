"""Bag-of-words baselines of the card: `python corpora/sentiment/baselines.py` (scikit-learn)."""

from __future__ import annotations

from pathlib import Path

from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB

HERE = Path(__file__).resolve().parent
TOKEN = r"[\w']+|[^\w\s]"


def read(split: str) -> tuple[list[str], list[str]]:
    lines = (HERE / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return [text for _, text in rows], [label for label, _ in rows]


def main() -> None:
    (train, y), (validation, y_val), (test, y_test) = map(read, ("train", "validation", "test"))
    for weighting, make in (("counts", CountVectorizer), ("tf-idf", TfidfVectorizer)):
        for longest in (1, 2, 3):
            vectorizer = make(ngram_range=(1, longest), token_pattern=TOKEN)
            x = vectorizer.fit_transform(train)
            x_val, x_test = vectorizer.transform(validation), vectorizer.transform(test)
            for name, models in (
                ("LR", [LogisticRegression(C=c, max_iter=2000) for c in (0.01, 0.1, 1, 10, 100)]),
                ("NB", [MultinomialNB(alpha=alpha) for alpha in (0.1, 1, 10)]),
            ):
                best = max((model.fit(x, y) for model in models),
                           key=lambda model: model.score(x_val, y_val))  # fmt: skip
                score = 100 * best.score(x_test, y_test)
                print(f"{weighting}, n-grams up to {longest}, {name}: {score:.1f}", flush=True)


if __name__ == "__main__":
    main()
