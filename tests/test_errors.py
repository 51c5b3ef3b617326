from __future__ import annotations

import seqnlp.errors as errors


def test_every_error_has_an_exit_status_and_a_docstring() -> None:
    kinds = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.SeqnlpError)
    ]
    assert len(kinds) >= 8
    for kind in kinds:
        assert kind.exit_status in (1, 2)
        assert kind.__doc__
        assert kind.exit_status == (2 if issubclass(kind, errors.InputError) else 1)


def test_a_suggestion_ignores_case_and_lists_all_when_nothing_is_near() -> None:
    assert errors.suggest("LSTM", ["gru", "lstm"]).startswith("did you mean 'lstm'?")
    assert errors.suggest("zzz", ["gru", "lstm"]) == "known: gru, lstm"
    assert errors.suggest("a", []) == "none is known"


def test_an_unknown_name_keeps_its_parts() -> None:
    error = errors.UnknownNameError("cell", "gruu", ["lstm", "gru"])
    assert (error.kind, error.name, error.known) == ("cell", "gruu", ["gru", "lstm"])
