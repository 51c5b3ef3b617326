"""A service in a process of its own, and a browser without a window to look at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Running:
    """A service. log: its standard error."""

    address: str
    pid: int
    log: Path


@contextmanager
def served(folder: Path, *arguments: str | Path, token: str | None = None) -> Iterator[Running]:
    """`seqnlp serve`; with the block it ends, in order and without a word of a failure.

    Args:
        folder: for what it writes.
        arguments: models and options.
    """
    environment = {key: value for key, value in os.environ.items() if key != "SEQNLP_TOKEN"}
    if token is not None:
        environment["SEQNLP_TOKEN"] = token
    log = folder / "serve.jsonl"
    with log.open("wb") as events, subprocess.Popen(
        [sys.executable, "-m", "seqnlp", "serve", *map(str, arguments), "--port", "0"],
        env=environment, stdout=subprocess.PIPE, stderr=events, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("http://127.0.0.1:"), log.read_text(encoding="utf-8")
            yield Running(address=line.split()[0], pid=process.pid, log=log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    said = log.read_text(encoding="utf-8")
    assert "Traceback" not in said
    assert '"failure"' not in said


@contextmanager
def browser(folder: Path, *, width: int, height: int, dark: bool = False) -> Iterator[Chrome]:
    """A browser with a window of that size; the test is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if found is None or driver is None:
        pytest.skip("no chromium with chromedriver is installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = found
    for argument in (*_ARGUMENTS, f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        made.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        made.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield made
    finally:
        with suppress(OSError):
            made.quit()
