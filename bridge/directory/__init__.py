"""Device address ⇄ endpoint ⇄ server: import, templates, checks."""

from bridge.directory.catalogue import Catalogue
from bridge.directory.csvfile import import_csv, open_csv
from bridge.directory.directory import Directory
from bridge.directory.record import DirectoryChange, Draft, EndpointRecord
from bridge.directory.sources import Sources

__all__ = [
    "Catalogue",
    "Directory",
    "DirectoryChange",
    "Draft",
    "EndpointRecord",
    "Sources",
    "import_csv",
    "open_csv",
]
