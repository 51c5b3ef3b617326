"""A child process that runs trials: settings come in as JSON lines, figures and outcomes go out."""

from __future__ import annotations

import json
import os
import sys

from seqnlp.config import settings_from
from seqnlp.tuning.trial import Trials


def main() -> None:
    """Run the trials that come on standard input, until it ends."""
    # Whatever else is printed must not come between the lines.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    trials = Trials()

    def tell(value: object) -> None:
        try:
            answers.write(json.dumps(value) + "\n")
            answers.flush()
        except BrokenPipeError:
            # Whoever asked has gone; an orderly end would write what is left once more.
            os._exit(1)

    def report(epoch: int, figure: float) -> str | None:
        tell({"epoch": epoch, "figure": figure})
        line = sys.stdin.readline()
        if not line:
            # Whoever asked has gone, and nobody waits for the rest.
            raise SystemExit(1)
        verdict: str | None = json.loads(line)["verdict"]
        return verdict

    for line in sys.stdin:
        settings = settings_from(json.loads(line)["settings"], "settings")
        tell({"outcome": trials.run(settings, report).as_dict()})


if __name__ == "__main__":
    main()
