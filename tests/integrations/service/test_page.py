"""The page at `/`: what it may load, and what people see of it in a browser."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import seqnlp
from seqnlp.integrations.service.page import page
from seqnlp.tasks.word_attention import word_attention
from tests.integrations.service.browsing import Running, browser, served

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SENTENCE = "Der Hund will den Ball sehen."
REVIEW = "The film was dull and then great ."


def test_the_document_is_whole_and_loads_nothing() -> None:
    document, headers = page()
    text = document.decode()
    assert "{{" not in text
    assert not re.search(r"""(?:src|href|url|import)\s*[=(]\s*["']?(?:https?:)?//""", text)
    assert set(re.findall(r'(?:src|href)="([^"]*)"', text)) == {"data:,", "openapi.json"}
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for directive, tag in (("style-src", "style"), ("script-src", "script")):
        [inline] = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = b64encode(sha256(inline.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
    assert "innerHTML" not in text
    assert " style=" not in text


def test_what_people_fill_in_has_a_label() -> None:
    text = page()[0].decode()
    fields = re.findall(r"<(?:input|textarea)[^>]* id=\"(\w+)\"", text)
    assert fields == ["token", "text", "beam", "alternatives", "prefix"]
    assert all(f'<label for="{name}">' in text for name in fields)


@pytest.fixture(scope="module")
def running(
    pairs_run: Path, toy_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with served(tmp_path_factory.mktemp("serve"), toy_run, pairs_run) as found:
        yield found


@pytest.fixture
def window(opened: Chrome, running: Running) -> Chrome:
    """The page as it begins."""
    opened.get(running.address)
    return opened


@pytest.fixture(scope="module", params=[(1280, 900, False), (390, 844, True)], ids=["wide", "small"])  # fmt: skip
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chrome]:
    width, height, dark = request.param
    folder = tmp_path_factory.mktemp("profile")
    with browser(folder, width=width, height=height, dark=dark) as made:
        yield made


def find(window: Chrome, selector: str) -> Any:
    return window.find_element("css selector", selector)


def texts(window: Chrome, selector: str) -> list[str]:
    return [each.text for each in window.find_elements("css selector", selector)]


def until(window: Chrome, condition: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(window, 20, poll_frequency=0.02).until(condition)


def ask(window: Chrome, model: str, text: str) -> None:
    from selenium.webdriver.common.keys import Keys

    until(window, lambda w: w.find_elements("css selector", f"input[value='{model}']"))
    find(window, f"input[value='{model}']").click()
    field = find(window, "#text")
    field.clear()
    field.send_keys(text, Keys.CONTROL, Keys.ENTER)
    until(window, lambda w: find(w, "#said").text or find(w, "#error").text)


@pytest.mark.slow
def test_a_label_has_bars_with_its_probabilities(window: Chrome, toy_run: Path) -> None:
    ask(window, "toy", REVIEW)
    answer = seqnlp.load(toy_run)(REVIEW)
    assert answer.probabilities is not None
    assert find(window, "#output").text == answer.output
    shares = sorted(answer.probabilities.items(), key=lambda pair: -pair[1])
    expected = [f"{label}\n{100 * share:.1f} %" for label, share in shares]
    assert texts(window, "#bars li") == expected
    fill, track = find(window, "#bars .first .fill"), find(window, "#bars .first .track")
    assert fill.size["width"] == pytest.approx(shares[0][1] * track.size["width"], abs=2)
    assert not find(window, "#attention").is_displayed()


@pytest.mark.slow
def test_a_translation_has_a_map_of_attention(window: Chrome, pairs_run: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    ask(window, "de-en", SENTENCE)
    model = seqnlp.load(pairs_run)
    assert find(window, "#output").text == model(SENTENCE).output
    assert not find(window, "#bars").is_displayed()
    written = window.find_elements("css selector", "#written button")
    assert [each.text for each in written] == model(SENTENCE).output.split()
    assert texts(window, "#read span") == SENTENCE.split()
    assert texts(window, "#grid thead th") == SENTENCE.split()
    rows = window.find_elements("css selector", "#grid tbody tr")
    assert len(rows) == len(written)

    def lit() -> int:
        """The source word that is most lit."""
        shares = window.execute_script(
            "return [...by('read').children].map((e) => Number(e.style.getPropertyValue('--w')))"
        )
        return int(shares.index(max(shares)))

    found = word_attention(model(SENTENCE), model.task.pipelines)
    assert found is not None
    most = found.weights.argmax(1).tolist()
    for place, button in enumerate(written):
        button.click()
        assert lit() == most[place]
    written[1].click()
    written[1].send_keys(Keys.ARROW_RIGHT)
    assert window.switch_to.active_element == written[2]
    assert written[2].get_attribute("aria-pressed") == "true"
    written[2].send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert window.switch_to.active_element == written[-1]


@pytest.mark.slow
def test_options_are_sent_and_alternatives_shown(window: Chrome) -> None:
    ask(window, "de-en", SENTENCE)
    if not find(window, "#beam").is_displayed():
        find(window, "#options summary").click()
    for name, value in (("beam", "4"), ("alternatives", "3"), ("prefix", "The cat")):
        field = find(window, f"#{name}")
        field.clear()
        field.send_keys(value)
    find(window, "#go").click()
    until(window, lambda w: len(texts(w, "#hypotheses li")) == 2)
    until(window, lambda w: find(w, "#said").text)
    assert find(window, "#output").text.startswith("The cat")


@pytest.mark.slow
def test_tokens_are_shown_as_they_come_and_can_be_stopped(window: Chrome) -> None:
    ask(window, "de-en", SENTENCE)
    window.execute_script(
        """
        window.seen = [];
        new MutationObserver(() => seen.push(by("output").textContent))
          .observe(by("output"), { childList: true });
        """
    )
    find(window, "#go").click()
    until(window, lambda w: find(w, "#said").text)
    seen = window.execute_script("return seen")
    growing = [text for text in seen if text]
    assert len(set(growing)) > 3
    assert all(growing[-1].startswith(text) for text in growing)
    # An answer that would be long, by an option that the page does not have.
    window.execute_script("options = () => ({ beam: 1, min_length: 1000, max_length: 1000 })")
    find(window, "#go").click()
    until(window, lambda w: len(find(w, "#output").text) > 20)
    find(window, "#stop").click()
    until(window, lambda w: find(w, "#said").text == "Stopped.")
    assert not find(window, "#stop").is_displayed()


@pytest.mark.slow
def test_what_the_service_refuses_is_said(window: Chrome) -> None:
    until(window, lambda w: w.find_elements("css selector", "input[value='toy']"))
    find(window, "input[value='toy']").click()
    window.execute_script("by('text').value = 'a'.repeat(60000)")
    find(window, "#go").click()
    until(window, lambda w: "at most 50000 are taken" in find(w, "#error").text)
    ask(window, "toy", "A fine film <b>and</b> more.")
    assert find(window, "#error").text == ""
    assert find(window, "#error").get_attribute("role") == "alert"


@pytest.mark.slow
def test_the_page_fits_its_window_and_asks_nobody_else(window: Chrome, running: Running) -> None:
    ask(window, "de-en", SENTENCE)
    wide, seen = window.execute_script(
        "return [document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert wide <= seen
    assert "/v1/{model}/predict" in texts(window, "#api code")
    events = [json.loads(entry["message"])["message"] for entry in window.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    hosts = {urlsplit(url).netloc for url in asked if url.startswith("http")}
    assert hosts == {urlsplit(running.address).netloc}
    # What a service refuses is in the log of a browser, too.
    said = [each["message"] for each in window.get_log("browser")]  # type: ignore[no-untyped-call]
    assert not [each for each in said if "status of 413" not in each]


@pytest.mark.slow
def test_colors_can_be_read(window: Chrome) -> None:
    """A contrast of at least 4.5 between texts and what is behind them (WCAG 2.2, 1.4.3)."""
    ask(window, "de-en", SENTENCE)
    script = """
    const solid = (e) => {
      for (; e; e = e.parentElement) {
        const found = getComputedStyle(e).backgroundColor;
        if (!found.endsWith(", 0)") && found !== "transparent") return found;
      }
      return "rgb(255, 255, 255)";
    };
    return ["header p", "dt", "dd", "#output", "#said", "#go", "#error", ".verb", "#api p", "a"]
      .map((s) => [s, getComputedStyle(document.querySelector(s)).color, solid(document.querySelector(s))]);
    """
    for name, ink, paper in window.execute_script(script):
        lights = []
        for color in (ink, paper):
            parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
            linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
            lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
        assert max(lights) / min(lights) >= 4.5, name


@pytest.mark.slow
def test_a_token_is_asked_for(toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "profile").mkdir()
    with (
        served(tmp_path, toy_run, token="sesame") as running,
        browser(tmp_path / "profile", width=800, height=600) as window,
    ):
        window.get(running.address)
        until(window, lambda w: find(w, "#token").is_displayed())
        assert not find(window, "#ask").is_displayed()
        find(window, "#token").send_keys("wrong")
        find(window, "#entry button").click()
        until(window, lambda w: "send the token of this service" in find(w, "#error").text)
        find(window, "#token").clear()
        find(window, "#token").send_keys("sesame")
        find(window, "#entry button").click()
        until(window, lambda w: find(w, "#ask").is_displayed())
        assert find(window, "#error").text == ""
        find(window, "#text").send_keys(REVIEW)
        find(window, "#go").click()
        until(window, lambda w: texts(w, "#bars li"))
        assert "Authorization: Bearer TOKEN" in find(window, "#example").text
        assert "sesame" not in running.log.read_text(encoding="utf-8")
