"""Values that a user wrote, checked against types; what is wrong is said in one line.

`validate_section` is for the tables of settings, `build` for the options of registered parts, whose
keys only the part knows.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from seqnlp.errors import InputError, SettingsError, UnknownNameError, suggest

T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)


def build(
    factory: Callable[..., T], options: Mapping[str, object], *, where: str, **given: object
) -> T:
    """Call `factory(**given, **options)` with options checked against its signature.

    Args:
        factory: a class or function whose keywords are annotated.
        options: what the user wrote; converted to the annotated types.
        where: the key that holds the options, for messages: "model.cell_options".
        given: arguments that the caller sets, not open to the user.

    Raises:
        SettingsError: an option that the factory does not have, lacks or cannot use.
        InputError: the factory does not take what it is given.
    """
    target = factory.__init__ if inspect.isclass(factory) else factory
    hints = get_type_hints(target)
    taken = inspect.signature(factory).parameters
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    if not any(parameter.kind in several for parameter in taken.values()):
        for name in given:
            if name not in taken:
                part = getattr(factory, "__name__", factory)
                raise InputError(
                    f"{where}: {part} does not take {name!r}, which it is called with; begin its "
                    f"signature with ({', '.join(given)}, *, ...)"
                )
    parameters = {
        name: parameter
        for name, parameter in taken.items()
        if name not in given and parameter.kind not in several
    }
    values: dict[str, object] = {}
    for name, value in options.items():
        if name not in parameters:
            raise SettingsError(f"{where}: no key {name!r}; {suggest(name, parameters)}")
        try:
            values[name] = TypeAdapter(hints.get(name, Any)).validate_python(value)
        except ValidationError as error:
            detail = error.errors()[0]["msg"]
            raise SettingsError(f"{where}.{name}: {detail}, not {value!r}") from error
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in values:
            raise SettingsError(f"{where}: the key {name!r} is required")
    try:
        return factory(**given, **values)
    except (SettingsError, UnknownNameError):
        raise  # it names its own place
    except (InputError, ValueError) as error:
        raise SettingsError(f"{where}: {' '.join(str(error).split())}") from error


def validate_section(model: type[S], tables: Mapping[str, Any], where: str) -> S:
    """Validate a table against its model; `where` begins the message of an error.

    Raises:
        SettingsError: an unknown key (with the nearest) or a value of the wrong type.
    """
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        # Where several types are possible, pydantic adds the name of one to the path.
        path = [str(part) for part in first["loc"] if re.fullmatch(r"[\w-]+", str(part))]
        key = ".".join(path)
        if first["type"] == "extra_forbidden":
            known = _keys(model, path[:-1])
            raise SettingsError(f"{where}: no key {key!r}; {suggest(path[-1], known)}") from error
        expected = re.sub(r"dictionary( or instance of \w+)?", "table", first["msg"])
        expected = expected.replace("tuple", "list")
        raise SettingsError(f"{where}: {key}: {expected}, not {first['input']!r}") from error


def _keys(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    """The keys of the section at a path."""
    for part in path:
        inner = model.model_fields[part].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    return list(model.model_fields)
