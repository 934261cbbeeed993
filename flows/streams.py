"""Standard output and error that never cost a result, nor let data steer the terminal.

What comes from data, labels, names or manifests may hold control characters, which are replaced; rich, which writes its own, gets the
stream as it is, and texts that are clean. A sign that a stream's encoding does not hold becomes a plain one, and a reader that went away is no error of the run.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from parsimony.errors import UNSAFE

_HANDLER = "parsimony.plain"
# What Python gives its streams by default; another choice is the user's.
_DEFAULTS = ("strict", "surrogateescape", "backslashreplace")
_PLAIN = {
    "×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "•": "*", "·": ".", "≥": ">=", "≤": "<=", "→": "->", "±": "+-",
    "‘": "'", "’": "'", "“": '"', "”": '"', "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
}  # fmt: skip
# `errors.UNSAFE` without what stands for the bytes of a file's name that was no text.
_STEERING = re.compile(UNSAFE.pattern.replace(r"\ud800-\udfff", ""))
_GONE = (errno.EPIPE, errno.EIO)


@dataclass(slots=True)
class Stream:
    """A text stream that goes on into nothing when its reader is gone."""

    stream: TextIO
    is_rich: bool = False

    @property
    def rich_proxied_file(self) -> Stream:
        """The stream that rich writes to: it looks for this name."""
        return Stream(self.stream, is_rich=True)

    def write(self, text: str) -> int:
        """Write a text; return how many characters were taken."""
        try:
            self.stream.write(text if self.is_rich else _STEERING.sub("\N{REPLACEMENT CHARACTER}", text))
            return len(text)
        except OSError as error:
            self._go_on(error)
            return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self.stream.flush()
        except OSError as error:
            self._go_on(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _go_on(self, error: OSError) -> None:
        """Lead the stream into nothing when nobody reads it any more; raise every other error."""
        if error.errno not in _GONE:
            raise error
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.stream.fileno())
        os.close(nothing)


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Let standard output and error be lenient in this block."""
    codecs.register_error(_HANDLER, _plain)
    _occupy()
    before = sys.stdout, sys.stderr
    streams = [Stream(stream or _nothing()) for stream in before]
    choices = [_choose(stream.stream) for stream in streams]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream, choice in zip(streams, choices, strict=True):
            stream.flush()
            if choice:
                stream.reconfigure(errors=choice)
        sys.stdout, sys.stderr = before


def _nothing() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  # lives as long as the process


def _occupy() -> None:
    """Fill the places of standard streams that were closed: the next file to be opened would take one and be written into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _choose(stream: TextIO) -> str:
    """Let a stream write plain signs for those that it cannot hold; return what it did before, "" where nothing changes."""
    before = str(getattr(stream, "errors", "") or "")
    if before not in _DEFAULTS or not hasattr(stream, "reconfigure"):
        return ""
    stream.reconfigure(errors=_HANDLER)
    return before


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for a character that an encoding does not hold: a plain sign, its own byte, or its number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":  # a byte of a file's name that was no text (PEP 383)
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    return _PLAIN.get(sign, sign.encode("ascii", "backslashreplace").decode("ascii")), error.start + 1
