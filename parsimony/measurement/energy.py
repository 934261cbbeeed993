"""Energy and carbon of a run, from codecarbon working offline; measured and estimated figures are never mixed."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from parsimony.errors import PlanError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Meter:
    """A running meter; `read` stops it. One meter a run."""

    tracker: Any = None
    country: str | None = None
    energy_wh: float | None = field(default=None, init=False)
    carbon_g: float | None = field(default=None, init=False)
    energy_source: str = field(default="unavailable", init=False)
    carbon_source: str = field(default="unavailable", init=False)

    def read(self) -> None:
        """Stop the meter and keep its figures; without a tracker they stay unavailable."""
        if self.tracker is None:
            return
        with contextlib.redirect_stderr(io.StringIO()):
            self.tracker.stop()
        data = self.tracker.final_emissions_data
        self.energy_wh = float(data.energy_consumed) * 1e3
        self.carbon_g = float(data.emissions) * 1e3
        modes = {str(getattr(part, "_mode", "")) for part in self.tracker._hardware}
        measured = bool(modes & {"intel_rapl", "intel_power_gadget"})
        self.energy_source = "measured (RAPL)" if measured else "estimated (processor load x rated power)"
        self.carbon_source = f"estimated ({self.country or 'world'} average)"


def require_country(country: str | None) -> None:
    """Raise PlanError for a country of whose grid codecarbon knows nothing: it would count with the world's average.

    Without codecarbon nothing is counted, so nothing is refused.
    """
    if country is None:
        return
    try:
        from codecarbon.input import DataSource
    except ImportError:
        return
    names = {code: str(mix["country_name"]) for code, mix in DataSource().get_global_energy_mix_data().items()}
    if country not in names:
        raise PlanError(
            f"run.country is {country!r}, expected one of codecarbon's {len(names)} codes; {_nearest(country, names)}"
        )


def _nearest(country: str, names: Mapping[str, str]) -> str:
    """Return the codes of the countries whose names begin so, else those that are written almost so."""
    begun = [code for code, name in names.items() if name.upper().startswith(country.upper())]
    close = begun or difflib.get_close_matches(country.upper(), names, n=3, cutoff=0.5)
    listed = " or ".join(f"{code} ({names[code]})" for code in close[:3])
    return f"did you mean {listed}?" if listed else "they are those of ISO 3166-1 with three letters"


@contextlib.contextmanager
def meter(country: str | None) -> Iterator[Meter]:
    """Give a meter of the whole machine; `country` is an ISO 3166 alpha-3 code for the carbon of its grid.

    A machine on which codecarbon cannot start is said in the log and leaves the figures unavailable.
    """
    running = Meter(country=country)
    try:
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # importing it sets its own level
        with contextlib.redirect_stderr(io.StringIO()):
            running.tracker = OfflineEmissionsTracker(
                country_iso_code=country,
                save_to_file=False,
                log_level="critical",
                measure_power_secs=10,
                tracking_mode="machine",
                allow_multiple_runs=True,
            )
            running.tracker.start()
    except Exception as error:  # a figure beside the work; codecarbon reads a dozen sensors and any may fail
        running.tracker = None
        log.warning("energy is not recorded: %s", error)
    yield running
