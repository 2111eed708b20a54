"""All fuzz targets, by name."""

from tests.fuzz import coap, files, networks, north
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (coap, networks, files, north)
    for target in vars(module).values()
    if isinstance(target, Target)
}
