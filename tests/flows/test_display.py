"""What a run shows while it works, and tables where nobody watches."""

from __future__ import annotations

import logging

import pytest

from parsimony.flows.display import following, print_table


def test_a_table_for_a_pipe_has_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([("what", "why"), ("promote", "word " * 60), ("[bold]rollback[/]", "x")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 100
    assert lines[-1].startswith("[bold]rollback[/]")
    assert sum(line.count("word") for line in lines) == 60


def test_progress_is_a_line_on_standard_error_and_the_logger_is_left_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("parsimony")
    before = (logger.level, logger.propagate, tuple(logger.handlers))
    with following():
        logging.getLogger("parsimony.progress").info(
            "train student", extra={"stage": "train", "detail": "student-L3", "left_s": 90.0}
        )
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("00:00  train     student-L3  (about ")
    assert told.err.endswith(" left)\n")
    assert (logger.level, logger.propagate, tuple(logger.handlers)) == before
