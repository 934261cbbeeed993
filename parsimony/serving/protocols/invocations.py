"""MLflow's `/invocations`, which SageMaker calls too: one label for each text, in one of four spellings of a column of texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parsimony.serving.messages import Question, RefusedError, Request, json_object, texts_of
from parsimony.serving.served import Served
from parsimony.serving.settings import Limits

_FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
_SPLIT = {"columns", "index", "data"}
_CODES = {400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 404: "RESOURCE_DOES_NOT_EXIST", 429: "REQUEST_LIMIT_EXCEEDED"}


def read(request: Request, _: Served, limits: Limits) -> Question:
    """Read a request to `/invocations`."""
    asked = json_object(request.body)
    form = [name for name in _FORMS if name in asked]
    if len(form) != 1:
        raise RefusedError(
            400, f"the body has {' and '.join(form) or 'none'} of {', '.join(_FORMS)}; expected exactly one of them"
        )
    if odd := sorted(set(asked) - {*_FORMS, "params"}):
        raise RefusedError(400, f"unknown key {odd[0][:80]!r}, expected one of {', '.join(_FORMS)}")
    if asked.get("params") not in (None, {}):
        raise RefusedError(400, "params is not empty; this model takes none")
    return Question(texts=texts_of(_column(form[0], asked[form[0]]), form[0], limits), render=_labels)


def _column(form: str, value: object) -> object:
    """Return the only column of what a request holds, as a list."""
    if form == "dataframe_split":
        return _split(value)
    if form == "dataframe_records" and not (isinstance(value, list) and all(isinstance(row, dict) for row in value)):
        raise RefusedError(422, 'dataframe_records is no list of objects, expected [{"text": "..."}]')
    if isinstance(value, dict):  # inputs by name: one column
        if len(value) != 1:
            raise RefusedError(422, f"{form} has {len(value)} columns, expected one column of texts")
        return next(iter(value.values()))
    return [_cell(row, form) for row in value] if isinstance(value, list) else value


def _split(value: object) -> object:
    if not isinstance(value, dict) or not {"columns", "data"} <= set(value) <= _SPLIT:
        raise RefusedError(422, 'dataframe_split is not {"columns": ["text"], "data": [["..."]]}')
    columns, rows = value["columns"], value["data"]
    if not isinstance(columns, list) or len(columns) != 1 or not isinstance(rows, list):
        raise RefusedError(422, "dataframe_split has not one column, expected one column of texts")
    if not all(isinstance(row, list) and len(row) == 1 for row in rows):
        raise RefusedError(422, "a row of dataframe_split.data is no list of one text")
    return [row[0] for row in rows]


def _cell(row: object, form: str) -> object:
    """Return the text of a row: the row itself, its only entry, or the value of its only column."""
    if isinstance(row, str) or not isinstance(row, list | dict):
        return row
    if len(row) != 1:
        raise RefusedError(422, f"a row of {form} has {len(row)} values, expected one text")
    return row[0] if isinstance(row, list) else next(iter(row.values()))


def _labels(served: Served, rows: Sequence[np.ndarray]) -> object:
    return {"predictions": [served.labels[int(row.argmax())] for row in rows]}


def complain(refused: RefusedError) -> dict[str, object]:
    """Return a refusal in MLflow's words."""
    return {"error_code": _CODES.get(refused.status, "INVALID_PARAMETER_VALUE"), "message": refused.message}
