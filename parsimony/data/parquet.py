"""Parquet: rows and bytes are counted before they are unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parsimony.data.ask import MAX_BYTES, MAX_ROWS, Ask, Record, class_names, columns
from parsimony.data.table import Table
from parsimony.errors import first_line

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

_BATCH_ROWS = 4096


def read_parquet(ask: Ask) -> Table:
    """Read the columns wanted; DataError for more rows or bytes than the limits, which a small file can unpack to."""
    import pyarrow
    import pyarrow.parquet
    from datasets import Features

    try:
        schema = pyarrow.parquet.read_schema(ask.path)
        names = columns(ask, schema.names)
        _refuse_nested(ask, schema, names)
        classes = class_names(Features.from_arrow_schema(schema), ask.label)
        named = replace(ask, classes=classes or ask.classes, counted="row")
        text = [name for name in names if _is_text(schema.field(name).type)]
        # As dictionaries: a value that is repeated a million times is unpacked once.
        with pyarrow.parquet.ParquetFile(ask.path, read_dictionary=text) as file:
            _refuse_large(ask, file.metadata, names)
            return named.table(enumerate(_records(ask, file, names), 1))
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # the last two are what `datasets` says of damaged metadata
        raise ask.refuse(f"cannot be read as Parquet ({first_line(error)}); write it again") from None


def _is_text(kind: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind))


def _refuse_nested(ask: Ask, schema: pyarrow.Schema, names: tuple[str, ...]) -> None:
    import pyarrow.types as types

    for name in names:
        if types.is_nested(kind := schema.field(name).type):
            several = "; a row has one label" if name == ask.label else ""
            reason = f"column {name!r} holds values of type {kind}; expected text, numbers, true or false{several}"
            raise ask.refuse(reason, column=name)


def _refuse_large(ask: Ask, metadata: pyarrow.parquet.FileMetaData, names: tuple[str, ...]) -> None:
    if metadata.num_rows > MAX_ROWS:
        raise ask.refuse(f"has {metadata.num_rows:,} rows, the limit is {MAX_ROWS:,}; train on a part of it")
    chunks = (
        group.column(i)
        for group in map(metadata.row_group, range(metadata.num_row_groups))
        for i in range(group.num_columns)
    )
    _refuse_bytes(ask, sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in names))


def _refuse_bytes(ask: Ask, size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        reason = (
            f"unpacks to more than {MAX_BYTES} bytes ({ask.path.stat().st_size} bytes packed); train on a part of it"
        )
        raise ask.refuse(reason)


def _records(ask: Ask, file: pyarrow.parquet.ParquetFile, names: tuple[str, ...]) -> Iterator[Record]:
    size_bytes = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(names)):
        lists = []
        for column in batch.columns:
            size_bytes += _unpacked_bytes(column)
            _refuse_bytes(ask, size_bytes)
            lists.append(_values(column))
        yield from (dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True))


def _unpacked_bytes(column: pyarrow.Array) -> int:
    """Count the bytes that a column has when every row holds its own value."""
    import pyarrow.compute
    import pyarrow.types as types

    if not (types.is_dictionary(column.type) and _is_text(column.type.value_type)):
        return int(column.nbytes)
    lengths = pyarrow.compute.binary_length(column.dictionary).fill_null(0).to_numpy(zero_copy_only=False)
    places = column.indices.drop_null().to_numpy(zero_copy_only=False)
    return int(lengths[places].sum(dtype=np.int64)) if len(places) else 0


def _values(column: pyarrow.Array) -> list[object]:
    import pyarrow.types as types

    if not types.is_dictionary(column.type):
        values: list[object] = column.to_pylist()
        return values
    known = column.dictionary.to_pylist()
    return [None if place is None else known[place] for place in column.indices.to_pylist()]
