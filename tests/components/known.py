"""The components that tests use."""

from tests.components.component import BUILD, ROOT, Component

_LESHAN = ROOT / "tests" / "interop" / "leshan"
_MAVEN = ("mvn", "-B", "--update-snapshots", "process-classes")

LESHAN = Component(
    name="leshan",
    title="Eclipse Leshan (Maven)",
    programs=("java", "javac", "mvn"),
    sources=(_LESHAN / "pom.xml", _LESHAN / "src"),
    command=_MAVEN,
    offline=(*_MAVEN, "--offline"),  # all of it may be in the local repository
    directory=_LESHAN,
    fetched=r"Downloaded from ",
    unreachable=r"could not be resolved|Could not transfer|Could not find artifact|offline mode",
)

_NPM = ("npm", "install", "--no-audit", "--no-fund", "--loglevel=http", "--prefix", str(BUILD / "lora-packet"))

LORA_PACKET = Component(
    name="lora-packet",
    title="lora-packet (npm)",
    programs=("node", "npm"),
    sources=(),
    command=(*_NPM, "lora-packet@0.9.3"),
    offline=(*_NPM, "--offline", "lora-packet@0.9.3"),
    directory=BUILD,
    fetched=r"http fetch GET 200",
    unreachable=r"code (E[A-Z]*|ERR_[A-Z_]*)\b",
)

COMPONENTS = (LESHAN, LORA_PACKET)
