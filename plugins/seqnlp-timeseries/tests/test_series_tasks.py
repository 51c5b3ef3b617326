"""Small models, from a CSV file to a saved model and its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from seqnlp_timeseries.anomaly_report import Alarms, Marks, alarms_of, report_of
from seqnlp_timeseries.forecast_report import Forecast

import seqnlp
from seqnlp.errors import InputError, SettingsError
from seqnlp.registry import corpora, tasks


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def wave(count: int = 240) -> np.ndarray:
    """A season of 6, a trend and noise; from 150 on every 30th value is far off."""
    places = np.arange(count)
    noise = np.random.default_rng(0).normal(0, 0.3, count)
    return 20 + 0.02 * places + 4 * np.sin(2 * np.pi * places / 6) + noise


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = wave()
    labels = np.zeros(len(values), dtype=int)
    labels[::30] = 1
    values = values + 12 * labels
    path = tmp_path_factory.mktemp("data") / "waves.csv"
    rows = [f"{value:.4g},{label}" for value, label in zip(values, labels, strict=True)]
    path.write_text("value,anomaly\n" + "\n".join(rows) + "\n")
    return path


def train(file: Path, task: str, folder: Path | None = None, *changes: str) -> seqnlp.Model:
    overrides = [
        f"task={task}", f"corpus.name=series:{file}", "model.hidden_size=12", "train.epochs=6",
        "train.lr=0.02", "train.batch_size=16", "head.seasons=[6]", "threads=1", *changes,
    ]  # fmt: skip
    settings = seqnlp.load_settings(overrides=overrides, base=tasks.get(task).defaults)
    return seqnlp.train(settings, folder)


@pytest.fixture(scope="module")
def forecaster(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "forecaster"
    torch.set_num_threads(1)
    train(file, "forecast", folder)
    return folder


@pytest.fixture(scope="module")
def detector(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "detector"
    torch.set_num_threads(1)
    train(file, "anomaly", folder)
    return folder


def test_a_corpus_and_tasks_are_found_by_name() -> None:
    assert corpora.names()["series"] == "seqnlp-timeseries"
    assert {"forecast", "anomaly"} <= tasks.names().keys()


def test_a_forecaster_beats_what_anybody_should_beat(forecaster: Path) -> None:
    metrics = seqnlp.load(forecaster).metrics
    assert set(metrics["baselines"]) == {"seasonal naive", "naive", "drift"}
    best = min(report["mase"]["value"] for report in metrics["baselines"].values())
    assert metrics["test"]["mase"]["value"] < best
    assert metrics["test"]["coverage_95"]["value"] > 0.8


def test_a_loaded_forecaster_answers_as_before(forecaster: Path) -> None:
    model = seqnlp.load(forecaster)
    text = " ".join(f"{value:.3f}" for value in wave()[:40])
    answer = model(text)
    assert isinstance(answer, Forecast)
    assert answer == seqnlp.load(forecaster)(text)
    details = json.loads(json.dumps(answer.details))
    assert len(details["forecast"]) == model.task.plan.horizon == 12
    low, high = details["intervals"]["80"]["low"], details["intervals"]["80"]["high"]
    assert all(a < b < c for a, b, c in zip(low, details["forecast"], high, strict=True))
    wider = details["intervals"]["95"]
    assert all(a <= b for a, b in zip(wider["low"], low, strict=True))
    assert np.corrcoef(details["forecast"], wave()[40:52])[0, 1] > 0.9


def test_a_forecast_moves_and_grows_with_its_past(forecaster: Path) -> None:
    model, past = seqnlp.load(forecaster), wave()[:40]

    def answer(values: np.ndarray) -> np.ndarray:
        found = model(" ".join(f"{value:.9g}" for value in values))
        assert isinstance(found, Forecast)
        return found.quantiles

    np.testing.assert_allclose(answer(3 * past - 100), 3 * answer(past) - 100, rtol=1e-3)


def test_numbers_are_read_as_people_type_them(forecaster: Path) -> None:
    model = seqnlp.load(forecaster)
    plain = model("1 2 3 1 2 3 nan 2 3")
    assert model("1, 2, 3, 1, 2, 3, ?, 2, 3") == plain
    assert model("1;2;3;1;2;3;-;2;3") == plain
    assert model("2024-01-01 08:00 1 2 3 1 2 3 nan 2 3") == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 two 3", "input 1 ('1 two 3'): value 2: 'two' is no number; expected numbers between spaces, such as 1 2.5 nan 4"),
        ("", "input 1 (''): no value in it; expected numbers between spaces, such as 1 2.5 nan 4"),
        ("nan nan", "input 1 ('nan nan'): no value in it; expected numbers between spaces, such as 1 2.5 nan 4"),
        ("2024-13-01 5", "input 1 ('2024-13-01 5'): '2024-13-01' is no time; expected one such as 2024-05-31T10:00 before the values"),
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(forecaster: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        seqnlp.load(forecaster)(text)
    assert str(caught.value) == message


def test_a_model_that_reads_the_calendar_needs_a_time(file: Path) -> None:
    model = train(file, "forecast", None, "head.calendar=true", "train.epochs=1")
    with pytest.raises(InputError, match="this model reads the calendar: begin with the time"):
        model("1 2 3")
    assert model("2024-01-01 1 2 3").output


@pytest.mark.parametrize("output", ["gaussian", "student", "quantiles"])
def test_one_step_after_the_other(file: Path, output: str) -> None:
    model = train(
        file, "forecast", None, "head.mode=autoregressive", f"head.output={output}",
        "head.samples=50", "train.epochs=3",
    )  # fmt: skip
    best = min(report["mase"]["value"] for report in model.metrics["baselines"].values())
    assert model.metrics["test"]["mase"]["value"] < best
    text = " ".join(f"{value:.3f}" for value in wave()[:40])
    assert model(text) == model(text)


def test_a_sampled_path_reads_what_a_whole_window_reads(file: Path) -> None:
    """With draws put in the place of the targets, stepping gives what reading through them gives."""
    from seqnlp_timeseries.paths import _draw

    model = train(file, "forecast", None, "head.mode=autoregressive", "head.output=gaussian", "train.epochs=1")  # fmt: skip
    task = model.task
    rows = task.read(model.corpus().split("test"))
    index = np.array([1])
    batch = rows.batch(index)
    raw, base = task.members[0](batch)
    loc, _ = task.output.location_scale(raw, base)

    class Replayed:
        """Says what the network says, and draws the true values."""

        def __init__(self) -> None:
            self.said: list[float] = []

        def sample(self, raw: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
            self.said.append(float(task.output.location_scale(raw, base)[0][0]))
            return batch.targets[:, len(self.said) - 1]

    values, past = rows.raw(index)
    values = (values - batch.loc.numpy()[:, None]) / batch.scale.numpy()[:, None]
    values[np.arange(values.shape[1]) >= past[:, None]] = np.nan
    replayed = Replayed()
    calendar = rows.calendar_of(index, values.shape[1])
    with torch.inference_mode():
        _draw(task.members[0], replayed, values, past, calendar, rows, torch.device("cpu"))  # type: ignore[arg-type]
    np.testing.assert_allclose(replayed.said, loc[0].detach().numpy(), rtol=1e-4, atol=1e-5)


def test_an_ensemble_gives_the_means_of_its_quantiles(file: Path, tmp_path: Path) -> None:
    both = train(file, "forecast", tmp_path / "both", "ensemble=2", "train.epochs=1")
    text = " ".join(f"{value:.3f}" for value in wave()[:40])
    each = [
        train(file, "forecast", None, f"seed={seed}", "train.epochs=1")(text) for seed in (0, 1)
    ]
    mean = np.mean([answer.quantiles for answer in each], axis=0)  # type: ignore[attr-defined]
    loaded = seqnlp.load(tmp_path / "both")
    np.testing.assert_allclose(both(text).quantiles, mean, rtol=1e-5)  # type: ignore[attr-defined]
    np.testing.assert_allclose(loaded(text).quantiles, mean, rtol=1e-5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("forecast", "head.intervals=[]", "head.intervals: expected levels between 0 and 100"),
        ("forecast", "head.horizn=3", "head: no key 'horizn'; did you mean 'horizon'"),
        ("forecast", "head.seasons=[1]", r"head.seasons: expected lengths of 2 to 366, not \(1,\)"),
        ("anomaly", "train.refit=true", "train.refit: the threshold of anomalies is chosen on validation"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(
    file: Path, task: str, change: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(file, task, None, change)


@pytest.mark.parametrize(
    ("task", "change"), [("forecast", "head.mode=autoregressive"), ("anomaly", "head.score=next")]
)
def test_what_comes_next_is_not_told_from_what_is_behind_it(
    file: Path, task: str, change: str
) -> None:
    with pytest.raises(
        SettingsError, match=r"reads in one direction: set model.bidirectional = false"
    ):
        train(file, task, None, change, "model.bidirectional=true")


def test_a_detector_finds_what_is_far_off(detector: Path) -> None:
    metrics = seqnlp.load(detector).metrics
    assert metrics["test"]["event_f1"]["value"] > 0.7
    assert metrics["test"]["auc_pr"]["value"] > 0.8
    model, values = seqnlp.load(detector), wave()[60:140]
    values[70] += 12
    answer = model(" ".join(f"{value:.4f}" for value in values))
    assert 71 in answer.details["anomalies"]  # type: ignore[index, operator]
    assert answer.output.startswith(f"{len(answer.details['anomalies'])} of 80 values anomalous: ")  # type: ignore[index, arg-type]


@pytest.mark.parametrize("score", ["forecast", "next"])
def test_a_stream_says_what_is_said_of_all_values_so_far(file: Path, score: str) -> None:
    model = train(file, "anomaly", None, f"head.score={score}", "train.epochs=2", "ensemble=2")
    values = [f"{value:.4g}" for value in wave()[:60]]
    values[20], values[33] = "nan", "45"
    stream = model.stream()
    for end in (1, 2, 20, 21, 22, 33, 34, 35, 50, 60):
        begin = len(stream._values)  # type: ignore[attr-defined]
        answer = stream.push(" ".join(values[begin:end]))
        whole = model(" ".join(values[:end]))
        np.testing.assert_allclose(answer.scores, whole.scores, rtol=1e-3, atol=1e-4)  # type: ignore[attr-defined]
        assert answer.output == whole.output
    stream.reset()
    assert stream.push("5 6").details["values"] == 2  # type: ignore[index]
    with pytest.raises(InputError, match="a time stands before the first value of a series only"):
        stream.push("2024-01-01 5")


def test_a_reconstruction_scores_and_cannot_stream(file: Path) -> None:
    model = train(file, "anomaly", None, "head.score=reconstruction", "train.epochs=20")
    assert model.metrics["test"]["event_f1"]["value"] > 0.5
    with pytest.raises(InputError, match="reads whole windows and cannot stream"):
        model.stream()


def test_without_labels_there_is_a_share_of_alarms(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text("value\n" + "\n".join(f"{value:.4g}" for value in wave()) + "\n")
    model = train(path, "anomaly", None, "train.epochs=1", "head.alarms=0.1")
    assert set(model.metrics["test"]) >= {"alarms", "examples"}
    assert model.metrics["validation"]["alarms"]["value"] == pytest.approx(0.1, abs=0.04)
    assert "f1" not in model.metrics["test"]


def test_the_figures_of_alarms_by_hand() -> None:
    scores = np.array([0.1, 2.0, 0.2, 3.0, np.nan, 0.5])
    labels = np.array([False, True, True, False, False, False])
    report = report_of([alarms_of(scores)], [Marks(labels=labels, series="a")])
    assert report["examples"] == 5
    assert report["points"] == {"found": 1, "false": 1, "missed": 1}
    assert report["events"] == {"found": 1, "false": 1, "missed": 0}
    assert report["f1"]["value"] == pytest.approx(0.5)
    assert report["event_f1"]["value"] == pytest.approx(2 / 3)


def test_alarms_are_told_by_their_places() -> None:
    assert alarms_of(np.array([0.5, 0.2])).output == "none"
    many = alarms_of(np.full(30, 2.0))
    assert isinstance(many, Alarms)
    assert many.output == "30 of 30 values anomalous: ... " + " ".join(map(str, range(11, 31)))
    assert many.details == {"values": 30, "anomalies": list(range(1, 31)), "last_score": 2.0}


def test_comparisons_are_of_the_same_windows(file: Path, forecaster: Path) -> None:
    first = seqnlp.load(forecaster)
    rows = first.task.read(first.corpus().split("test"))
    truths = first.task.references(first.corpus().split("test"))
    answers = first.task.answer(rows, batch_size=8)
    naive = first.task.baseline_answers(rows)["naive"]  # type: ignore[operator]
    found = first.task.compare(naive, answers, truths)
    assert found["mase"]["difference"]["value"] < 0
    assert found["mase"]["wins"] == 1.0
    assert found["mase"]["p_value"] < 0.05
