"""Every number of a configuration is finite and has a smallest and a largest value."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from bindings.contract import MakesDevices
from bridge.config import EndpointSettings, North, PolicySettings, ServerSettings, Service, parse
from bridge.config.reading import binding_class, installed_bindings
from bridge.errors import ConfigurationError


def numbers(kind: inspect.Type, path: str) -> Iterator[tuple[str, bool]]:
    """Yield every number within a type: its path, and whether it has both bounds."""
    match kind:
        case inspect.StructType():
            for field in kind.fields:
                yield from numbers(field.type, f"{path}.{field.encode_name}")
        case inspect.IntType() | inspect.FloatType():
            yield path, (kind.ge, kind.gt) != (None, None) and (kind.le, kind.lt) != (None, None)
        case inspect.UnionType():
            for one in kind.types:
                yield from numbers(one, path)
        case inspect.Metadata():
            yield from numbers(kind.type, path)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
            yield from numbers(kind.item_type, f"{path}[]")
        case inspect.DictType():
            yield from numbers(kind.value_type, f"{path}{{}}")
        case _:
            pass


def settings() -> Iterator[type[msgspec.Struct]]:
    yield from (Service, North, PolicySettings, ServerSettings, EndpointSettings)
    for name in installed_bindings():
        binding = binding_class(name)
        yield binding.settings()
        if issubclass(binding, MakesDevices):
            yield binding.device_settings()


@pytest.mark.parametrize("kind", [*settings()], ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_number_has_a_range(kind: type[msgspec.Struct]) -> None:
    found = dict(numbers(inspect.type_info(kind), kind.__name__))
    assert [path for path, bounded in found.items() if not bounded] == []


def test_a_number_without_a_range_is_found() -> None:
    class Loose(msgspec.Struct):
        one: float
        several: list[int] | None

    found = dict(numbers(inspect.type_info(Loose), "Loose"))
    assert found == {"Loose.one": False, "Loose.several[]": False}


SERVER = '[servers.a]\nuri = "coap://127.0.0.1"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SERVER + "patience = inf", r"\[servers\.a\] patience: inf is no finite number"),
        (SERVER + "margin = nan", r"\[servers\.a\] margin: nan is no finite number"),
        (SERVER + "patience = 1e12", r"\[servers\.a\] patience: expected `float` <= "),
        ("[policy]\nlong_ttl = -inf", r"\[policy\] long_ttl: -inf is no finite number"),
        ("[policy]\nmax_requests = 99999999999999999999999", r"\[policy\] max_requests: expected `int` <= "),
        ("[service]\nretention = nan", r"\[service\] retention: nan is no finite number"),
        ("[north]\nresolve_interval = 0.0", r"\[north\] resolve_interval: expected `float` >= 1"),
        ('[north]\nports = "30000-20000"', r"\[north\]: ports 30000-20000 is not a range within 1-65535"),
        ('[north]\nports = "60000-70000"', r"\[north\]: ports 60000-70000 is not a range within 1-65535"),
    ],
)
def test_a_number_out_of_its_range_is_refused_with_its_meaning(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("`", "")):
        parse(text, "bridge.toml", tmp_path)
