"""Passwords, tokens and keys, left out of what is logged, stored or shown: those of addresses in every form, and those that the environment holds.

What could be a secret is left out, also where it may be none: a message that says less is mended, a password that was shown is not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, unquote_plus

MASK = "***"
_SHORTEST = 4  # a shorter part of an address is part of too many words
_NAMES = (
    r"pass(?:word|wd|phrase|file|code)?|pwd|secret|token|credentials?|signature|sig|authorization|auth|bearer|api[_-]?key|"
    r"access[_-]?key(?:[_-]?id)?|account[_-]?key|secret[_-]?key|private[_-]?key|shared[_-]?access[_-]?key|jwt|session[_-]?id"
)
# `user:password@`, up to the last `@` of what holds no space: a password may hold `@`, `/`, `?` and `#`.
_USER = re.compile(r"((?<!/)//(?!/)|%2f%2f)(?:(?!%2f%2f)\S)*(?:@|%40)", re.IGNORECASE)
# A value by its name, in a query, a connection string, JSON, or a header; the name may be percent-encoded.
_NAMED = re.compile(
    r"""(?P<name>[\w%.-]+)(?P<mark>["']?\s*(?:=|%3d|:\s+(?=["'])|:(?=["'])))\s*"""
    r"""(?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|[^\s&;,"'<>)\]]*)""",
    re.IGNORECASE,
)
_IS_SECRET = re.compile(
    rf"(?:^|[^a-z])(?:\w*[_.-])?(?:{_NAMES})$|(?:passwords?|secrets?|token|credentials?|signature)$", re.IGNORECASE
)
_HEADER = re.compile(
    r"\b(authorization\s*:\s*|(?:bearer|basic|token)\s+)(?:(?:bearer|basic|token)\s+)?[\w.~+/=-]{6,}", re.IGNORECASE
)
# As people and command lines write it.
_SPOKEN = re.compile(
    r"(--?(?:password|passwd|token|secret|api-key)\s+|\b(?:password|passwd|passphrase|secret|api key):\s+)\S+",
    re.IGNORECASE,
)
# A part of a path behind a word for a secret, and tokens that say by their form what they are.
_IN_PATH = re.compile(
    rf"(?<=/)({_NAMES}|services|t|k|key|keys)s?/[^/\s?#\"']+(?:/(?!api\b)[^/\s?#\"']*\d[^/\s?#\"']*)*", re.IGNORECASE
)
_TOKENS = re.compile(
    r"\b(?:hf|ghp|gho|ghu|ghs|ghr|glpat|pnu|pnb|npm|dop_v1|sk|pk|rk|pypi|dckr_pat|github_pat|xox[abprs]|whsec|hvs)[_-][\w-]{8,}|"
    r"\b(?:AKIA|ASIA|AIza|dapi|ya29\.)[\w-]{12,}|\beyJ[\w-]{6,}\.[\w-]{6,}\.?[\w-]*"
)
# What the environment holds that is a secret itself, or an address that may hold one.
_VARIABLES = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|API_KEY|AUTH_STRING|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
_ADDRESSES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "PARSIMONY_STORE",
    "PREFECT_API_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "DATABASE_URL",
)
_SERVER = re.compile(r"(https?://)(\S*)", re.IGNORECASE)


def without_secrets(text: str, *addresses: str) -> str:
    """Return the text without the secrets of addresses in it, of these addresses, and of the environment."""
    known = {secret for address in addresses for secret in _parts_of(address)} | set(_environment(os.environ))
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _USER.sub(lambda match: match[1], text)
    text = _NAMED.sub(_masked, text)
    text = _HEADER.sub(lambda match: match[1] + MASK, text)
    text = _SPOKEN.sub(lambda match: match[1] + MASK, text)
    text = _IN_PATH.sub(lambda match: f"{match[1]}/{MASK}", text)
    return _TOKENS.sub(MASK, text)


def shown_address(address: str) -> str:
    """Return an address as it is shown: of a server nothing but its name and port, because a path may hold a token."""
    plain = without_secrets(address, address)
    return _SERVER.sub(lambda match: match[1] + re.split(r"[/?#]", match[2])[0], plain)


def _masked(match: re.Match[str]) -> str:
    name = unquote_plus(match["name"])
    secret = _IS_SECRET.search(name) is not None and len(match["value"].strip("\"'{}")) > 0
    return f"{match['name']}{match['mark']}{MASK}" if secret else match[0]


def _parts_of(address: str) -> Iterator[str]:
    """Yield what may be secret in one address, as it stands and decoded: the password, values by their names, a path's odd parts."""
    scheme, mark, rest = address.partition("://")
    user, at, host = rest.rpartition("@")
    password = user.partition(":")[2] or (user if scheme.startswith("http") else "")
    values = [match["value"] for match in _NAMED.finditer(rest) if _IS_SECRET.search(unquote_plus(match["name"]))]
    path = re.split(r"[?#]", host if at else rest)[0].split("/")[1:] if mark and scheme.startswith("http") else []
    odd = [part for part in path if len(part) >= 12 or (len(part) >= 8 and any(c.isdigit() for c in part))]
    for part in (password, *password.split("@"), *password.split("/"), *values, *odd):
        for form in (part, unquote(part), unquote_plus(part)):
            if len(form) >= _SHORTEST:
                yield form


def _environment(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the secrets of the environment: variables that are called so, and parts of the addresses of our servers."""
    for name, value in environment.items():
        if _VARIABLES.search(name) and len(value) >= 6:
            yield value
    for name in _ADDRESSES:
        yield from _parts_of(environment.get(name, ""))
