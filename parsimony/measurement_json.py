"""A measurement as JSON and back: what the receipt shows is all that there is, so an audit can read it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from parsimony.records import Disturbance, Efficiency, Environment, Measurement, Quantile, Ratio, Roofs

Json = dict[str, object]
_PLAIN = ("target", "samples", "throughput_per_s", "peak_rss_bytes", "startup_s", "noise", "stable")
_QUANTILES = ("p50", "p90", "p99")
_RECORDS: dict[str, Callable[..., object]] = {
    "ratio": Ratio,
    "efficiency": Efficiency,
    "roofs": Roofs,
    "disturbance": Disturbance,
}


def to_json(seen: Measurement) -> Json:
    """Return a measurement as JSON: milliseconds, seconds and bytes as the keys say, null for what is not known."""
    quantiles: Json = {}
    for name in _QUANTILES:
        found: Quantile = getattr(seen, name)
        quantiles |= {f"{name}_ms": found.value_ms, f"{name}_interval_ms": [found.low_ms, found.high_ms]}
    return {
        **{name: getattr(seen, name) for name in _PLAIN},
        **quantiles,
        **{name: None if (part := getattr(seen, name)) is None else asdict(part) for name in _RECORDS},
        "warm_up": seen.warm_up,
        "environment": _environment(seen.environment),
    }


def from_json(found: Mapping[str, Any]) -> Measurement:
    """Return the measurement that `to_json` wrote; raise KeyError or TypeError when it was not written so.

    What receipts did not hold from the beginning may be absent.
    """
    quantiles: dict[str, Any] = {
        name: Quantile(
            value_ms=found[f"{name}_ms"],
            low_ms=found[f"{name}_interval_ms"][0],
            high_ms=found[f"{name}_interval_ms"][1],
        )
        for name in _QUANTILES
    }
    plain: dict[str, Any] = {name: found[name] for name in _PLAIN}
    later: dict[str, Any] = {
        name: None if found.get(name) is None else record(**found[name]) for name, record in _RECORDS.items()
    }
    environment = _environment_from(found["environment"])
    return Measurement(**plain, **quantiles, **later, warm_up=found.get("warm_up"), environment=environment)


def _environment(seen: Environment) -> Json:
    affinity = None if seen.affinity is None else list(seen.affinity)
    return {**asdict(seen), "isa": list(seen.isa), "versions": dict(seen.versions), "affinity": affinity}


def _environment_from(found: Mapping[str, Any]) -> Environment:
    affinity = None if found.get("affinity") is None else tuple(found["affinity"])
    versions = tuple(found["versions"].items())
    return Environment(**{**found, "isa": tuple(found["isa"]), "versions": versions, "affinity": affinity})
