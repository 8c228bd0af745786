"""Environment variables under `FOODSCENE_`: which are settings, which the platform's, and which are misspelled.

A misspelled setting would leave the service as if nothing had been set. Most of them are only named; where it is a key
or a limit, the service does not start: whoever set it believes that it holds.
"""

import re
from collections.abc import Collection, Mapping
from difflib import SequenceMatcher

PREFIX = "FOODSCENE_"

_OTHERS = frozenset({"CACHE", "DATA", "URL"})
"""Of other commands, of the tests and of clients."""

# What Kubernetes sets in every pod beside a Service called foodscene, or foodscene-something, and what Docker sets for
# a linked container: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_PLATFORM = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)|NAME|ENV_\w+"
)
_ADDRESS = re.compile(r"\s*[a-z0-9]+://", re.IGNORECASE)

_SECRET = re.compile(r"(API)?(KEYS?|TOKENS?|PASS|PASSWORDS?|PASSWD|PASSPHRASE|SECRETS?|AUTH|CREDENTIALS?)")
_LIMIT = re.compile(r"(RATE)?LIMITS?|RATE|MAX|MAXIMUM|MOST|BURST|TIMEOUT")
_LIMITS = re.compile(r"max_\w+|rate_\w+|deadline_seconds|load_\w+|queue|side_queue")
_LIKENESS = 0.75
"""Of two names without their underscores, as difflib's ratio: one letter left out, doubled, changed, or two swapped."""


def is_platforms(name: str, value: str) -> bool:
    """Whether a variable is one that the platform sets for a service of our name: it says nothing to us.

    `name` is what follows the prefix, in capitals. `PORT` is ours, too, where its value is no address.
    """
    return bool(_PLATFORM.fullmatch(name)) or (name.endswith("PORT") and bool(_ADDRESS.match(value)))


def look(environment: Mapping[str, str], settings: Collection[str]) -> tuple[list[str], list[str]]:
    """What to say about variables that are none of `settings`; and why the service does not start with some of them."""
    said, wrong = [], []
    given = {
        name.upper().removeprefix(PREFIX): (name, value)
        for name, value in environment.items()
        if name.upper().startswith(PREFIX) and value
    }
    known = {name.upper() for name in settings}
    for bare, (name, value) in sorted(given.items()):
        if is_platforms(bare, value):
            if bare in known:
                said.append(f"{name}={value} is what the platform says of a service of that name: it is passed over.")
            continue
        if bare in known | _OTHERS or (bare == "KEY" and "API_KEYS" in given):  # the page's examples for clients
            continue
        nearest = max(settings, key=lambda setting: _likeness(bare, setting))
        likely = f" Is {PREFIX}{nearest.upper()} meant?" if _likeness(bare, nearest) >= _LIKENESS else ""
        none = f"{name} is no setting of foodscene."
        if any(map(_SECRET.fullmatch, bare.split("_"))) or (likely and nearest == "api_keys"):
            wrong.append(
                f"{none} Whoever may use the service is told by {PREFIX}API_KEYS: the SHA-256 of each key. Remove it, "
                "or give it that name; the service would be open to everybody."
            )
        elif any(map(_LIMIT.fullmatch, bare.split("_"))) or (likely and _LIMITS.fullmatch(nearest)):
            wrong.append(f"{none}{likely} It looks like a limit, which would not hold. docs/serving.md lists them all.")
        else:
            said.append(f"{none}{likely} It is passed over.")
    return said, wrong


def _likeness(bare: str, setting: str) -> float:
    mine, theirs = bare.replace("_", ""), setting.upper().replace("_", "")
    if len(mine) >= 4 and theirs.startswith(mine):  # MAXUPLOAD
        return 1 - 0.01 * (len(theirs) - len(mine))
    return SequenceMatcher(None, mine, theirs, autojunk=False).ratio()
