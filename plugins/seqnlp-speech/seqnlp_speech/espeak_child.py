"""The process that speaks: eSpeak NG's library cannot be entered twice and may crash.

It reads a request a line (JSON) and answers each with a line of JSON and as many bytes of 16-bit
samples as that line says. Started as `python -m seqnlp_speech.espeak_child LIBRARY DATA`.

Source: speak_lib.h of eSpeak NG, API 12.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

SYNCHRONOUS, BUFFER_MS, UTF8 = 2, 200, 1
RATE, PITCH, RANGE, GAP = 1, 3, 4, 7
"""Numbers of espeak_PARAMETER."""

Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Engine:
    """The library, with its data.

    Raises:
        RuntimeError: there is none where it should be.
    """

    def __init__(self, library: str, data: str) -> None:
        self._library = ctypes.CDLL(library)
        self._sound = bytearray()
        self._callback = Callback(self._collect)
        self.rate: int = self._library.espeak_Initialize(
            SYNCHRONOUS, BUFFER_MS, data.encode(), 1 << 15
        )
        if self.rate <= 0:
            raise RuntimeError(f"eSpeak NG finds no data in {data}")
        self._library.espeak_SetSynthCallback(self._callback)

    def answer(self, line: bytes) -> bytes:
        """The answer to a request, its two parts one behind the other."""
        try:
            sound = self._speak(json.loads(line))
            head: dict[str, object] = {"rate": self.rate, "bytes": len(sound)}
        except RuntimeError as error:
            head, sound = {"error": str(error), "bytes": 0}, b""
        return json.dumps(head).encode() + b"\n" + sound

    def _speak(self, request: dict[str, Any]) -> bytes:
        own = self._library
        if own.espeak_SetVoiceByName(request["voice"].encode()):
            raise RuntimeError(f"no voice {request['voice']!r}")
        for number, name in ((RATE, "speed"), (PITCH, "pitch"), (RANGE, "range"), (GAP, "gap")):
            own.espeak_SetParameter(number, int(request[name]), 0)
        self._sound.clear()
        text = request["text"].encode()
        if failed := own.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None):
            raise RuntimeError(f"cannot speak: error {failed}")
        return bytes(self._sound)

    def _collect(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self._sound.extend(ctypes.string_at(samples, 2 * count))
        return 0


def answer_apart(engine: Engine, line: bytes) -> bytes:
    """The answer of a copy of this process: what was said before leaves traces in the library."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        with os.fdopen(writing, "wb") as out:
            out.write(engine.answer(line))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as made:
        answer = made.read()
    _, status = os.waitpid(child, 0)
    if status:
        error = {"error": f"its library ended with status {status}", "bytes": 0}
        return json.dumps(error).encode() + b"\n"
    return answer


def main() -> None:
    """Answer requests until there are no more."""
    engine = Engine(*sys.argv[1:3])
    for line in sys.stdin.buffer:
        answer = answer_apart(engine, line) if hasattr(os, "fork") else engine.answer(line)
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
