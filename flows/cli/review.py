"""`parsimony review`: what waits for a person, and the person's word."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from parsimony.errors import PlanError
from parsimony.flows.champions import registry
from parsimony.flows.cli.shared import Verbs, takes_json, verb

if TYPE_CHECKING:
    from parsimony.decision.journal import JournalEntry
    from parsimony.tasks.registry.tracking import Registry

LATEST = "the one with the alias"


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "show what waits for a review, approve or reject it"
    parser = verb(
        verbs, review, "review", purpose, 'review support-tickets --approve --reason "fine on our hard cases"'
    )
    parser.add_argument("name", help="the registered model")
    said = parser.add_mutually_exclusive_group()
    said.add_argument("--approve", action="store_true", help="put what waits into production")
    said.add_argument("--reject", action="store_true", help="refuse what waits; it is not proposed again")
    said.add_argument(
        "--adopt", nargs="?", const=LATEST, metavar="VERSION",
        help="put a version into production that was given the alias by hand, if a run has judged it and it passed",
    )  # fmt: skip
    parser.add_argument(
        "--version", metavar="VERSION", help="the version that you looked at; without it the one that waits"
    )
    parser.add_argument(
        "--reviewer", metavar="WHO", default="", help="who reviews; without it the user of this process"
    )
    parser.add_argument("--reason", metavar="WORDS", default="", help="why, for whoever reads the journal later")
    takes_json(parser, "print what waits, or the journal's entry, as JSON")


def review(chosen: argparse.Namespace) -> int:
    """Print what waits, or act and print what became of it."""
    place = registry()
    if not (chosen.approve or chosen.reject or chosen.adopt):
        return _show(place, chosen)
    if not chosen.reason.strip():
        raise PlanError('say why: --reason "..."')
    from parsimony.tasks.lease import lease

    with lease(place, chosen.name):
        entry = _act(place, chosen)
    if chosen.json:
        print(json.dumps(asdict(entry)))
    else:
        done = "is in production" if entry.kind == "promote" else "was rejected"
        print(f"{chosen.name} version {entry.version} {done}: by {entry.by} at {entry.at}, {entry.reason}")
    return 0


def _act(place: Registry, chosen: argparse.Namespace) -> JournalEntry:
    from parsimony.tasks.registry import review as reviews
    from parsimony.tasks.registry.entries import user

    said = reviews.Said(reviewer=chosen.reviewer or user(), note=chosen.reason)
    if chosen.adopt:
        version = reviews.moved_by_hand(place, chosen.name) if chosen.adopt == LATEST else chosen.adopt
        return reviews.adopt(place, chosen.name, said, version)
    decide = reviews.approve if chosen.approve else reviews.reject
    return decide(place, chosen.name, said, chosen.version)


def _show(place: Registry, chosen: argparse.Namespace) -> int:
    from parsimony.tasks.registry import review as reviews

    there = reviews.waiting(place, chosen.name)
    if chosen.json:
        print(json.dumps(None if there is None else asdict(there)))
        return 0
    if there is None:
        print(f"nothing of {chosen.name} waits for a review")
        return 0
    print(
        f"{there.model} version {there.version} waits since {there.since}, until {there.until}, then: {there.on_timeout}\n"
    )
    print(there.card.partition("\n## Use")[0])
    print(f'\nnext     parsimony review {there.model} --version {there.version} --approve --reason "..."')
    return 0
