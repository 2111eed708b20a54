"""The Helm chart: what it makes, what it refuses. Without helm only its schema and its files are looked at."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator

from bridge.cli.cluster import cluster_group
from bridge.config import checked, parse
from bridge.config.nodes import NODE
from bridge.service.cluster import LEAVE
from bridge.service.shard_addresses import AT_STOP
from tests.deploy.manifests import ALERTS, CHART, CLOUDNATIVE_PG, MINIMAL, VALUES, helm, rendered, the

OPERATOR = {"ServiceMonitor", "PrometheusRule"}  # kinds of the Prometheus operator, which Kubernetes does not know


def problems(file: Path = MINIMAL, **changes: Any) -> list[str]:
    """Return what the schema says of a file of values, the smallest one unless another is named, with changes."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    values.update(yaml.safe_load(file.read_text()))
    values.update(changes)
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    return [error.json_path for error in Draft7Validator(schema).iter_errors(values)]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_schema_takes_the_values_of_the_examples(values: Path):
    assert problems(values) == []


def test_every_value_with_a_default_is_in_the_schema_and_the_other_way_round():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    free = {"global", "fullnameOverride"}  # `global` is Helm's own
    assert set(schema["properties"]) - free == set(values)


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"replicas": 2}, "$.cluster.enabled"),
        ({"replicas": 0}, "$.replicas"),
        ({"replicas": 3, "cluster": {"enabled": True}}, "$.service"),
        ({"replicas": 3, "cluster": {"enabled": True}, "service": {"database": "bridge.db"}}, "$.service.database"),
        (
            {"service": {"database": "postgresql://bridge:secret@db.example/bridge"}},
            "$.service.database",
        ),
        ({"service": {"database": "postgresql://bridge@db.example/bridge?password=secret"}}, "$.service.database"),
        (
            {"cluster": {"enabled": True}, "service": {"database": "postgresql://bridge@db.example/bridge"}},
            "$.persistence.existingClaim",
        ),
        ({"cluster": {"enabled": True, "settings": {"node": "one for all"}}}, "$.cluster.settings"),
        ({"hostNetwork": False}, "$.hostNetwork"),
        ({"nodeSelector": {}}, "$.nodeSelector"),
        ({"config": ""}, "$.config"),
        ({"image": {"repository": ""}}, "$.image.repository"),
        ({"service": {"state_directory": "/tmp"}}, "$.service"),
        ({"secrets": [{"name": "a", "value": "in plain text"}]}, "$.secrets[0]"),
        ({"no_such_value": 1}, "$"),
    ],
)
def test_the_schema_refuses(change: dict[str, Any], at: str):
    assert at in problems(**change)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_helm_lints_it(values: Path):
    done = helm("lint", "--strict", CHART, "--values", values)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_what_helm_renders_is_known_to_kubernetes(values: Path):
    for one in rendered(values):
        if one["kind"] not in OPERATOR:
            kubernetes_validate.validate(one, "1.31", strict=True)


def test_what_kubernetes_does_not_know_is_noticed():
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "date": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_bridge_takes_the_rendered_configuration(values: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    objects = rendered(values)
    (tmp_path / "scef-client-secret").write_text("x")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = parse(the("ConfigMap", objects)["data"]["bridge.toml"], "bridge.toml", tmp_path)
    if config.cluster.enabled:
        checked(config)
    pod = the("StatefulSet", objects)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config.service.metrics_listen == f"0.0.0.0:{ports['metrics']}"
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(config.service.state_directory) in mounts
    assert {mount["name"] for mount in container["volumeMounts"]} <= (
        {volume["name"] for volume in pod["volumes"]} | {"state"}
    )


def test_secrets_are_mounted_under_the_names_that_the_configuration_uses():
    pod = the("StatefulSet", rendered(CHART / "ci" / "nidd-values.yaml"))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (credentials,) = [volume for volume in pod["volumes"] if volume["name"] == "credentials"]
    assert credentials["projected"]["sources"] == [
        {"secret": {"name": "scef", "items": [{"key": "client-secret", "path": "scef-client-secret"}]}}
    ]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"name": "CREDENTIALS_DIRECTORY", "value": mounted["credentials"]} in container["env"]


def test_one_pod_on_the_network_of_a_named_node_without_privileges():
    stateful = the("StatefulSet", rendered(CHART / "ci" / "nidd-values.yaml"))["spec"]
    pod = stateful["template"]["spec"]
    assert stateful["replicas"] == 1
    assert pod["hostNetwork"] is True
    assert pod["nodeSelector"] == {"kubernetes.io/hostname": "edge-1"}
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}


def test_nodes_of_a_cluster_are_pods_on_different_machines_that_end_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
):
    objects = rendered(CHART / "ci" / "cluster-values.yaml")
    stateful = the("StatefulSet", objects)["spec"]
    pod = stateful["template"]["spec"]
    (container,) = pod["containers"]
    assert stateful["replicas"] == 3
    assert (stateful["podManagementPolicy"], stateful["updateStrategy"]) == ("Parallel", {"type": "RollingUpdate"})
    assert the("PodDisruptionBudget", objects)["spec"]["maxUnavailable"] == 1
    (apart,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    labels = stateful["template"]["metadata"]["labels"]
    assert apart["labelSelector"]["matchLabels"].items() <= labels.items()

    named = {one["name"]: one for one in container["env"]}
    assert named[NODE]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert named["PGPASSWORD"]["valueFrom"] == {"secretKeyRef": {"name": "bridge-db", "key": "password"}}
    monkeypatch.setenv(NODE, "field-2")
    config = parse(the("ConfigMap", objects)["data"]["bridge.toml"], "bridge.toml", Path("/"))
    assert config.cluster.name == "field-2"
    assert config.cluster.take_command == ["/addresses/announce", "take"]

    program, *words = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "lwm2m-bridge"
    assert words[:2] == ["cluster", "drain"]
    wait = cluster_group.commands["drain"].make_context("drain", words[2:]).params["wait"]
    assert pod["terminationGracePeriodSeconds"] > wait + LEAVE + AT_STOP

    assert {one["name"] for one in pod["volumes"]} >= {one["name"] for one in container["volumeMounts"]}
    assert "/run/announcer" in {one["mountPath"] for one in container["volumeMounts"]}
    assert "volumeClaimTemplates" not in stateful
    assert {"name": "state", "emptyDir": {}} in pod["volumes"]


def test_without_a_cluster_nothing_of_it_is_there():
    stateful = the("StatefulSet", rendered(CHART / "ci" / "nidd-values.yaml"))["spec"]
    (container,) = stateful["template"]["spec"]["containers"]
    assert "lifecycle" not in container
    assert "podManagementPolicy" not in stateful
    assert [one["name"] for one in container["env"]] == ["CREDENTIALS_DIRECTORY"]


def test_the_values_for_cloudnative_pg_name_what_its_cluster_has():
    """CloudNativePG makes a service NAME-rw, and secrets NAME-app and NAME-ca."""
    database = yaml.safe_load((CLOUDNATIVE_PG / "database.yaml").read_text())
    values = yaml.safe_load((CLOUDNATIVE_PG / "values.yaml").read_text())
    name, made = database["metadata"]["name"], database["spec"]["bootstrap"]["initdb"]
    uri = urlsplit(values["service"]["database"])
    assert (uri.username, uri.password, uri.path) == (made["owner"], None, f"/{made['database']}")
    assert uri.hostname == f"{name}-rw.iot.svc"
    assert values["databasePassword"] == {"secretName": f"{name}-app", "key": "password"}
    (ca,) = [one for one in values["secrets"] if one["secretName"] == f"{name}-ca"]
    assert parse_qs(uri.query)["sslrootcert"] == [f"/run/lwm2m-bridge/credentials/{ca['name']}"]
    assert database["spec"]["postgresql"]["synchronous"] == {"method": "any", "number": 1, "dataDurability": "required"}


def test_prometheus_finds_the_service_and_the_rules():
    objects = rendered(CHART / "ci" / "nidd-values.yaml")
    monitor = the("ServiceMonitor", objects)["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    (service,) = [one for one in objects if one["kind"] == "Service" and wanted <= one["metadata"]["labels"].items()]
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert the("PrometheusRule", objects)["spec"] == yaml.load(ALERTS.read_text(), yaml.CSafeLoader)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[service]\n", "put its settings into the value"),
        ("[cluster]\nenabled = true\n", "put its settings into the value"),
        ('token = "abc"\n', "must be a reference"),
    ],
)
def test_helm_refuses_a_configuration_that(text: str, why: str, tmp_path: Path):
    values = yaml.safe_load(MINIMAL.read_text())
    values["config"] += text
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    done = helm("template", "field", CHART, "--values", tmp_path / "values.yaml")
    assert done.returncode != 0
    assert why in done.stderr
