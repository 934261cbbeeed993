"""Review: a winner that needs an approval waits as the challenger until a person approves or rejects it, in time.

What waits, and who said what and why, are entries of the journal: of two reviewers who decide at once one wins, and the other is told. The
alias `challenger` and the tags of the version show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from parsimony.decision.challenges import Status, challenger, challenges
from parsimony.decision.journal import JournalEntry, Kind
from parsimony.decision.journal import standing as standing_of
from parsimony.decision.records import Decision
from parsimony.errors import InfrastructureError, PlanError
from parsimony.tasks.registry.aliases import MOVED, followed
from parsimony.tasks.registry.entries import About, plain, proposal
from parsimony.tasks.registry.journal import TRIES, State, append, look, version_of
from parsimony.tasks.registry.promotion import require_current
from parsimony.tasks.registry.review_tags import (
    ANSWERS,
    FLOW_RUN,
    ON_TIMEOUT,
    REVIEW,
    REVIEWED_AT,
    UNTIL,
    show,
    tell_problem,
    wish_of,
)
from parsimony.tasks.registry.stored_bundles import Verified, verify_version
from parsimony.tasks.registry.tracking import Registry, connected
from parsimony.tasks.registry.versions import versions_of, winner_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

OnTimeout = Literal["reject", "keep"]
_LAST_ENDED = 5  # of older ones no run asks any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a winner waits for a person, what happens then, and which flow run asks."""

    hours: float = 168.0
    on_timeout: OnTimeout = "reject"
    flow_run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A version that waits: since when, until when, what happens then, why it won, which flow run asks ("" for none), and how many replies
    to its form could not be used.
    """

    model: str
    version: str
    digest: str
    reason: str
    since: str
    until: str
    on_timeout: OnTimeout
    flow_run_id: str
    replies: int
    candidate: str
    card: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a reviewer says: who, and why."""

    reviewer: str
    note: str


def propose(registry: Registry, decision: Decision, verified: Verified, terms: Terms) -> JournalEntry:
    """Let the decided winner, registered and verified, wait for a person; return the journal's entry.

    One that waits already and was not reviewed is replaced, and says so. No entry is written when this bundle waits already. Raises
    what `promote` raises.
    """
    _, built = winner_of(decision)
    if decision.outcome != "waiting" or verified.digest != built.digest:
        raise ValueError(f"the decision on {decision.model} is {decision.outcome!r}; nothing waits for a review")
    about = About(version=verified.version, digest=verified.digest, size_bytes=built.size_bytes)
    until = datetime.now(UTC) + timedelta(hours=terms.hours)
    tags = {
        REVIEW: "waiting",
        UNTIL: until.isoformat(timespec="seconds"),
        ON_TIMEOUT: terms.on_timeout,
        FLOW_RUN: terms.flow_run_id,
        ANSWERS: "0",
    }
    with connected(registry) as client:
        for _ in range(TRIES):
            state = look(client, decision.model)
            state.require_whole()
            present = challenger(state.journal.counted)
            if present is not None and present.digest == verified.digest:
                return followed(client, decision.model, present)
            require_current(decision, state, built)
            _set_tags(client, decision.model, verified.version, tags)
            if entry := append(
                client, registry, decision.model, proposal("challenge", state.last, about, decision.reason)
            ):
                return _done(client, decision.model, entry)
    raise InfrastructureError(f"the journal of {decision.model} changed {TRIES} times meanwhile; run again")


def waiting(registry: Registry, model: str) -> Waiting | None:
    """Return what waits for a review; None when nothing does."""
    with connected(registry) as client:
        entry = challenger(look(client, model).journal.counted)
        return None if entry is None else _waiting(client, model, entry)


def not_used(registry: Registry, there: Waiting, replies: int) -> None:
    """Remember how many replies could not be used: one that could not be used then is not used later."""
    with connected(registry) as client:
        client.set_model_version_tag(there.model, there.version, ANSWERS, str(replies))


def of_flow_run(registry: Registry, model: str, flow_run_id: str) -> Waiting | None:
    """Return what a flow run has proposed, whatever became of it; None when it has proposed nothing."""
    with connected(registry) as client:
        for challenge in reversed(challenges(look(client, model).journal.counted)):
            there = _waiting(client, model, challenge.entry)
            if there is not None and there.flow_run_id == flow_run_id:
                return there
    return None


def became(registry: Registry, model: str, version: str) -> tuple[Status, str]:
    """Return what became of a version that was proposed, in a word and in words."""
    with connected(registry) as client:
        known = challenges(look(client, model).journal.counted)
        last = [one for one in known if one.entry.version == version][-1]
        return last.status, last.told()


def answered_runs(registry: Registry, model: str) -> tuple[str, ...]:
    """Return the flow runs that have proposed what does not wait any more."""
    with connected(registry) as client:
        ended = [one.entry for one in challenges(look(client, model).journal.counted) if one.end is not None]
        there = (_waiting(client, model, entry) for entry in ended[-_LAST_ENDED:])
        return tuple(dict.fromkeys(one.flow_run_id for one in there if one is not None and one.flow_run_id))


def act_on_tags(registry: Registry, model: str) -> JournalEntry | None:
    """Do what a reviewer has set in MLflow on the version that waits; None where nothing is set that can be used, which the version says."""
    there = waiting(registry, model)
    if there is None:
        return None
    with connected(registry) as client:
        wish = wish_of(client.get_model_version(model, there.version).tags)
        tell_problem(client, model, there.version, wish.problem)
    if wish.decision == "none":
        return None
    kind: Kind = "promote" if wish.decision == "approve" else "reject"
    return _answer(registry, model, kind, Said(reviewer=wish.reviewer, note=wish.note), there.version)


def moved_by_hand(registry: Registry, model: str) -> str:
    """Return the version that was given the alias of the champion by hand: it names it now, or did before it was mended."""
    with connected(registry) as client:
        state = look(client, model)
        champion = state.head.version if state.head else None
        if state.alias not in (None, champion):
            return str(state.alias)
        moved = {v.tags[MOVED]: str(v.version) for v in versions_of(client, model) if MOVED in v.tags}
        if not moved:
            raise PlanError(
                f"no version of {model} was given the alias by hand; name one: parsimony review {model} --adopt VERSION"
            )
        return moved[max(moved)]


def _waiting(client: MlflowClient, model: str, entry: JournalEntry) -> Waiting | None:
    version = version_of(client, model, entry.version)
    if version is None:
        return None
    tags = version.tags
    return Waiting(
        model=model,
        version=entry.version,
        digest=entry.digest,
        reason=entry.reason,
        since=entry.at,
        until=tags.get(UNTIL, ""),
        on_timeout="keep" if tags.get(ON_TIMEOUT) == "keep" else "reject",
        flow_run_id=tags.get(FLOW_RUN, ""),
        replies=int(tags.get(ANSWERS, "")) if tags.get(ANSWERS, "").isdecimal() else 0,
        candidate=tags.get("candidate", "unknown"),
        card=str(version.description or ""),
    )


# --- what a person says ---------------------------------------------------------------------------


def approve(registry: Registry, model: str, said: Said, version: str | None = None) -> JournalEntry:
    """Promote what waits, as any promotion: verified, on top of the head that was read; return the journal's entry.

    version: the one that was looked at; without it the one that waits. Raises PlanError, which says what became of it, when it waits no
    more: another reviewer was faster, a newer one took its place, or the champion changed, against which it was not judged.
    """
    return _answer(registry, model, "promote", said, version)


def reject(registry: Registry, model: str, said: Said, version: str | None = None) -> JournalEntry:
    """Refuse what waits: it is not proposed again; return the journal's entry. Raises what `approve` raises."""
    return _answer(registry, model, "reject", said, version)


def expire(registry: Registry, model: str) -> JournalEntry | None:
    """End the waiting of one whose time is over, as its plan says; None where there is none."""
    there = waiting(registry, model)
    if there is None or not there.until or datetime.now(UTC) < datetime.fromisoformat(there.until):
        return None
    kind: Kind = "reject" if there.on_timeout == "reject" else "expire"
    said = Said(reviewer="nobody", note=f"no review until {there.until}")
    return _answer(registry, model, kind, said, there.version)


def _answer(registry: Registry, model: str, kind: Kind, said: Said, version: str | None) -> JournalEntry:
    if not said.reviewer.strip():
        raise PlanError(f"who reviews {model}? the journal keeps the reviewer's name")
    with connected(registry) as client:
        for _ in range(TRIES):
            state = look(client, model)
            state.require_whole()
            challenge = _challenge(state, version)
            if kind == "promote":
                if hold := standing_of(state.journal.counted).hold:
                    raise PlanError(f"{hold}; `parsimony release {model}` allows promotions again")
                verify_version(client, registry, model, challenge.version, challenge.digest)
            about = About(version=challenge.version, digest=challenge.digest, size_bytes=challenge.size_bytes)
            note = plain(said.note) or "without a note"
            reason = f"approved: {note}; {challenge.reason}" if kind == "promote" else note
            proposed = proposal(kind, state.last, about, reason, by=said.reviewer)
            if entry := append(client, registry, model, proposed):
                return _done(client, model, entry)
            version = challenge.version  # another writer was faster: say what became of the one that was looked at
    raise InfrastructureError(f"the journal of {model} changed {TRIES} times meanwhile; try again")


def _challenge(state: State, version: str | None) -> JournalEntry:
    """Return the challenge that waits; PlanError when there is none, or not the one that was meant."""
    present = challenger(state.journal.counted)
    if present is not None and version in (None, present.version):
        return present
    known = [one for one in challenges(state.journal.counted) if version in (None, one.entry.version)]
    told = (
        known[-1].told()
        if known
        else f"{'nothing' if version is None else f'version {version}'} of {state.model} was proposed"
    )
    raise PlanError(f"nothing of {state.model} waits for this review: {told}")


def adopt(registry: Registry, model: str, said: Said, version: str) -> JournalEntry:
    """Put a version into production that a person had given the alias by hand, if a run has judged it and it passed.

    Raises PlanError for one that was not judged or did not pass, InfrastructureError when its bundle is not the judged one.
    """
    from parsimony.tasks.registry.judged_versions import judged

    with connected(registry) as client:
        about = judged(client, registry, model, version)
        for _ in range(TRIES):
            state = look(client, model)
            state.require_whole()
            if hold := standing_of(state.journal.counted).hold:
                raise PlanError(f"{hold}; `parsimony release {model}` allows promotions again")
            if state.head is not None and state.head.version == version:
                return followed(client, model, state.head)
            verify_version(client, registry, model, version, about.digest)
            proposed = proposal("promote", state.last, about, f"adopted: {plain(said.note)}", by=said.reviewer)
            if entry := append(client, registry, model, proposed):
                return _done(client, model, entry)
    raise InfrastructureError(f"the journal of {model} changed {TRIES} times meanwhile; try again")


def _done(client: MlflowClient, model: str, entry: JournalEntry) -> JournalEntry:
    """Let the aliases follow, and show on the versions what became of each challenge."""
    followed(client, model, entry)
    show(client, look(client, model))
    return entry


def _set_tags(client: MlflowClient, model: str, version: str, tags: dict[str, str]) -> None:
    known = client.get_model_version(model, version).tags
    for name, value in tags.items():
        client.set_model_version_tag(model, version, name, value)
    if REVIEWED_AT in known:  # an earlier review of the same bundle
        client.delete_model_version_tag(model, version, REVIEWED_AT)


def show_all(registry: Registry, model: str) -> None:
    """Show on the versions what became of each challenge, also where something other than a review ended it."""
    with connected(registry) as client:
        show(client, look(client, model))
