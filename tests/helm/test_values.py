"""Bad values are refused with their names; good ones go where they belong."""

import pytest

from tests.helm import chart

DIGEST = "sha256:" + "5" * 64
GOOD = (
    'commonLabels={"team": "nas", "app.kubernetes.io/name": "other"}',
    'imagePullSecrets=[{"name": "pull"}]',
    'operator.podAnnotations={"a": "b"}',
    'operator.nodeSelector={"kubernetes.io/os": "linux"}',
    'operator.tolerations=[{"operator": "Exists"}]',
    'operator.affinity={"nodeAffinity": {}}',
    'operator.topologySpreadConstraints=[{"maxSkew": 1}]',
    'operator.priorityClassName="high"',
    'operator.extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]',
    'operator.extraVolumes=[{"name": "ca", "configMap": {"name": "ca"}}]',
    'operator.extraVolumeMounts=[{"name": "ca", "mountPath": "/ca"}]',
    'operator.extraArgs=["--further"]',
    'extraObjects=[{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-mine"}}]',
)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("wacth.namespaces=[]", "wacth"),
        ("operator.replica=2", "replica"),
        ('images.operator.digset="x"', "digset"),
        ('images.operator.digest="latest"', "digest"),
        ("operator.replicas=3", "replicas"),
        ('operator.replicas="one"', "replicas"),
        ("gateway.port=80", "port"),
        ('watch.clusterWide="yes"', "clusterWide"),
        ('watch.namespaces="team-a"', "namespaces"),
        ('watch.namespaces=["*"]', "namespaces"),
        ('images.pullPolicy="Sometimes"', "pullPolicy"),
        ('imagePullSecrets=["pull"]', "imagePullSecrets"),
        ("operator.resources.limits.memory=null", "memory"),
        ("networkPolicies.apiServer.ports=[]", "ports"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(value: str, named: str) -> None:
    with pytest.raises(chart.RefusedError, match=named):
        chart.render(value)


def test_a_second_operator_needs_the_lease() -> None:
    with pytest.raises(chart.RefusedError, match=r"Set lease\.enabled=true"):
        chart.render("operator.replicas=2")
    both = chart.render("operator.replicas=2", "lease.enabled=true")
    assert chart.of_kind("Deployment", both)["asiarch-operator"]["spec"]["replicas"] == 2
    assert "--lease=system" in _operator(both)["args"]


def test_a_digest_goes_before_a_tag_and_the_registry_before_both() -> None:
    objects = chart.render(
        'images.registry="registry.example.com/mirror/"',
        'images.operator.tag="old"',
        f'images.operator.digest="{DIGEST}"',
        'images.trainer.tag="2"',
    )
    ours = f"registry.example.com/mirror/asiarch/operator@{DIGEST}"
    assert {container["image"] for container in chart.containers(objects)} == {ours}
    assert f"--agent-image={ours}" in _operator(objects)["args"]
    assert "--trainer-image=registry.example.com/mirror/asiarch/trainer:2" in _operator(objects)["args"]


def test_no_image_comes_from_where_nobody_put_it() -> None:
    nowhere = 'images.registry=""'
    with pytest.raises(chart.RefusedError, match=r"images\.registry: found nothing"):
        chart.render(nowhere)
    with pytest.raises(chart.RefusedError, match=r"Or set images\.trainer\.digest"):
        chart.render(nowhere, f'images.operator.digest="{DIGEST}"')
    chart.render(nowhere, *(f'images.{part}.digest="{DIGEST}"' for part in ("operator", "trainer")))
    chart.render(nowhere, 'images.pullPolicy="Never"')
    named = (
        'images.operator.repository="registry.example.com/a/operator"',
        'images.trainer.repository="b:5000/trainer"',
    )
    assert "--trainer-image=b:5000/trainer:0.1.0" in _operator(chart.render(nowhere, *named))["args"]


def test_everything_that_a_site_adds_arrives() -> None:
    objects = chart.render(*GOOD)
    pod = chart.of_kind("Deployment", objects)["asiarch-operator"]["spec"]["template"]
    assert pod["metadata"]["annotations"] == {"a": "b"}
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert pod["spec"]["affinity"] == {"nodeAffinity": {}}
    assert pod["spec"]["topologySpreadConstraints"] == [{"maxSkew": 1}]
    assert pod["spec"]["priorityClassName"] == "high"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["tmp", "ca"]
    assert [mount["mountPath"] for mount in _operator(objects)["volumeMounts"]] == ["/tmp", "/ca"]  # noqa: S108
    assert _operator(objects)["env"] == [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]
    assert _operator(objects)["args"][-1] == "--further"
    assert "asiarch-mine" in chart.of_kind("ConfigMap", objects)
    assert chart.of_kind("ServiceAccount", objects)["asiarch-agent"]["imagePullSecrets"] == [{"name": "pull"}]


def test_labels_of_a_site_join_ours_and_never_replace_them() -> None:
    ours = [item for item in chart.render(*GOOD) if item["kind"] != "ConfigMap"]
    assert {item["metadata"]["labels"]["team"] for item in ours} == {"nas"}
    assert {item["metadata"]["labels"]["app.kubernetes.io/name"] for item in ours} == {"asi-arch"}


@pytest.mark.parametrize(
    ("release", "values", "named"),
    [
        ("asiarch", (), "asiarch-operator"),
        ("my-asi-arch", (), "my-asi-arch-operator"),
        ("lab", (), "lab-asi-arch-operator"),
        ("lab", ('nameOverride="nas"',), "lab-nas-operator"),
        ("lab", ('fullnameOverride="nas"',), "nas-operator"),
        ("a" * 53, (), "a" * 40 + "-operator"),
    ],
)
def test_objects_are_called_after_their_release(release: str, values: tuple[str, ...], named: str) -> None:
    assert named in chart.of_kind("Deployment", chart.render(*values, release=release))


def test_the_notes_have_another_namespace_get_what_fits_this_release() -> None:
    notes = chart.text("watch.clusterWide=true", 'agents.serviceAccount="lab-agent"', notes=True)
    command = next(line for line in notes.splitlines() if "--show-only templates/workloads.yaml" in line)
    assert " -f values.yaml " in command
    assert "helm get values asiarch -n system -o yaml > values.yaml" in notes


def test_the_notes_say_how_to_go_on() -> None:
    notes = chart.text("watch.clusterWide=true", "networkPolicies.enabled=false", notes=True).partition(
        "NOTES:"
    )[2]
    for said in (
        "get cand --watch",
        "--show-only templates/workloads.yaml",
        "WARNING",
        "helm uninstall",
    ):
        assert said in notes


def _operator(objects: tuple[chart.Object, ...]) -> chart.Object:
    (found,) = (container for container in chart.containers(objects) if container["name"] == "operator")
    return found
