"""What nodes must have alike, as each says of itself, and how two nodes differ. No I/O."""

from collections.abc import Iterator, Mapping

import msgspec

_NETWORK, _SERVER = "networks", "servers"
_OF_SECTION = {_NETWORK: "binding", _SERVER: "uri"}  # the setting that says that there is such a section

NO_KEY = ""  # in place of the id of a key: in the clear


class Agreement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the configuration of one node says. An agreement has no secrets.

    `alike`: settings that no two nodes may have otherwise, by their names. `in_time`: settings that may differ while
    the nodes are changed one after the other. `seals`: the id of the key under which the node encrypts, `NO_KEY` for
    none. `opens`: the ids of all keys with which it can decrypt.
    """

    alike: Mapping[str, str] = {}
    in_time: Mapping[str, str] = {}
    seals: str = NO_KEY
    opens: tuple[str, ...] = ()


NOTHING_SAID = Agreement()


def conflicts(here: Agreement, there: Agreement) -> Iterator[str]:
    """Yield what keeps a node with `here` out of a cluster that has a node with `there`: a setting and both values.

    A node that lacks a network or a server would end what waits for it, as after a removal. One that has more does not.
    """
    if NOTHING_SAID in (here, there):
        return
    yield from _missing(here, there)
    yield from contradictions(here, there)


def _missing(here: Agreement, there: Agreement) -> Iterator[str]:
    for section, what in ((_NETWORK, "devices of that network"), (_SERVER, "that server")):
        for name in sorted(_named(there, section) - _named(here, section)):
            yield (
                f"[{section}.{name}] is there and not here: this node would end what waits for {what}. Add it here, or "
                "remove it from the running nodes first, by a reload"
            )


def contradictions(here: Agreement, there: Agreement) -> Iterator[str]:
    """Yield what no two nodes may have at the same time, also not while they are changed: a setting and both values.

    A network or a server that only one of them has is none: that is how these are added and removed.
    """
    if NOTHING_SAID in (here, there):
        return
    for name in sorted(here.alike.keys() & there.alike.keys()):
        if here.alike[name] != there.alike[name]:
            then = (
                " and start one bridge without [cluster], which assigns addresses" if name.startswith("[north]") else ""
            )
            yield (
                f"{name} is {here.alike[name]} here and {there.alike[name]} there. Give all nodes the same; where it "
                f"has to change, stop all nodes first{then}"
            )
    if here.seals not in (NO_KEY, *there.opens):
        yield (
            f"[service] store_key here has the id {here.seals}, and that node can decrypt {_keys(there)}: it could not "
            "read what this one writes. Set the key as former_store_key on all nodes first"
        )
    if there.seals not in (NO_KEY, *here.opens):
        yield (
            f"[service] store_key there has the id {there.seals}, and this node can decrypt {_keys(here)}: it could "
            "not read what that one writes. Set that key as store_key here, or as former_store_key"
        )


def differences(here: Agreement, there: Agreement) -> Iterator[str]:
    """Yield what should be alike again when both nodes have been changed: a setting and both values."""
    if NOTHING_SAID in (here, there):
        return
    for name in sorted(here.in_time.keys() | there.in_time.keys()):
        mine, other = (one.in_time.get(name, "not there") for one in (here, there))
        if mine != other:
            yield f"{name} is {mine} here and {other} there"


class Unlike(msgspec.Struct, frozen=True):
    """How the configurations of two nodes differ: each a setting and both values.

    `contradictions`: no two nodes may have these at the same time. `differences`: alike again when both were changed.
    """

    contradictions: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


ALIKE = Unlike()


def unlike(here: Agreement, there: Agreement) -> Unlike:
    """Return how two running nodes differ, `ALIKE` if they do not or one of them says nothing."""
    return Unlike(tuple(contradictions(here, there)), tuple(differences(here, there)))


def _named(one: Agreement, section: str) -> set[str]:
    """Return the names of the sections of a kind, such as `[networks.NAME]`."""
    before, after = f"[{section}.", f"] {_OF_SECTION[section]}"
    settings = [*one.alike, *one.in_time]
    return {name[len(before) : -len(after)] for name in settings if name.startswith(before) and name.endswith(after)}


def _keys(one: Agreement) -> str:
    return "the key with the id " + " or ".join(one.opens) if one.opens else "nothing"
