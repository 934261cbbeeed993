"""Energy and carbon of a run, from codecarbon working offline; measured and estimated figures are never mixed."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

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
