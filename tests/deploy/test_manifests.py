"""The deployment files: they parse, name settings that exist, and keep what the docs promise of them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from area.core.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
PODS = [
    pytest.param(item["spec"]["template"]["spec"], id=f"{item['kind']}-{item['metadata']['name']}")
    for item in MANIFESTS
    if item["kind"] in ("Deployment", "Job")
]
ROLES = {"api", "worker", "scheduler", "migrate"}


def test_settings_named_in_deployment_files_exist() -> None:
    known = {f"AREA_{name.upper()}" for name in Settings.model_fields}
    for path in [*DEPLOY.rglob("*.yaml"), DEPLOY / "docker" / "Dockerfile"]:
        named = set(re.findall(r"\b(AREA_[A-Z_]+)\b(?=[:=]|, value)", path.read_text())) - {"AREA_LISTEN"}
        assert named <= known, f"{path.name} sets {named - known}"


def test_compose_runs_every_role_closed_down() -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]
    ours = {name: service for name, service in services.items() if service["image"].startswith("area:")}
    assert set(ours) == ROLES
    for name, service in ours.items():
        assert service["command"] == [name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert name == "migrate" or service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("pod", PODS)
def test_pods_run_without_privilege(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["args"][0] in ROLES
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


def test_every_role_has_probes_and_a_disruption_budget() -> None:
    deployments = {item["metadata"]["name"]: item for item in MANIFESTS if item["kind"] == "Deployment"}
    budgets = {item["metadata"]["name"] for item in MANIFESTS if item["kind"] == "PodDisruptionBudget"}
    assert set(deployments) == budgets == ROLES - {"migrate"}
    for item in deployments.values():
        (container,) = item["spec"]["template"]["spec"]["containers"]
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


def test_every_manifest_is_listed_or_explained() -> None:
    listed = set(yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"])
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert there - listed == {"keda.yaml"}, "keda.yaml is an alternative; README.md says when"
