"""Log lines of every library without secrets: whatever MLflow, urllib3, SQLAlchemy or Prefect logs is masked before any handler has it.

A filter of a logger does not see what comes from the loggers below it, and a handler may be added at any time; what makes
records sees them all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from parsimony.tasks.registry.secrets import without_secrets

_formatter = logging.Formatter()


def mask_logs() -> None:
    """Let every log record of this process be made without secrets; once is enough."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks_secrets", False):
        return

    def masking(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = make(*arguments, **keywords)
        _mask(record)
        return record

    masking.masks_secrets = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(masking)


def _mask(record: logging.LogRecord) -> None:
    """Mask what a record says: its arguments one by one, since some formatters want them, then the whole, then its traceback."""
    if isinstance(record.args, Mapping):
        record.args = {name: _masked(value) for name, value in record.args.items()}
    elif record.args:
        record.args = tuple(_masked(value) for value in record.args)
    try:
        said = record.getMessage()
    except Exception:  # a line that cannot be put together is shown in parts
        record.msg, record.args = without_secrets(f"{record.msg} {record.args}"), ()
    else:
        if (shown := without_secrets(said)) != said:
            record.msg, record.args = shown, ()
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = without_secrets(_formatter.formatException(record.exc_info))
    if record.stack_info:
        record.stack_info = without_secrets(record.stack_info)


def _masked(value: Any) -> Any:
    """Return an argument as it is, or as masked text when it shows a secret."""
    if isinstance(value, bool | int | float | None):
        return value
    said = str(value)
    shown = without_secrets(said)
    return value if shown == said else shown
