"""Print buildah's options that let pip inside a build take packages from where pip of this machine takes them: `pip_options.py FOLDER`.

The settings of `pip config list` and the certificates of this machine are mounted for the time of the build; no image keeps them.
"""

from __future__ import annotations

import ast
import os
import ssl
import subprocess
import sys
from pathlib import Path

SOURCES = ("index-url", "extra-index-url", "find-links", "no-index", "constraint", "trusted-host", "proxy", "timeout")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def settings() -> dict[str, str]:
    """Return what pip of this machine is told, by files and environment, in the order in which it is heard."""
    told = subprocess.run((sys.executable, "-m", "pip", "config", "list"), capture_output=True, text=True, check=True)
    found = [line.split("=", 1) for line in told.stdout.splitlines() if "=" in line]
    order = ("global.", "install.", ":env:.")
    found.sort(key=lambda pair: next((place for place, start in enumerate(order) if pair[0].startswith(start)), -1))
    return {key.rsplit(".", 1)[1]: str(ast.literal_eval(value)) for key, value in found}


def certificates(cert: str) -> str:
    """Return the file of certificates that this machine trusts, or nothing."""
    named = (cert, *map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")))
    return next(
        (path for path in (*named, ssl.get_default_verify_paths().cafile, BUNDLE) if path and Path(path).is_file()), ""
    )


def local(value: str) -> list[str]:
    """Return the files and folders of this machine that a setting names; the pages of an index point at files beside its folder."""
    found = []
    for word in value.split():
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.exists():
            found.append(str(path.parent if word.startswith("file:") and path.parent != Path("/") else path))
    return found


def options(folder: Path) -> list[str]:
    """Write FOLDER/pip.conf and return the options that mount it, and what it names, read-only."""
    told = settings()
    kept = {key: value for key, value in told.items() if key in SOURCES}
    mounts = {path: path for value in kept.values() for path in local(value)}
    bundle = certificates(told.get("cert", ""))
    if bundle:
        kept["cert"], mounts[bundle] = BUNDLE, BUNDLE
    config = folder / "pip.conf"
    lines = (f"{key} = " + "\n    ".join(value.split()) for key, value in kept.items())
    config.write_text("\n".join(("[global]", *lines, "")), encoding="utf-8")
    mounts[str(config)] = "/etc/pip.conf"
    return [f"--volume={source}:{target}:ro" for source, target in mounts.items()]


if __name__ == "__main__":
    sys.stdout.write(" ".join(options(Path(sys.argv[1]))))
