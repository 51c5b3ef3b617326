"""One process of `parallel.tokenize_all`: `python -m seqnlp.text.worker`.

Reads JSON lines: first the pipeline, then lists of texts. Answers each list by the list of its
tokens, or by null where tokenizing failed. Ends when its input does.
"""

from __future__ import annotations

import json
import sys

from seqnlp import registry
from seqnlp.text.pipeline import TokenPipeline


def main() -> None:
    """Serve until the input ends."""
    # Whatever a library prints must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    setup = json.loads(sys.stdin.readline())
    pipeline = TokenPipeline(
        normalizers=tuple(setup["normalizers"]),
        tokenizer=registry.tokenizers.get(setup["tokenizer"]).from_state(setup["state"]),
    )
    for line in sys.stdin:
        try:
            answer = [pipeline.tokens(text) for text in json.loads(line)]
        except Exception:  # whatever a tokenizer raises: the caller repeats the work and meets it
            answer = None
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
