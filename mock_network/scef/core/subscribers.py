"""Who is who: UEs by name, External Identifier and MSISDN, groups of UEs, and which SCS/AS may use whom."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mock_network.scef.core.cell import Cell
from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.core.ue import SettingsError, Ue, UeSettings
from mock_network.scef.schema.common import Identified, IdentifiedGroup


@dataclass(slots=True, eq=False)
class Subscribers:
    """All subscribers. `may_use` has, for an SCS/AS that may not use all, patterns of identities that it may use."""

    cell: Cell
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # External Group Identifier → names of UEs
    may_use: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _identities: dict[str, str] = field(default_factory=dict)

    def find(self, identity: str) -> Ue | None:
        """Return a UE by its name, External Identifier (domain in any case) or MSISDN."""
        return self.cell.ues.get(self._identities.get(folded(identity), identity))

    def add(self, settings: UeSettings, now: float, name: str | None = None) -> Ue:
        """Create a UE. Raises SettingsError if its name or identity is taken."""
        name = name or settings.external_id or settings.msisdn or ""
        identities = [folded(i) for i in (settings.external_id, settings.msisdn) if i is not None]
        if name in self.cell.ues or any(i in self._identities for i in identities):
            raise SettingsError(f"there is a UE {name} already, or one of the same identity")
        ue = Ue(name, settings)
        self._identities.update(dict.fromkeys(identities, name))
        self.cell.add(ue, now)
        return ue

    def remove(self, ue: Ue) -> None:
        """Remove the identities of a UE, also from groups."""
        self._identities = {i: name for i, name in self._identities.items() if name != ue.name}
        self.groups = {g: tuple(n for n in names if n != ue.name) for g, names in self.groups.items()}

    def add_group(self, identity: str, members: tuple[str, ...]) -> None:
        """Make or change a group of UEs, named in any way. Raises SettingsError if one of them is unknown."""
        found = [self.find(member) for member in members]
        unknown = [member for member, ue in zip(members, found, strict=True) if ue is None]
        if unknown or folded(identity) in self._identities:
            what = f"has unknown members: {', '.join(unknown)}" if unknown else "has the identity of a UE"
            raise SettingsError(f"the group {identity} {what}")
        self.groups[folded(identity)] = tuple(ue.name for ue in found if ue is not None)

    def the_one(self, scs_as: str, terms: Identified) -> Ue:
        """Return the UE that a request names. Raises RefusedError."""
        ue = self.find(terms.identity)
        own = None
        if ue is not None:
            own = ue.settings.msisdn if terms.msisdn is not None else ue.settings.external_id
        if ue is None or own is None or folded(own) != folded(terms.identity):
            raise RefusedError(Refusal.UE_UNKNOWN)
        self._check_access(scs_as, terms.identity)
        return ue

    def all_of(self, scs_as: str, terms: IdentifiedGroup, *, groups: bool = True) -> list[Ue]:
        """Return the UE or the members of the group that a request names. Raises RefusedError."""
        if terms.external_group_id is None:
            return [self.the_one(scs_as, terms)]
        if not groups:
            raise RefusedError(Refusal.GROUP_UNSUPPORTED)
        names = self.groups.get(folded(terms.external_group_id))
        if names is None:
            raise RefusedError(Refusal.UE_UNKNOWN)
        self._check_access(scs_as, terms.external_group_id)
        return [self.cell.ues[name] for name in names]

    def may_access(self, scs_as: str, identity: str) -> bool:
        """Return whether a SCS/AS may use the subscriber or group of an identity."""
        patterns = self.may_use.get(scs_as)
        return patterns is None or any(fnmatchcase(folded(identity), pattern) for pattern in patterns)

    def _check_access(self, scs_as: str, identity: str) -> None:
        if not self.may_access(scs_as, identity):
            raise RefusedError(Refusal.NOT_ALLOWED)


def folded(identity: str) -> str:
    """Return the form in which identities are compared: the domain of an External Identifier in any case."""
    local, at, domain = identity.partition("@")
    return local + at + domain.lower()
