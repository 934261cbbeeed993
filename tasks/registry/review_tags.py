"""A review as MLflow shows it: tags of the version that waits, which a reviewer may set, and what became of it in tags and card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from parsimony.decision.challenges import Challenge, challenges
from parsimony.tasks.registry.journal import State, version_of
from parsimony.tasks.registry.versions import CARD_CHARS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

REVIEW, REVIEWER, NOTE = "review", "reviewer", "note"  # what a reviewer sets
UNTIL, ON_TIMEOUT, PROBLEM, REVIEWED_AT = "review_until", "review_on_timeout", "review_problem", "reviewed_at"
FLOW_RUN = "prefect.flow_run_id"
ANSWERS = "review_answers"  # how many replies of the form could not be used
_HEADING = "## Review"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a reviewer has set in MLflow, or what is wrong with it."""

    decision: Literal["approve", "reject", "none"]
    reviewer: str = ""
    note: str = ""
    problem: str = ""


def wish_of(tags: dict[str, str]) -> Wish:
    """Read a reviewer's tags: `review` is `approved` or `rejected`, `reviewer` a name; anything else is told, not guessed."""
    word = tags.get(REVIEW, "").strip().lower()
    if word in ("", "waiting"):
        return Wish(decision="none")
    if word not in ("approved", "rejected"):
        return Wish(decision="none", problem=f"the tag {REVIEW} is {word!r:.60}, expected approved or rejected")
    if not (reviewer := tags.get(REVIEWER, "").strip()):
        return Wish(decision="none", problem=f"set the tag {REVIEWER}, too: the journal keeps who {word} it")
    return Wish(
        decision="approve" if word == "approved" else "reject", reviewer=reviewer, note=tags.get(NOTE, "").strip()
    )


def tell_problem(client: MlflowClient, model: str, version: str, problem: str) -> None:
    """Show beside a reviewer's tags what is wrong with them; "" takes it away."""
    known = client.get_model_version(model, version).tags.get(PROBLEM, "")
    if problem and known != problem:
        client.set_model_version_tag(model, version, PROBLEM, problem)
    elif known and not problem:
        client.delete_model_version_tag(model, version, PROBLEM)


def show(client: MlflowClient, state: State) -> None:
    """Let the versions say what became of each challenge: who, when and why, in their tags and in their cards."""
    for challenge in challenges(state.journal.counted):
        version = version_of(client, state.model, challenge.entry.version)
        if version is None or challenge.end is None or version.tags.get(REVIEWED_AT) == challenge.end.at:
            continue
        if any(
            c.entry.version == challenge.entry.version and c.entry.number > challenge.entry.number
            for c in challenges(state.journal.counted)
        ):
            continue  # it was proposed again
        end = challenge.end
        tags = {REVIEW: challenge.status, REVIEWER: end.by, NOTE: challenge.told(), REVIEWED_AT: end.at}
        for name, value in tags.items():
            client.set_model_version_tag(state.model, challenge.entry.version, name, value)
        client.update_model_version(state.model, challenge.entry.version, description=_card(version, challenge))


def _card(version: ModelVersion, challenge: Challenge) -> str:
    """Return the version's card with the review before everything else but its first line, so that no limit cuts it off."""
    first, _, rest = str(version.description or "").partition("\n")
    told = challenge.told()
    if rest.lstrip().startswith(_HEADING):
        rest = rest.lstrip().removeprefix(_HEADING).partition("\n## ")[2]
        rest = f"## {rest}"
    return f"{first}\n\n{_HEADING}\n\n{told[:1].upper()}{told[1:]}\n\n{rest.lstrip()}"[:CARD_CHARS]
