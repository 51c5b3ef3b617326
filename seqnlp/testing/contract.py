"""What a contract is: named checks of one kind of part, and a report of what they find."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from seqnlp.errors import UnknownNameError
from seqnlp.missteps import describe
from seqnlp.registry import REGISTRIES
from seqnlp.validation import build

Subject = TypeVar("Subject")
_UNTRIED = "not tried"


class Violation(AssertionError):  # noqa: N818 - the name says what it is
    """A check that failed: what is wrong, and how to mend it.

    Args:
        what: what is wrong, with the numbers: "row 2 changes by 0.31 with what stands on padding".
        remedy: what the author should do, as an order: "read state[0] of its own row alone".
    """

    def __init__(self, what: str, remedy: str) -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what}; {remedy}" if remedy else what)


class Skip(Exception):  # noqa: N818 - it is no error
    """A check that does not apply to this part; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found.

    what: of a failed check what is wrong, of a skipped one why, of a passed one a remark, if any.
    remedy: of a failed check, how to mend it.
    """

    check: str
    outcome: Literal["passed", "failed", "skipped"]
    what: str = ""
    remedy: str = ""

    @property
    def untried(self) -> bool:
        """Whether it was skipped because a check failed without which it means nothing."""
        return self.outcome == "skipped" and self.what.startswith(_UNTRIED)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What all checks of a contract found.

    kind: the plural: "cells".
    name: the part's registered name, or its own where it has none.
    """

    kind: str
    name: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings of the checks that failed."""
        return tuple(each for each in self.findings if each.outcome == "failed")

    def lines(self) -> list[str]:
        """The report as text: a line for each check, with the remedy below what is wrong."""
        lines = []
        for each in self.findings:
            detail = f": {each.what}" if each.what else ""
            lines.append(f"{each.outcome:8}{each.check}{detail}")
            if each.remedy:
                lines.append(f"{'':8}remedy: {each.remedy}")
        return lines


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part as it is registered, with the options that it is to be checked with."""

    kind: str
    name: str
    factory: Callable[..., Any]
    options: Mapping[str, object] = field(default_factory=dict)

    def make(self, **given: object) -> Any:
        """Call the factory with what this toolkit gives it, and the options checked by their types.

        Raises:
            SettingsError: an option that the factory does not have, lacks or cannot use.
        """
        return build(self.factory, self.options, where=self.name, **given)

    @property
    def module(self) -> str:
        """The module that the part is written in."""
        return str(getattr(self.factory, "__module__", ""))


class Contract(Generic[Subject]):
    """The checks of one kind of part.

    Args:
        kind: the plural, as in the registry: "cells".
        prepare: makes what the checks get of the part; all checks get the same.
        around: a context that each check runs in, such as one that seeds the generators.
        options: the names of the options of a check, by the factory of the part; by default its
            own keywords.
    """

    def __init__(
        self,
        kind: str,
        prepare: Callable[[Part], Subject],
        *,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
        options: Callable[[Callable[..., Any]], Iterable[str]] | None = None,
    ) -> None:
        self.kind = kind
        self.options = keywords if options is None else options
        self._prepare = prepare
        self._around = around
        self._checks: dict[str, Callable[[Subject], str | None]] = {}
        self._required: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the checks, in their order: for `pytest.mark.parametrize`."""
        return tuple(self._checks)

    def check(
        self, name: str, *, required: bool = False
    ) -> Callable[[Callable[[Subject], str | None]], Callable[[Subject], str | None]]:
        """Decorate a check: it returns a remark or None, and raises `Violation` or `Skip`.

        Args:
            name: what holds where it passes: "padding is invisible".
            required: where it fails the checks after it mean nothing and are skipped.
        """

        def decorate(function: Callable[[Subject], str | None]) -> Callable[[Subject], str | None]:
            assert name not in self._checks, name
            self._checks[name] = function
            if required:
                self._required.add(name)
            return function

        return decorate

    def __call__(
        self, part: str | Callable[..., Any], *, only: str | None = None, **options: object
    ) -> Report:
        """Run the checks and insist that none fails.

        Args:
            part: a registered name, or the class or function itself.
            only: the name of a single check; None for all.
            options: the part's own, as a recipe would give them.

        Raises:
            Violation: with all that failed, and how to mend it.
            UnknownNameError: no part or check has that name.
        """
        report = self._examine(part, only, None, options)
        if report.ok:
            return report
        if len(report.failed) == 1:
            (finding,) = report.failed
            raise Violation(f"{report.name}: {finding.check}: {finding.what}", finding.remedy)
        found = [f"\n- {each.check}: {each.what}; {each.remedy}" for each in report.failed]
        raise Violation(f"{report.name} fails {len(found)} checks:{''.join(found)}", "")

    def examine(
        self,
        part: str | Callable[..., Any],
        *,
        only: str | None = None,
        on_finding: Callable[[Finding], None] | None = None,
        **options: object,
    ) -> Report:
        """Run the checks and say what they found; see `__call__`.

        Args:
            part: as there, and so are the others.
            only: the name of a single check.
            on_finding: called with each finding when it is made.
            options: the part's own.

        Raises:
            UnknownNameError: no part or check has that name.
        """
        return self._examine(part, only, on_finding, options)

    def _examine(
        self,
        part: str | Callable[..., Any],
        only: str | None,
        tell: Callable[[Finding], None] | None,
        options: Mapping[str, object],
    ) -> Report:
        if only is not None and only not in self._checks:
            raise UnknownNameError("check", only, self._checks)
        factory = REGISTRIES[self.kind].get(part) if isinstance(part, str) else part
        name = part if isinstance(part, str) else getattr(part, "__name__", repr(part))
        whole = Part(kind=self.kind, name=name, factory=factory, options=options)
        names = self.names if only is None else (only,)
        return Report(kind=self.kind, name=name, findings=self._run(whole, names, tell))

    def _run(
        self, part: Part, names: tuple[str, ...], tell: Callable[[Finding], None] | None
    ) -> tuple[Finding, ...]:
        subject: Subject | None = None
        findings: list[Finding] = []
        stop = ""

        def prepared() -> Subject:
            # Within the first check: what fails here must fail each test of its own.
            nonlocal subject
            subject = self._prepare(part) if subject is None else subject
            return subject

        for name in names:
            if stop:
                found = Finding(check=name, outcome="skipped", what=stop)
            else:
                found = self._try(name, part, prepared)
                if found.outcome == "failed" and (subject is None or name in self._required):
                    stop = f"{_UNTRIED}, since {name!r} fails"
            findings.append(found)
            if tell is not None:
                tell(found)
        return tuple(findings)

    def _try(self, name: str, part: Part, prepared: Callable[[], Subject]) -> Finding:
        try:
            with self._around():
                remark = self._checks[name](prepared())
            return Finding(check=name, outcome="passed", what=remark or "")
        except Skip as reason:
            return Finding(check=name, outcome="skipped", what=str(reason))
        except Violation as error:
            return Finding(check=name, outcome="failed", what=error.what, remedy=error.remedy)
        except (Exception, SystemExit) as error:
            what, remedy = describe(error, source_of(part.factory))
            return Finding(check=name, outcome="failed", what=what, remedy=remedy)


def keywords(factory: Callable[..., Any]) -> list[str]:
    """The names of the options in a signature: those of arguments with a default."""
    parameters = inspect.signature(factory).parameters.values()
    return [each.name for each in parameters if each.default is not each.empty]


def source_of(factory: Callable[..., Any]) -> str | None:
    """The file that a class or function is written in, if there is one."""
    try:
        return inspect.getsourcefile(inspect.unwrap(factory))
    except (TypeError, OSError):
        return None
