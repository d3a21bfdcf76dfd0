"""What new settings may change while the service runs, and what only the next release of it can take up."""

from dataclasses import dataclass

from msgspec.structs import asdict, replace

from parvis.settings import Settings

FIXED = frozenset(
    {
        "inference.listen",
        "inference.workers",
        "console.listen",
        "operator.listen",
        "operator.beyond_loopback",
        "routing.index_mb",
    }
)
"""Of the sections that change live, what does not: the sockets are bound, the index of prompts has its size."""
LIVE = ("inference", "console", "operator", "openid", "engines", "routing", "queue")


@dataclass(frozen=True, slots=True)
class Changes:
    """The outcome of comparing settings."""

    settings: Settings
    """What holds from now on."""
    live: tuple[str, ...]
    """The names of what has changed with it."""
    later: tuple[str, ...]
    """The names of what has changed in the file and still holds as it was."""


def compare(now: Settings, wanted: Settings) -> Changes:
    """What becomes of `wanted`, while `now` is in force. Both are of the same data folder."""
    changed = {name for name, value in _flat(wanted).items() if _flat(now).get(name) != value}
    changed |= _flat(now).keys() - _flat(wanted).keys()
    live = {name for name in changed if name.partition(".")[0] in LIVE and name not in FIXED}
    settings = replace(
        now,
        inference=replace(wanted.inference, **_fixed(now, "inference")),
        console=replace(wanted.console, **_fixed(now, "console")),
        operator=replace(wanted.operator, **_fixed(now, "operator")),
        openid=wanted.openid,
        engines=wanted.engines,
        routing=replace(wanted.routing, **_fixed(now, "routing")),
        queue=wanted.queue,
    )
    return Changes(settings, tuple(sorted(live)), tuple(sorted(changed - live)))


def _fixed(settings: Settings, section: str) -> dict[str, object]:
    """The values of a section that a reload does not change, by their names in it."""
    own = (name.partition(".") for name in FIXED)
    return {name: getattr(getattr(settings, section), name) for place, _, name in own if place == section}


def _flat(settings: Settings) -> dict[str, object]:
    """The settings by their names, an engine as one of them."""
    sections = {
        section: values if isinstance(values, dict) else asdict(values)
        for section, values in asdict(settings).items()
        if section != "home"
    }
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
