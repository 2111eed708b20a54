"""The Report Control object, 26250, of this project: how transitions are reported, and what caused a notification.

LwM2M 1.1 has no place in a notification for its causes. A server that wants them creates an instance with the observed
paths as Targets, sets Report Causes, and observes the paths together with Causes by Observe-Composite: one notification
then carries the values and all that caused it. Conditions holds further sets of thresholds, each as `gt=30;st=5`.
"""

import contextlib
from collections.abc import Iterator, Mapping

from mock_network.device.attributes import Attributes, parse_condition
from mock_network.device.observation import Conditions, Mode
from mock_network.device.operations import Writing
from mock_network.device.refusal import BAD_REQUEST, OperationError
from mock_network.device.tree import ObjectTree
from mock_network.lwm2m.definitions import REPORT_CONTROL
from mock_network.lwm2m.links import parse_links
from mock_network.lwm2m.paths import Path, PathError, covers, format_path, parse_path
from mock_network.lwm2m.values import FormatError

_TARGETS, _MODE, _REPORT, _CONDITIONS, _CAUSES = range(5)


class Reporting:
    """Reads and feeds the instances of Report Control in a tree."""

    def __init__(self, tree: ObjectTree) -> None:
        self._tree = tree

    def conditions(self, path: Path, attributes: Attributes) -> Conditions:
        """Return what holds for an observed path: its attributes, and what every instance about it adds."""
        further: list[Mapping[str, float]] = []
        mode = Mode.BOTH
        for instance in self._about(path):
            # What a bootstrap server wrote was not checked: what means nothing is left out.
            with contextlib.suppress(ValueError):
                mode = Mode(int(self._tree.get_or((*instance, _MODE), Mode.BOTH)))  # type: ignore[arg-type]  # an integer
            for text in self._tree.get_all((*instance, _CONDITIONS)).values():
                with contextlib.suppress(OperationError):
                    further.append(parse_condition(str(text)))
        return Conditions(attributes, tuple(further), mode)

    def report(self, causes: Mapping[Path, list[str]]) -> None:
        """Put the causes of a notification where it is read next; instances that do not report causes stay empty.

        A cause is written `/3303/0/5700 gt=30 rising`. This change causes no notification itself.
        """
        for instance in self._tree.instances((REPORT_CONTROL,)):
            lines = [
                f"{format_path(path)} {cause}"
                for path, found in causes.items()
                if self._tree.get_or((*instance, _REPORT), default=False) is True and self._is_about(instance, path)
                for cause in found
            ]
            self._tree.set_all((*instance, _CAUSES), dict(enumerate(lines)), quiet=True)

    def check(self, writing: Writing) -> None:
        """Raise OperationError where a server writes what this object cannot mean."""
        for record in writing.records:
            if record.path[0] != REPORT_CONTROL:
                continue
            if record.path[2] == _MODE and record.value not in set(Mode):
                raise OperationError(BAD_REQUEST, "Reporting Mode is 0 (both), 1 (rising) or 2 (falling)")
            if record.path[2] == _CONDITIONS:
                parse_condition(str(record.value))
            if record.path[2] == _TARGETS:
                _targets(str(record.value))

    def _about(self, path: Path) -> Iterator[Path]:
        return (instance for instance in self._tree.instances((REPORT_CONTROL,)) if self._is_about(instance, path))

    def _is_about(self, instance: Path, path: Path) -> bool:
        with contextlib.suppress(OperationError):
            return any(covers(target, path) for target in _targets(str(self._tree.get_or((*instance, _TARGETS), ""))))
        return False


def _targets(text: str) -> list[Path]:
    try:
        return [parse_path(link.target) for link in parse_links(text.encode())]
    except (FormatError, PathError) as error:
        raise OperationError(BAD_REQUEST, f"Targets are links to paths: {error}") from None
