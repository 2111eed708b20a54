"""A profile made from one that ships and the changes in a TOML table."""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from mock_network.scef.core import SettingsError
from mock_network.scef.core.profile import Profile
from mock_network.scef.core.refusals import Refusal
from mock_network.scef.profiles import PROFILES

_NOT_HERE = frozenset({"name", "about", "refusals", "faults"})  # faults have tables of their own
NONE = "none"  # TOML has no null


def own_profile(table: Mapping[str, Any], base: str) -> Profile:
    """Return the profile `base`, or that which the table names as `base`, with the table's changes.

    `refusals` maps names of refusals to `[status, cause]`. Raises SettingsError with the name of the setting.
    """
    values = dict(table)
    start = PROFILES.get(str(values.pop("base", base)))
    if start is None:
        raise SettingsError(f"profile: base is one of {', '.join(PROFILES)}")
    changes: dict[str, Any] = {"name": str(values.pop("name", f"{start.name}, changed"))}
    changes["refusals"] = {**start.refusals, **_refusals(values.pop("refusals", {}))}
    kinds = get_type_hints(Profile)
    for name, value in values.items():
        if name not in kinds or name in _NOT_HERE:
            raise SettingsError(f"profile: there is no {name}")
        changes[name] = _converted(name, None if value == NONE else value, kinds[name])
    return dataclasses.replace(start, **changes)


def _refusals(table: Any) -> dict[Refusal, tuple[int, str]]:
    found = _converted("refusals", table, dict[str, tuple[int, str]])
    unknown = found.keys() - Refusal.__members__.keys()
    if unknown:
        raise SettingsError(f"profile: refusals knows no {', '.join(sorted(unknown))}")
    return {Refusal[name]: answer for name, answer in found.items()}


def _converted(name: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"profile: {name}: {error}") from error
