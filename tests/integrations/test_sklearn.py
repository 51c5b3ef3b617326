"""`SequenceClassifier` as users of scikit-learn know estimators."""

from __future__ import annotations

import json
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import seqnlp
from seqnlp.config import Settings
from seqnlp.errors import BundleError, InputError, SettingsError, UnknownNameError
from seqnlp.integrations import fitting
from seqnlp.integrations.sklearn import FAILED_CHECKS, EstimatorError, SequenceClassifier
from seqnlp.training.run import train
from tests.cli.calling import call
from tests.integrations.numbers import NumbersAsTexts
from tests.toy import rows, small_settings

TEXTS = [text for _, text in rows()]
LABELS = np.array([label for label, _ in rows()])
TRAIN, TEST = slice(0, None, 2), slice(1, None, 2)
QUIET = {"hooks.dropout": False}
SMALL: dict[str, Any] = {
    "embedding_size": 12, "hidden_size": 8, "ngram_buckets": 50, "epochs": 4, "lr": 0.05, "batch_size": 16,
    "settings": QUIET,
}  # fmt: skip
TINY: dict[str, Any] = {
    "embedding_size": 6, "hidden_size": 4, "ngram_buckets": 0, "epochs": 8, "lr": 0.05, "batch_size": 16,
    "bidirectional": False, "settings": QUIET,
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted() -> SequenceClassifier:
    """Read only."""
    return SequenceClassifier(**SMALL).fit(TEXTS[TRAIN], LABELS[TRAIN])


def shares(model: seqnlp.Model, texts: list[str]) -> np.ndarray:
    return np.array([list((p.probabilities or {}).values()) for p in model.predict(texts)])


def test_scikit_learns_own_checks_pass_but_for_those_that_are_listed() -> None:
    failed, known = [], set()

    def note(*, check_name: str, status: str, exception: object, **_: object) -> None:
        known.add(check_name)
        if status in ("failed", "xfail"):
            failed.append((check_name, exception))

    check_estimator(
        NumbersAsTexts(**{**TINY, "batch_size": 64, "epochs": 10, "lr": 0.1}), expected_failed_checks=FAILED_CHECKS, on_fail=None, on_skip=None,
        callback=note,
    )  # fmt: skip
    assert {name for name, _ in failed} == set(FAILED_CHECKS) <= known, failed
    assert len(known) > 50


def test_it_learns_and_answers_as_the_library_does(fitted: SequenceClassifier) -> None:
    assert fitted.score(TEXTS[TEST], LABELS[TEST]) == 1.0
    assert fitted.classes_.tolist() == ["negative", "positive"]
    found = fitted.predict_proba(TEXTS)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(found, shares(fitted.model_, TEXTS))
    np.testing.assert_allclose(fitted.predict_log_proba(TEXTS), np.log(found))
    assert fitted.predict([]).shape == (0,)
    assert fitted.predict_proba([]).shape == (0, 2)


@pytest.mark.parametrize(
    "given",
    [
        np.array(TEXTS), np.array(TEXTS, dtype=object)[:, None], tuple(TEXTS), pd.Series(TEXTS),
        pd.DataFrame({"text": TEXTS}), (text for text in TEXTS),
    ],
    ids=["array", "column", "tuple", "series", "table", "generator"],
)  # fmt: skip
def test_texts_come_in_many_containers(fitted: SequenceClassifier, given: Any) -> None:
    np.testing.assert_array_equal(fitted.predict_proba(given), fitted.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a text", "X is one text; expected a list of texts"),
        (3, "X is a int; expected a list of texts"),
        ({"text": ["a"]}, "X is a dict; expected a list of texts"),
        (["a", None], "X[1] is a NoneType; expected a text"),
        (["a", float("nan")], "X[1] is a float, nan; expected a text"),
        ([b"a", "b"], "X[0] is a bytes, b'a'; expected a text"),
        (np.ones(2), "X[0] is a float, 1.0; expected a text"),
        (pd.DataFrame({"one": ["a", "b"], "other": ["c", "d"]}),
         "X has the shape (2, 2); expected one column of texts, such as ColumnTransformer chooses "
         "by its name"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused(texts: Any, message: str) -> None:
    with pytest.raises(EstimatorError) as error:
        SequenceClassifier(**TINY).fit(texts, ["x", "y"])
    assert str(error.value) == message
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize(
    ("y", "more", "message"),
    [
        (["x"], {}, "y has 1 labels for 2 texts: inconsistent numbers of samples"),
        (["x", "x"], {}, "a classifier needs texts of two classes or more; y has one class, 'x'"),
        (["x", "y"], {"sample_weight": [1]}, "sample_weight has 1 weights for 2 texts: inconsistent numbers of samples"),
        (["x", "y"], {"sample_weight": [1, -2]}, "sample_weight[1] is -2; expected a finite number, 0 or more"),
        (["x", "y"], {"sample_weight": [[1], [1]]}, "sample_weight has the shape (2, 1); expected (2,)"),
        (["x", "y"], {"sample_weight": [0, 0]}, "sample_weight is zero for every text; nothing is left to learn from"),
    ],
)  # fmt: skip
def test_labels_and_weights_that_do_not_fit_are_refused(
    y: Any, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(EstimatorError) as error:
        SequenceClassifier(**TINY).fit(["a", "b"], y, **more)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"cell": "gruu"}, UnknownNameError, r"^no cell is named 'gruu'; did you mean 'gru'"),
        ({"hidden_size": 0}, SettingsError, r"^SequenceClassifier: model.hidden_size: "),
        ({"settings": {"train.epoch": 3}}, SettingsError, r"no key 'train.epoch'; did you mean 'epochs'"),
        ({"settings": "nothing.toml"}, SettingsError, r"^nothing.toml: no such recipe; "),
        ({"settings": Settings(task="translation")}, InputError,
         r"^the settings are of the task 'translation'; a classifier has 'sentiment'$"),
        ({"class_weight": "even"}, EstimatorError,
         r"^class_weight is 'even'; expected 'balanced', or a mapping of class to weight$"),
        ({"class_weight": {"z": 1}}, EstimatorError,
         r"^class_weight has 'z', which is no class of y: 'x', 'y'$"),
        ({"class_weight": {"x": 0}}, EstimatorError,
         r"^class_weight\['x'\] is 0; expected more than 0$"),
        ({"class_weight": {"x": "1"}}, EstimatorError,
         r"^class_weight\['x'\] is '1'; expected more than 0$"),
        ({"class_weight": [1, 2]}, EstimatorError,
         r"^class_weight is \[1, 2\]; expected 'balanced', or a mapping of class to weight$"),
        ({"random_state": "x"}, SettingsError,
         r"^SequenceClassifier: random_state: a whole number or a RandomState is expected, not 'x'"),
        ({"random_state": 1.5}, SettingsError, r"random_state: a whole number .*, not 1.5$"),
        ({"settings": 5}, SettingsError,
         r"^SequenceClassifier: settings: settings, a recipe or a mapping are expected, not 5$"),
        ({"validation_share": "x"}, SettingsError, r"^SequenceClassifier: corpus.validation_share: .*'x'"),
    ],
)  # fmt: skip
def test_parameters_that_say_nothing_sensible(
    parameters: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        SequenceClassifier(**parameters).fit(["a b", "c d"], ["x", "y"])


@pytest.mark.parametrize(
    ("labels", "kind"),
    [([False, True], "b"), ([-1, 10], "i"), ([1.0, 2.0], "f"), (["", "a"], "U"),
     (np.array(["no", "yes"], dtype=object), "O"), (np.array(["2020-01", "2021-01"], "M8[M]"), "M")],
)  # fmt: skip
def test_labels_of_any_type_come_back_as_they_were(labels: Any, kind: str, tmp_path: Path) -> None:
    y = np.asarray(labels)[(LABELS == "positive").astype(int)]
    made = SequenceClassifier(**SMALL).fit(TEXTS[TRAIN], y[TRAIN])
    answers = made.predict(TEXTS[TEST])
    assert answers.dtype == y.dtype
    assert answers.dtype.kind == kind
    np.testing.assert_array_equal(answers, y[TEST])
    made.save(tmp_path / "model")
    again = SequenceClassifier.load(tmp_path / "model")
    assert again.classes_.dtype == y.dtype
    np.testing.assert_array_equal(again.predict(TEXTS[TEST]), answers)


def test_numbers_keep_their_columns_whatever_their_names_sort_like() -> None:
    y = np.array([[10, -2], [9, 100]])[
        (LABELS == "positive").astype(int), [n % 2 for n in range(len(TEXTS))]
    ]
    made = SequenceClassifier(**SMALL).fit(TEXTS, y)
    assert made.classes_.tolist() == [-2, 9, 10, 100]
    assert made.model_.task.labels != tuple(map(str, made.classes_))
    best = made.predict_proba(TEXTS).argmax(1)
    answers = [int(answer.output) for answer in made.model_.predict(TEXTS)]
    assert made.predict(TEXTS).tolist() == made.classes_[best].tolist() == answers


def test_a_saved_estimator_is_a_model_and_a_trained_run_an_estimator(
    fitted: SequenceClassifier, toy_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    fitted.save(folder)
    np.testing.assert_array_equal(shares(seqnlp.load(folder), TEXTS), fitted.predict_proba(TEXTS))
    status, out, err = call(capfd, "predict", folder, TEXTS[0])
    assert (status, out.split("\t")[0], err) == (0, fitted.predict(TEXTS[:1])[0], "")
    assert call(capfd, "show", folder)[0] == 0
    card = (folder / "README.md").read_text()
    assert "It has not been measured on examples that it was not trained on.\nThe weights" in card
    assert "| split |" not in card
    assert call(capfd, "evaluate", folder) == (
        2, "", "error: the model was trained on examples in memory, which no file has; name a "
        "corpus: --corpus, or corpus.name\n",
    )  # fmt: skip
    of_run = SequenceClassifier.load(toy_run)
    np.testing.assert_array_equal(of_run.predict_proba(TEXTS), shares(seqnlp.load(toy_run), TEXTS))
    assert of_run.classes_.tolist() == ["negative", "positive"]
    assert clone(of_run).settings == seqnlp.load(toy_run).settings


def test_a_folder_that_is_no_classifier(
    fitted: SequenceClassifier, pairs_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"a model of the task 'translation'; a classifier has 'sentiment'$"
    ):
        SequenceClassifier.load(pairs_run)
    with pytest.raises(NotFittedError):
        SequenceClassifier().save(tmp_path / "none")
    fitted.save(tmp_path)
    path = tmp_path / "metrics.json"
    metrics = json.loads(path.read_text())
    damages: list[Any] = [
        {"type": "<U8", "values": ["one"]},
        {"type": "what"},
        [],
        {"type": "<M8", "values": []},
        {"type": "<M8[D]", "values": ["one", "two"]},
        {"type": "<U2000000000", "values": ["negative", "positive"]},
        {"type": "<i8", "values": [10**30, 0]},
        {"type": "(1,i4", "values": []},
    ]
    for damage in damages:
        path.write_text(json.dumps({**metrics, "classes": damage}))
        with pytest.raises(
            BundleError, match=re.escape(f"{path}: damaged: no classes of this model: ")
        ):
            SequenceClassifier.load(tmp_path)


def test_fit_trains_what_the_command_line_trains(toy_corpus: Path, tmp_path: Path) -> None:
    lines = (toy_corpus / "train.tsv").read_text().splitlines()
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    settings = small_settings(tmp_path, "seed=3", "train.epochs=2", "corpus.test_share=0")
    model = train(settings)
    y, X = zip(*(line.split("\t") for line in lines[1:]), strict=True)
    made = SequenceClassifier(settings=settings).fit(X, y)
    np.testing.assert_array_equal(made.predict_proba(TEXTS), shares(model, TEXTS))
    more = {"ensemble": 2, "train": settings.train.model_copy(update={"refit": True})}
    both = settings.model_copy(update=more)
    ensemble = SequenceClassifier(settings=both).fit(X, y)
    np.testing.assert_array_equal(ensemble.predict_proba(TEXTS), shares(train(both), TEXTS))
    assert len(ensemble.model_.task.members) == 2


def test_seeds_are_random_states_and_nothing_else_is_drawn_from() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    drawn = np.random.RandomState(1)
    found = [
        SequenceClassifier(**{**TINY, "epochs": 1}, random_state=seed)
        .fit(TEXTS, LABELS).predict_proba(TEXTS[:3])
        for seed in (None, 0, 7, 7, drawn, drawn)
    ]  # fmt: skip
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])
    assert not np.allclose(found[1], found[2])
    assert not np.allclose(found[4], found[5])
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()


def test_weights_and_blank_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def fit(settings: Settings, *arguments: Any, **options: Any) -> Any:
        seen.append((settings.head["class_weights"], *arguments, options))
        return seqnlp.Model(torch.nn.Identity(), {})  # type: ignore[arg-type]

    monkeypatch.setattr(fitting, "fit", fit)
    X, y, weights = ["a", " ", "b", "c", "d"], [1, 2, 2, 1, 1], [0.5, 1, 2, 0, 1.5]
    SequenceClassifier(class_weight="balanced", validation_share=0).fit(X, y, weights)
    weighted, texts, labels, own, options = seen[-1]
    assert (texts, labels, own.tolist()) == (["a", "b", "d"], ["1", "2", "1"], [0.5, 2, 1.5])
    assert weighted == {"1": 1.0, "2": 1.0}
    assert options == {"validate": False}
    SequenceClassifier(class_weight="balanced").fit(X, y)
    assert seen[-1][0] == {"1": 4 / 6, "2": 2.0}
    assert seen[-1][3] is None
    SequenceClassifier(class_weight={2: 5}).fit(X, y)
    assert seen[-1][0] == {"1": 1.0, "2": 5.0}
    # A class of blank texts alone has no weight, and no probability.
    SequenceClassifier(class_weight={3: 5}).fit([*X, ""], [*y, 3])
    assert seen[-1][0] == {"1": 1.0, "2": 1.0}
    SequenceClassifier(class_weight="balanced").fit([*X, ""], [*y, 3])
    assert seen[-1][0] == {"1": 4 / 6, "2": 2.0}


def test_a_class_of_blank_texts_is_never_expected(tmp_path: Path) -> None:
    made = SequenceClassifier(**TINY).fit([*TEXTS, " "], [*LABELS, "none"])
    assert made.classes_.tolist() == ["negative", "none", "positive"]
    assert (made.predict_proba(TEXTS[:9])[:, 1] == 0).all()
    np.testing.assert_allclose(made.predict_proba(TEXTS[:9]).sum(1), 1, atol=1e-6)
    made.save(tmp_path / "model")
    again = SequenceClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(TEXTS), made.predict_proba(TEXTS))


def test_a_weight_draws_the_model_towards_its_label() -> None:
    X, y = ["a fine film", "a poor film"] * 20 + ["so so"] * 40, [0, 1] * 20 + [0] * 20 + [1] * 20
    found = [
        SequenceClassifier(**TINY, validation_share=0).fit(X, y, weights).predict_proba(["so so"])
        for weights in ([1.0] * 60 + [9.0] * 20, [1.0] * 40 + [9.0] * 20 + [1.0] * 20)
    ]
    assert found[0][0, 1] > 0.7
    assert found[1][0, 0] > 0.7


def test_a_validation_share_is_cut_off_where_there_is_something_to_cut() -> None:
    def rows_of(made: SequenceClassifier) -> dict[str, int]:
        return made.model_.metrics["corpus"]["rows"]  # type: ignore[no-any-return]

    one_each = SequenceClassifier(**TINY).fit(["a fine film", "a poor film"], ["x", "y"])
    assert rows_of(one_each) == {"train": 2}
    tenth = SequenceClassifier(**TINY).fit(TEXTS, LABELS)
    assert rows_of(tenth) == {"train": 173, "validation": 19}
    half = SequenceClassifier(**TINY, validation_share=0.5).fit(TEXTS, LABELS)
    assert rows_of(half) == {"train": 96, "validation": 96}
    none = SequenceClassifier(**TINY, validation_share=0).fit(TEXTS, LABELS)
    assert rows_of(none) == {"train": 192}
    refitted = SequenceClassifier(**{**TINY, "settings": {**QUIET, "train.refit": True}})
    assert refitted.fit(TEXTS, LABELS).score(TEXTS, LABELS) > 0.9


def test_partial_fit_goes_on_where_it_was() -> None:
    made = SequenceClassifier(**SMALL)
    scores = []
    for number in range(4):
        made.partial_fit(
            TEXTS[TRAIN], LABELS[TRAIN], classes=None if number else ["positive", "negative"]
        )
        scores.append(made.score(TEXTS[TEST], LABELS[TEST]))
    assert made.classes_.tolist() == ["negative", "positive"]
    assert scores[-1] == 1.0
    # A copy has the state of the optimizer, too.
    other = pickle.loads(pickle.dumps(made))
    for each in (made, other):
        each.partial_fit(TEXTS[TEST], LABELS[TEST], sample_weight=np.arange(len(TEXTS[TEST])))
    np.testing.assert_array_equal(made.predict_proba(TEXTS), other.predict_proba(TEXTS))
    assert not np.array_equal(
        made.predict_proba(TEXTS),
        SequenceClassifier(**SMALL).fit(TEXTS, LABELS).predict_proba(TEXTS),
    )
    before = made.predict_proba(TEXTS)
    made.partial_fit([" ", ""], ["positive", "negative"])
    np.testing.assert_array_equal(made.predict_proba(TEXTS), before)


def test_partial_fit_goes_on_with_a_fitted_model_and_can_have_one_class(
    fitted: SequenceClassifier,
) -> None:
    made = pickle.loads(pickle.dumps(fitted))
    for _ in range(6):
        made.partial_fit(TEXTS[:32], ["positive"] * 32)
    assert (made.predict(TEXTS[:32]) == "positive").all()
    assert fitted.score(TEXTS[:32], LABELS[:32]) == 1.0


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({}, (["a"], ["x"]), "classes must be passed on the first call to partial_fit"),
        ({}, (["a"], ["z"], ["x", "y"]), "y has 'z', which is not among the classes: 'x', 'y'"),
        ({"class_weight": "balanced"}, (["a"], ["x"], ["x", "y"]),
         "class_weight 'balanced' is not known before all of y is"),
        ({}, ([" "], ["x"], ["x", "y"]),
         "the first call to partial_fit takes its vocabulary from its texts; X has none that counts"),
        ({"evidence": "logistic"}, (["a"], ["x"], ["x", "y"]),
         "head.evidence = 'logistic' is made of all texts at once, and not part by part; use "
         "'none', or fit"),
    ],
)  # fmt: skip
def test_partial_fit_refuses(
    parameters: dict[str, Any], arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InputError) as error:
        SequenceClassifier(**parameters).partial_fit(*arguments)
    assert str(error.value) == message


def test_classes_do_not_change_between_parts(fitted: SequenceClassifier) -> None:
    with pytest.raises(
        EstimatorError, match=r"^classes=\['a', 'b'\] is not the same as on the first call"
    ):
        fitted.partial_fit(["a"], ["a"], classes=["a", "b"])


def test_in_pipelines_and_searches() -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = make_pipeline(lower, SequenceClassifier(**SMALL)).fit(TEXTS[TRAIN], LABELS[TRAIN])
    assert pipeline.score(TEXTS[TEST], LABELS[TEST]) > 0.9
    table = pd.DataFrame({"number": range(len(TEXTS)), "text": TEXTS})
    chosen = ColumnTransformer([("text", "passthrough", ["text"])])
    columns = Pipeline([("choose", chosen), ("classify", SequenceClassifier(**SMALL))])
    assert columns.fit(table, LABELS).score(table, LABELS) > 0.9
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    scores = cross_val_score(SequenceClassifier(**SMALL), TEXTS, LABELS, cv=folds)
    assert scores.mean() > 0.9
    slow, quick = ({**QUIET, "train.lr": lr} for lr in (1e-6, 0.05))
    grid = {"hidden_size": np.array([8]), "settings": [slow, quick]}
    search = GridSearchCV(SequenceClassifier(**{**SMALL, "lr": None}), grid, cv=folds)
    search.fit(TEXTS, LABELS)
    assert search.best_params_["settings"] == quick
    assert search.best_estimator_.model_.settings.train.lr == 0.05


@pytest.mark.slow
def test_searches_in_two_processes_bring_their_estimators_back() -> None:
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    found = [
        cross_validate(SequenceClassifier(**SMALL), TEXTS, LABELS, cv=folds, n_jobs=jobs,
                       return_estimator=True, error_score="raise")
        for jobs in (1, 2)
    ]  # fmt: skip
    for one, other in zip(*(each["estimator"] for each in found), strict=True):
        np.testing.assert_allclose(one.predict_proba(TEXTS), other.predict_proba(TEXTS), atol=1e-5)
    assert found[0]["test_score"].tolist() == found[1]["test_score"].tolist()


def test_calibration_mends_a_model_that_is_too_sure() -> None:
    random = np.random.default_rng(0)
    noisy = np.where(random.random(len(LABELS)) < 0.25, "positive", LABELS)
    sure = SequenceClassifier(**{**SMALL, "epochs": 30}, validation_share=0).fit(
        TEXTS[TRAIN], noisy[TRAIN]
    )
    frozen = CalibratedClassifierCV(FrozenEstimator(sure)).fit(TEXTS[TEST], noisy[TEST])
    prior = DummyClassifier(strategy="prior").fit(TEXTS, noisy)
    losses = [log_loss(noisy, each.predict_proba(TEXTS)) for each in (frozen, prior)]
    assert losses[0] < losses[1]
    crossed = CalibratedClassifierCV(SequenceClassifier(**SMALL), cv=2)
    assert crossed.fit(TEXTS, LABELS, sample_weight=np.ones(len(TEXTS))).score(TEXTS, LABELS) > 0.9


def test_threads_that_train_at_once_draw_what_each_would_alone() -> None:
    few = {**TINY, "epochs": 2}
    estimators = [SequenceClassifier(**few, random_state=seed) for seed in (0, 1)] * 2
    alone = [each.fit(TEXTS, LABELS).predict_proba(TEXTS) for each in estimators]
    with ThreadPoolExecutor(len(estimators)) as threads:
        fitted = threads.map(lambda each: clone(each).fit(TEXTS, LABELS), estimators)
        for each, expected in zip(fitted, alone, strict=True):
            np.testing.assert_array_equal(each.predict_proba(TEXTS), expected)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    made = SequenceClassifier(**TINY, cell="rnn").fit(TEXTS, LABELS)
    pickle.loads(pickle.dumps(made)).partial_fit(TEXTS, LABELS)
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in left if path.parts[:2] != ("cache", "kernels")] == []


def test_ctrl_c_ends_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from seqnlp.training.trainer import Trainer

    def press(self: Trainer, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_step", press)
    with pytest.raises(KeyboardInterrupt):
        SequenceClassifier(**TINY).fit(TEXTS, LABELS)
