"""The text of a file: UTF-8, whole, and what its ending says it is; anything else is named."""

from __future__ import annotations

import codecs

from parsimony.data.ask import Ask

_FOREIGN_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_UNPACK = "unpack it first"
_KINDS = (
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "unpack it, or save the sheet as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as CSV UTF-8"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz file", _UNPACK),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch it with `git lfs pull`"),
    (b"<!doctype html", "a web page, not a table", "download the file itself; a page to log in looks so"),
    (b"<html", "a web page, not a table", "download the file itself; a page to log in looks so"),
    (b"PAR1", "a Parquet file", "call it .parquet"),
)
_SAMPLE_BYTES = 1024


def refuse_other_kinds(ask: Ask, suffix: str) -> None:
    """Refuse a file whose first bytes say that it is something else than its ending does."""
    with ask.path.open("rb") as stream:
        start = stream.read(_SAMPLE_BYTES).removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")
    for signature, kind, remedy in _KINDS:
        same = suffix == ".parquet" and signature == b"PAR1"
        if not same and start[: len(signature)].lower() == signature.lower():
            raise ask.refuse(f"is {kind}, by its first bytes; {remedy}")


def decode(ask: Ask) -> str:
    """Return the text of a UTF-8 file without its byte order mark; DataError for any other encoding and for NUL bytes."""
    data = ask.path.read_bytes()
    for bom, encoding in _FOREIGN_BOMS:
        if data.startswith(bom):
            raise ask.refuse(f"is {encoding}, by its byte order mark; expected UTF-8: save it as UTF-8")
    if (at := data.find(b"\0")) >= 0:
        if _looks_like_utf16(data[:_SAMPLE_BYTES]):
            raise ask.refuse("is UTF-16 without a byte order mark, by its NUL bytes; expected UTF-8: save it as UTF-8")
        raise ask.refuse(f"has a NUL byte at byte {at}; expected UTF-8 text", line=data.count(b"\n", 0, at) + 1)
    body = data
    while body.startswith(codecs.BOM_UTF8):
        body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start + len(data) - len(body)
        cut = "the file seems cut off here: " if error.reason == "unexpected end of data" else ""
        reason = f"{cut}byte {at} (0x{data[at]:02x}) is not UTF-8; save the file as UTF-8"
        raise ask.refuse(reason, line=data.count(b"\n", 0, at) + 1) from None


def _looks_like_utf16(start: bytes) -> bool:
    """Say whether every second byte is mostly NUL, as in UTF-16 of Latin letters."""
    halves = (start[0::2], start[1::2])
    shares = [half.count(0) / len(half) if half else 0.0 for half in halves]
    return max(shares) > 0.5 and min(shares) < 0.1
