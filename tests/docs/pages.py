"""The Markdown pages, and the blocks of code that stand in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its language, its text, the line of its first line, and the file it is.

    A block is a file where the paragraph before it is nothing but a file name in backticks.
    """

    language: str
    text: str
    line: int
    file: str | None


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, of one language or of all."""
    whole = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(whole):
        named = re.search(r"^`([\w./-]+)`:?\n\n\Z", whole[: match.start()], re.MULTILINE)
        line = whole.count("\n", 0, match.start()) + 2
        found.append(
            Block(
                language=match[1],
                text=match[2],
                line=line,
                file=named[1] if named else None,
            )
        )
    return [each for each in found if language in (None, each.language)]


def commands(page: Path) -> list[tuple[int, list[str], bool]]:
    """The `seqnlp` commands of the console blocks: line, words after `seqnlp`, alone in its line.

    What stands beside others in a pipe or a list of commands is not alone. A line that ends in a
    backslash goes on in the next; `torchrun ... -m seqnlp` is a `seqnlp` command.
    """
    found = []
    for block in blocks(page, "console"):
        joined = block.text.replace("\\\n", " ").splitlines()
        for offset, line in enumerate(joined):
            if not line.startswith("$ "):
                continue
            parts: list[list[str]] = [[]]
            lexer = shlex.shlex(line[2:], posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            for word in lexer:
                if set(word) <= set("|&;<>"):
                    parts.append([])
                else:
                    parts[-1].append(word)
            found += [
                (block.line + offset, words[words.index("seqnlp") + 1 :], len(parts) == 1)
                for words in parts
                if words and words[0] in ("seqnlp", "torchrun") and "seqnlp" in words
            ]
    return found
