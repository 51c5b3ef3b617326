"""JSON as saved models hold it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from seqnlp.errors import BundleError

_SURROGATE = re.compile("[\ud800-\udfff]")


def dump_json(value: object, *, indent: int | None = None) -> str:
    """Readable JSON that UTF-8 can hold: the only characters escaped beyond JSON's own are lone
    surrogates.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def read_json(path: Path) -> Mapping[str, object]:
    """Read a JSON object that a saved model holds.

    Raises:
        BundleError: the file is missing or holds something else; the message says what and where.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{path}: no such file") from error
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BundleError(f"{path}:{line}: not valid UTF-8") from error
    except json.JSONDecodeError as error:
        raise BundleError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        # Lists within lists, and numbers of thousands of digits.
        raise BundleError(f"{path}: damaged: values that no model has") from error
    if not isinstance(data, dict):
        raise BundleError(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data
