"""A corpus under test, and what it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seqnlp import registry
from seqnlp.data import Corpus, CorpusRequest
from seqnlp.errors import InputError, SeqnlpError
from seqnlp.testing.contract import Part, Violation
from seqnlp.types import Field


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A corpus under test, and what it is asked for."""

    part: Part

    @property
    def argument(self) -> str | None:
        """What stands behind the colon."""
        found = self.part.options.get("argument")
        return None if found is None else str(found)

    def open(self, request: CorpusRequest, argument: str | None) -> Corpus:
        """Call the function as the toolkit does."""
        made: Corpus = self.part.factory(argument, request=request)
        return made

    @cached_property
    def found(self) -> tuple[str | None, CorpusRequest]:
        """The task that can read it, and what that asks for."""
        given = self.part.options
        if "fields" in given:
            fields: Any = given["fields"]
            return None, self._request(tuple(fields), {})
        names = [str(given["task"])] if "task" in given else sorted(registry.tasks.names())
        told: dict[str, None] = {}
        for name in names:
            try:
                task = registry.tasks.get(name)
            except SeqnlpError:  # a broken plugin is no fault of this part
                continue
            request = self._request(task.fields, task.defaults.get("corpus", {}))
            try:
                self.open(request, self.argument)
            except InputError as error:
                told[f"{name}: {error}"] = None
                continue
            return name, request
        raise Violation(
            f"no task can read it: {'; '.join(told)}",
            "say by options of the check what it is to be opened with: argument, task or fields, "
            "columns",
        )

    def _request(self, fields: Sequence[Field], defaults: Mapping[str, Any]) -> CorpusRequest:
        columns: Any = self.part.options.get("columns", {})
        return CorpusRequest(
            fields=tuple(fields),
            columns=columns,
            validation_share=defaults.get("validation_share", 0.1),
            test_share=defaults.get("test_share", 0.0),
            languages=(defaults.get("source"), defaults.get("target")),
        )

    @property
    def request(self) -> CorpusRequest:
        """What is asked for."""
        return self.found[1]

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus."""
        return self.open(self.request, self.argument)
