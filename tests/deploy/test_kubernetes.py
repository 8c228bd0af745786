"""The manifests for Kubernetes: valid, about one another, and about the service as it is."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from foodscene.app.main import create_app
from foodscene.app.settings import Settings, read_settings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
MANIFESTS: dict[str, Any] = {
    manifest["kind"]: manifest for path in FILES for manifest in yaml.safe_load_all(path.read_text())
}
POD = MANIFESTS["Deployment"]["spec"]["template"]
[CONTAINER] = POD["spec"]["containers"]
VARIABLES = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}


def test_there_are_all_of_them() -> None:
    kinds = "Deployment Service HorizontalPodAutoscaler PodDisruptionBudget PersistentVolumeClaim".split()
    assert sorted(MANIFESTS) == sorted(kinds)
    assert len(FILES) == len(MANIFESTS)


@pytest.mark.parametrize("kind", MANIFESTS)
@pytest.mark.parametrize("version", ["1.30", "newest"])
def test_kubernetes_would_take_them(kind: str, version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate, of the extra dev")
    validate.validate(MANIFESTS[kind], validate.latest_version() if version == "newest" else version, strict=True)


def test_they_speak_of_the_same_pods() -> None:
    labels = POD["metadata"]["labels"].items()
    for kind, selector in (("Deployment", "matchLabels"), ("PodDisruptionBudget", "matchLabels"), ("Service", None)):
        chosen = MANIFESTS[kind]["spec"]["selector"]
        assert (chosen[selector] if selector else chosen).items() <= labels
    target = MANIFESTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", MANIFESTS["Deployment"]["metadata"]["name"])
    assert {port["name"] for port in CONTAINER["ports"]} == {MANIFESTS["Service"]["spec"]["ports"][0]["targetPort"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == {
        volume["name"] for volume in POD["spec"]["volumes"]
    }
    claim = next(volume["persistentVolumeClaim"] for volume in POD["spec"]["volumes"] if volume["name"] == "bundles")
    assert claim["claimName"] == MANIFESTS["PersistentVolumeClaim"]["metadata"]["name"]


def test_variables_are_settings_with_values_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"FOODSCENE_CACHE"}  # of the whole package
    assert {
        name.removeprefix("FOODSCENE_").lower() for name in VARIABLES.keys() - others
    } <= Settings.model_fields.keys()
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    said: list[str] = []
    settings = read_settings(said.append)
    assert not said
    assert settings.threads == int(CONTAINER["resources"]["requests"]["cpu"])
    assert settings.drain_seconds + 10 < POD["spec"]["terminationGracePeriodSeconds"]
    mounted = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert {str(settings.models), VARIABLES["FOODSCENE_CACHE"]} <= mounted


def test_probes_and_metrics_are_where_the_service_answers() -> None:
    routes = create_app(Settings()).openapi()["paths"].keys()
    probes = [CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
    assert probes == ["/readyz", "/readyz", "/healthz"]
    assert {*probes, POD["metadata"]["annotations"]["prometheus.io/path"]} <= routes
    image = (FOLDER.parents[1] / "Dockerfile").read_text()
    assert f"FOODSCENE_PORT={CONTAINER['ports'][0]['containerPort']}" in image
    assert f"--uid {POD['spec']['securityContext']['runAsUser']} " in image


def test_requests_are_within_limits_and_memory_holds_what_decoding_may_take() -> None:
    units = {"Mi": 2**20, "Gi": 2**30}
    limit = CONTAINER["resources"]["limits"]["memory"]
    most = int(limit[:-2]) * units[limit[-2:]] / 1e6
    assert most > 400 + Settings().max_memory_mb + 2 * Settings().max_decoding_mb
