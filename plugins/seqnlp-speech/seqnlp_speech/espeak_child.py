"""The process that speaks: eSpeak NG's library cannot be entered twice and may crash.

It reads a request a line (JSON) and answers each with a line of JSON and as many bytes of 16-bit
samples as that line says. Started as `python -m seqnlp_speech.espeak_child LIBRARY DATA`.

Source: speak_lib.h of eSpeak NG, API 12.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

SYNCHRONOUS, BUFFER_MS, UTF8 = 2, 200, 1
RATE, VOLUME, PITCH, RANGE, GAP = 1, 2, 3, 4, 7
"""Numbers of espeak_PARAMETER."""

Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Engine:
    """The library, begun anew for each text, so that none depends on the one before."""

    def __init__(self, library: str, data: str) -> None:
        self._library = ctypes.CDLL(library)
        self._data = data.encode()
        self._sound = bytearray()
        self._callback = Callback(self._collect)
        # Breath is noise from the C library's generator.
        self._seed = getattr(ctypes.CDLL(None), "srand", None) if sys.platform != "win32" else None

    def speak(self, request: dict[str, Any]) -> tuple[int, bytes]:
        """Rate and samples of a text.

        Raises:
            RuntimeError: the library refuses the voice or the text.
        """
        own = self._library
        rate: int = own.espeak_Initialize(SYNCHRONOUS, BUFFER_MS, self._data, 1 << 15)
        if rate <= 0:
            raise RuntimeError(f"cannot begin with the data in {self._data.decode()}")
        own.espeak_SetSynthCallback(self._callback)
        if own.espeak_SetVoiceByName(request["voice"].encode()):
            raise RuntimeError(f"no voice {request['voice']!r}")
        for number, name in ((RATE, "speed"), (PITCH, "pitch"), (RANGE, "range"), (GAP, "gap")):
            own.espeak_SetParameter(number, int(request[name]), 0)
        if self._seed is not None:
            self._seed(1)
        self._sound.clear()
        text = request["text"].encode()
        failed = own.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
        own.espeak_Terminate()
        if failed:
            raise RuntimeError(f"cannot speak: error {failed}")
        return rate, bytes(self._sound)

    def _collect(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self._sound.extend(ctypes.string_at(samples, 2 * count))
        return 0


def main() -> None:
    """Answer requests until there are no more."""
    engine = Engine(*sys.argv[1:3])
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        try:
            rate, sound = engine.speak(json.loads(line))
            head: dict[str, object] = {"rate": rate, "bytes": len(sound)}
        except RuntimeError as error:
            head, sound = {"error": str(error), "bytes": 0}, b""
        out.write(json.dumps(head).encode() + b"\n" + sound)
        out.flush()


if __name__ == "__main__":
    main()
