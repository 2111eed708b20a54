"""All fuzz targets, by name."""

from tests.fuzz import coap, control, files, networks, north, payloads
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (coap, networks, files, north, payloads, control)
    for target in vars(module).values()
    if isinstance(target, Target)
}
