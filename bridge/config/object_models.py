"""The folder of object definitions that `[service] object_models` names."""

from bridge.config.model import Config
from bridge.errors import ConfigurationError
from bridge.lwm2m.models import Models, read_model
from bridge.lwm2m.objects import Resource

_LARGEST = 1 << 20  # bytes of one file
_MOST = 2_000  # files


def object_models(config: Config) -> Models:
    """Return the resources that the operator's files define; none without the setting. Raises ConfigurationError."""
    named = config.service.object_models
    if not named:
        return {}
    where = f"{config.where('[service]')} object_models"
    folder = config.directory / named
    try:
        files = sorted(one for one in folder.iterdir() if one.suffix.lower() == ".xml")
    except OSError as error:
        raise ConfigurationError(f"{where}: cannot read the folder {folder}: {error.strerror}") from error
    if len(files) > _MOST:
        raise ConfigurationError(f"{where}: {folder} has {len(files)} XML files, and may have {_MOST}")
    found: dict[tuple[int, int], Resource] = {}
    for file in files:
        try:
            with file.open("rb") as opened:
                document = opened.read(_LARGEST + 1)
        except OSError as error:
            raise ConfigurationError(f"{where}: cannot read {file}: {error.strerror}") from error
        if len(document) > _LARGEST:
            raise ConfigurationError(f"{where}: {file} has more than {_LARGEST} bytes")
        found |= read_model(document, f"{where}: {file}")
    return found
