"""A measurement as JSON and back: what the receipt shows is all that there is, so an audit can read it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from parsimony.measurement.records import (
    Disturbance,
    Environment,
    MachineClass,
    Measurement,
    Quantile,
    Ratio,
    RooflineEfficiency,
    RooflinePeaks,
    TargetSettings,
)

Json = dict[str, object]
_PLAIN = ("target", "samples", "throughput_per_s", "peak_rss_bytes", "startup_s", "noise", "stable")
_QUANTILES = ("p50", "p90", "p99")
_RECORDS: dict[str, Callable[..., object]] = {
    "ratio": Ratio,
    "roofline_efficiency": RooflineEfficiency,
    "roofline_peaks": RooflinePeaks,
    "disturbance": Disturbance,
}


def to_json(measurement: Measurement) -> Json:
    """Return a measurement as JSON: milliseconds, seconds and bytes as the keys say, null for what is not known."""
    quantiles: Json = {}
    for name in _QUANTILES:
        quantile: Quantile = getattr(measurement, name)
        quantiles |= {f"{name}_ms": quantile.value_ms, f"{name}_interval_ms": [quantile.low_ms, quantile.high_ms]}
    return {
        **{name: getattr(measurement, name) for name in _PLAIN},
        **quantiles,
        **{name: None if (part := getattr(measurement, name)) is None else asdict(part) for name in _RECORDS},
        "warm_up": measurement.warm_up,
        "environment": _environment(measurement.environment),
    }


def from_json(values: Mapping[str, Any]) -> Measurement:
    """Return the measurement that `to_json` wrote; raise KeyError or TypeError when it was not written so.

    Values that older receipts do not hold may be absent.
    """
    quantiles: dict[str, Any] = {
        name: Quantile(
            value_ms=values[f"{name}_ms"],
            low_ms=values[f"{name}_interval_ms"][0],
            high_ms=values[f"{name}_interval_ms"][1],
        )
        for name in _QUANTILES
    }
    plain: dict[str, Any] = {name: values[name] for name in _PLAIN}
    later: dict[str, Any] = {
        name: None if values.get(name) is None else record(**values[name]) for name, record in _RECORDS.items()
    }
    environment = _environment_from(values["environment"])
    return Measurement(**plain, **quantiles, **later, warm_up=values.get("warm_up"), environment=environment)


def target_from_json(said: Mapping[str, Any]) -> TargetSettings:
    """Return a target that was written key by key; one without a class of machine is of any class."""
    if "machine" not in said:
        return TargetSettings(**said)
    machine = MachineClass(**{**said["machine"], "isa": tuple(said["machine"]["isa"])})
    return TargetSettings(**{**said, "machine": machine})


def _environment(environment: Environment) -> Json:
    affinity = None if environment.affinity is None else list(environment.affinity)
    lists = {"isa": list(environment.isa), "versions": dict(environment.versions), "affinity": affinity}
    return {**asdict(environment), **lists}


def _environment_from(values: Mapping[str, Any]) -> Environment:
    affinity = None if values.get("affinity") is None else tuple(values["affinity"])
    versions = tuple(values["versions"].items())
    return Environment(**{**values, "isa": tuple(values["isa"]), "versions": versions, "affinity": affinity})
