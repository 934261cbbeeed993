"""Follow production: notice that another bundle is named, verify it, try it out, warm it up, and put it in the place of the old one.

Looking costs one `stat` a second. A bundle that is not to be used is refused once, and said; the old one goes on.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from parsimony.errors import InfrastructureError, first_line
from parsimony.serving import champion_file
from parsimony.serving.held import Held
from parsimony.serving.served import Served, load_named

EVERY_S = 1.0
AGAIN_S = 10.0  # a copy that was damaged is mended by the process that looks production up


@dataclass(slots=True, kw_only=True)
class Watch:
    """A thread that looks at the file that names the champion; `call` runs a function in the thread that serves."""

    held: Held
    call: Callable[[Callable[[], None]], object]
    every_s: float = EVERY_S
    last: tuple[int, int] | None = None
    again_at: float = 0.0
    end: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look until the server ends."""
        while not self.end.wait(self.every_s):
            self.look()

    def look(self) -> None:
        """Swap the bundle when another one is named than the one that is served."""
        source = self.held.settings.source
        try:
            about = source.stat()
            if (state := (about.st_ino, about.st_size)) == self.last and time.monotonic() < self.again_at:
                return
            named = champion_file.read(source)
        except FileNotFoundError:  # the last verified copy goes on
            return
        except (InfrastructureError, OSError) as error:
            self._refuse("", first_line(error, 300))
            return
        self.last, self.again_at = state, math.inf
        served = self.held.served
        if (named.digest, named.version, named.note) == (served.digest, served.version, served.note):
            self.call(lambda: self._take(served))
            return
        try:
            loaded = load_named(named, self.held.settings)
        except (InfrastructureError, OSError, ValueError) as error:
            self.again_at = time.monotonic() + AGAIN_S
            self._refuse(named.version, first_line(error, 300))
            return
        self.call(lambda: self._take(loaded))

    def _take(self, loaded: Served) -> None:
        """Put a bundle in the place of the one that answers; requests that have begun keep theirs."""
        before, self.held.served, self.held.refused = self.held.served, loaded, ""
        if before is not loaded:
            self.held.counts.swaps += 1
            facts = {"version": loaded.version, "digest": loaded.digest, "before": before.version}
            self.held.lines.add(event="swap", **facts)

    def _refuse(self, version: str, why: str) -> None:
        def refuse() -> None:
            if self.held.refused != why:
                self.held.refused = why
                self.held.counts.refused_bundles += 1
                self.held.lines.add(event="refused", version=version, reason=why)

        self.call(refuse)
