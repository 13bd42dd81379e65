"""The command line as a user meets it: bad input is refused with one clear message, exit code 2 and nothing started."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asiarch import cli
from tests.local.searches import MANIFEST

EXAMPLES = Path(__file__).parents[1] / "examples"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line; returns exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["asiarch", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


BAD = {
    "an unknown field": (("budget:", "budgett:"), "spec.budgett: unknown field; did you mean budget?"),
    "a negative budget": (
        ("candidates: 3", "candidates: -3"),
        "spec.budget.candidates: found -3, wanted at least 1",
    ),
    "a budget that is no number": (
        ("candidates: 3", "candidates: .nan"),
        "spec.budget.candidates: found nan, wanted a finite number",
    ),
    "an empty ladder": (("    ladder:", "    ladder: []\n    old:"), "spec.evaluation.ladder"),
    "an unknown policy": (("policy: AsiArch", "policy: AsiArk"), "did you mean AsiArch?"),
    "a promotion of 0": (
        ("top: 1.0", "top: 0"),
        "spec.evaluation.ladder[1].promote.top: found 0, wanted more than 0",
    ),
    "a corpus that is not there": (
        ("task: SyntheticRecall", "task: ByteLanguageModel, dataset: {path: no/such/text}"),
        "no/such/text, which does not exist",
    ),
    "a baseline's file that is not there": (
        ("- name: delta-net", "- {name: mine, source: {file: gone.py}}"),
        "spec.baselines[0].source.file",
    ),
    "an accelerator": (
        ("task: SyntheticRecall", "task: SyntheticRecall, resources: {nvidia.com/gpu: 1}"),
        "wanted nothing on a laptop",
    ),
    "a person's approval": (
        ("task: SyntheticRecall", "task: SyntheticRecall, approval: true"),
        "spec.evaluation.ladder[1].approval: found true, wanted nothing on a laptop",
    ),
    "a baseline in a ConfigMap": (
        ("- name: delta-net", "- {name: mine, source: {configMap: mine}}"),
        "spec.baselines[0].source.configMap: found mine, wanted nothing on a laptop; name its `file`",
    ),
    "a corpus in a volume": (
        ("task: SyntheticRecall", "task: ByteLanguageModel, dataset: {persistentVolumeClaim: text}"),
        "spec.evaluation.ladder[1].dataset.persistentVolumeClaim: found text, wanted nothing on a laptop",
    ),
    "a pod template and a queue": (
        ("  evaluation:", "  evaluation:\n    queueName: gpus\n    podTemplate: {spec: {}}"),
        "spec.evaluation.queueName: found gpus, wanted nothing on a laptop",
    ),
    "text that is no YAML": ((MANIFEST, "goal: [unclosed"), "not readable as YAML"),
    "nothing": ((MANIFEST, ""), "found nothing, wanted one object"),
    "two documents": ((MANIFEST, f"{MANIFEST}---\n{MANIFEST}"), "document"),
    "a Kubernetes object of another kind": (("kind: ArchitectureSearch", "kind: Pod"), 'kind: found "Pod"'),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_manifest_is_refused_and_nothing_is_started(run: Run, tmp_path: Path, name: str) -> None:
    (old, new), message = BAD[name]
    assert old in MANIFEST
    manifest = tmp_path / "search.yaml"
    manifest.write_text(MANIFEST.replace(old, new))
    code, _, err = run("run", manifest, "--dir", tmp_path / "runs")
    assert code == cli.EXIT_USAGE
    assert message in err
    assert "Nothing was started." in err
    assert not (tmp_path / "runs").exists()


def test_a_manifest_that_is_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run("run", tmp_path / "gone.yaml")
    assert (code, "gone.yaml" in err, "No such file" in err) == (cli.EXIT_USAGE, True, True)


def test_a_directory_that_is_a_file_is_refused(run: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "search.yaml"
    manifest.write_text(MANIFEST)
    code, _, err = run("run", manifest, "--dir", manifest)
    assert (code, "wanted a directory to write to" in err) == (cli.EXIT_USAGE, True)


def test_a_candidate_that_names_itself_as_parent_is_refused_and_nothing_is_started(
    run: Run, tmp_path: Path
) -> None:
    manifest, mine = tmp_path / "search.yaml", tmp_path / "mine.yaml"
    manifest.write_text(MANIFEST)
    mine.write_text(
        "apiVersion: asiarch.dev/v1alpha1\nkind: Candidate\nmetadata: {name: mine}\n"
        "spec: {searchName: small, origin: User, idea: x, parents: [mine]}\n"
    )
    code, _, err = run("run", manifest, "--candidate", mine, "--dir", tmp_path / "runs")
    assert code == cli.EXIT_USAGE
    assert "spec.parents" in err
    assert not (tmp_path / "runs").exists()


def test_a_candidate_of_another_search_is_refused(run: Run, tmp_path: Path) -> None:
    manifest, mine = tmp_path / "search.yaml", tmp_path / "mine.yaml"
    manifest.write_text(MANIFEST)
    mine.write_text(
        "apiVersion: asiarch.dev/v1alpha1\nkind: Candidate\nmetadata: {name: mine}\n"
        "spec: {searchName: other, origin: User, idea: x}\n"
    )
    code, _, err = run("run", manifest, "--candidate", mine, "--dir", tmp_path / "runs")
    assert (code, "spec.searchName other" in err) == (cli.EXIT_USAGE, True)


def test_a_candidate_by_a_name_that_the_search_gives_itself_is_refused(run: Run, tmp_path: Path) -> None:
    manifest, mine = tmp_path / "search.yaml", tmp_path / "mine.yaml"
    manifest.write_text(MANIFEST)
    mine.write_text(
        "apiVersion: asiarch.dev/v1alpha1\nkind: Candidate\nmetadata: {name: small-0000}\n"
        "spec: {searchName: small, origin: User, idea: x}\n"
    )
    code, _, err = run("run", manifest, "--candidate", mine, "--dir", tmp_path / "runs")
    assert (code, "metadata.name small-0000" in err) == (cli.EXIT_USAGE, True)
    assert not (tmp_path / "runs").exists()


def test_a_baseline_that_is_not_utf_8_is_refused(run: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "search.yaml"
    manifest.write_text(MANIFEST.replace("- name: delta-net", "- {name: mine, source: {file: mine.py}}"))
    (tmp_path / "mine.py").write_bytes(b"\xff")
    code, _, err = run("run", manifest, "--dir", tmp_path / "runs")
    assert (code, "mine.py, which is not UTF-8" in err) == (cli.EXIT_USAGE, True)
    assert not (tmp_path / "runs").exists()


def test_validate_says_what_is_valid_and_every_fault_of_the_rest(run: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(MANIFEST)
    bad.write_text(MANIFEST.replace("candidates: 3", "candidates: 0").replace("seed: 5", "seed: -5"))
    code, out, err = run("validate", good, bad)
    assert code == cli.EXIT_USAGE
    assert f'{good}: ArchitectureSearch "small" is valid' in out
    assert "spec.budget.candidates" in err
    assert "spec.seed" in err


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_validate_takes_every_example_as_an_api_server_does(run: Run, example: Path) -> None:
    code, out, err = run("validate", example)
    assert (code, err) == (0, "")
    assert out.endswith(" is valid\n")


def test_what_only_a_cluster_has_is_valid_and_not_run_here(run: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "search.yaml"
    manifest.write_text(MANIFEST.replace("evaluation:", "evaluation:\n    queueName: research", 1))
    assert run("validate", manifest)[0] == 0
    code, _, err = run("run", manifest, "--dir", tmp_path / "runs")
    assert (code, "spec.evaluation.queueName" in err) == (cli.EXIT_USAGE, True)


def test_crds_prints_both_definitions(run: Run) -> None:
    code, out, _ = run("crds")
    assert code == 0
    assert out.count("kind: CustomResourceDefinition") == 2


def test_a_search_that_is_not_there_is_refused_with_those_that_are(run: Run, tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "search.yaml").write_text("")
    code, _, err = run("status", "--search", "other", "--dir", tmp_path)
    assert (code, "one of known" in err) == (cli.EXIT_USAGE, True)


SERVICES = {
    "operate": ("operate", "--gateway-url=http://gateway", "--agent-image=a", "--trainer-image=t"),
    "gateway": ("gateway",),
}
"""What runs in a cluster, with all that must be said."""


def a_kubeconfig(**cluster: object) -> str:
    """A kubeconfig whose one cluster is described so."""
    return str(
        {
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "current-context": "c",
            "clusters": [{"name": "k", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
    )


UNUSABLE = {
    "nothing": ("", "can't be used"),
    "a list": ("[1, 2]", "can't be used"),
    "a text": ("kubeconfig", "can't be used"),
    "no YAML": ("a: [", "can't be used"),
    "no context": ("{kind: Config}", "Expected key current-context"),
    "clusters of another type": ("{current-context: c, contexts: 3, clusters: 4}", "can't be used"),
    "a certificate that isn't there": (
        a_kubeconfig(**{"server": "https://k", "certificate-authority": "gone.crt"}),
        "gone.crt",
    ),
    "a certificate that is none": (
        a_kubeconfig(**{"server": "https://k", "certificate-authority-data": "bm9uZQ=="}),
        "can't be used",
    ),
    "a certificate that is no base64": (
        a_kubeconfig(**{"server": "https://k", "certificate-authority-data": "!"}),
        "can't be used",
    ),
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_kubeconfig_that_cant_be_used_is_refused(run: Run, tmp_path: Path, service: str, name: str) -> None:
    text, message = UNUSABLE[name]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(text)
    code, _, err = run(*SERVICES[service], "--kubeconfig", kubeconfig)
    assert code == cli.EXIT_USAGE
    assert err.startswith(f"--kubeconfig: found {kubeconfig}, which ")
    assert message in err
    assert err.endswith("Nothing was started.\n")


@pytest.mark.parametrize("service", SERVICES)
def test_a_kubeconfig_that_isnt_there_is_refused(run: Run, tmp_path: Path, service: str) -> None:
    code, _, err = run(*SERVICES[service], "--kubeconfig", tmp_path / "gone")
    assert code == cli.EXIT_USAGE
    assert "gone, which does not exist, wanted a kubeconfig" in err


@pytest.mark.parametrize("service", SERVICES)
def test_outside_of_a_cluster_a_service_wants_a_kubeconfig(
    run: Run, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    code, _, err = run(*SERVICES[service])
    assert code == cli.EXIT_USAGE
    assert err == (
        "--kubeconfig: found nothing, and no account of a pod (Service host/port is not set), "
        "wanted a kubeconfig outside of a cluster; name one. Nothing was started.\n"
    )


BUSY = {"operate": "--port", "gateway": "--metrics-port"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_port_that_somebody_else_has_is_refused(run: Run, tmp_path: Path, service: str) -> None:
    kubeconfig, option = tmp_path / "kubeconfig", BUSY[service]
    kubeconfig.write_text(a_kubeconfig(server="http://127.0.0.1:1"))
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run(*SERVICES[service], "--kubeconfig", kubeconfig, option, str(port))
    assert code == cli.EXIT_USAGE
    assert err.startswith(f"{option}: found {port}, where nothing can be served (")
    assert err.endswith("wanted a port that is free; name another one. Nothing was started.\n")


@pytest.mark.parametrize("flag", ["--port", "--metrics-port"])
@pytest.mark.parametrize("port", ["0", "99999", "-1", "http"])
def test_the_gateways_ports_are_ports(run: Run, flag: str, port: str) -> None:
    code, _, err = run("gateway", f"{flag}={port}")
    assert (code, flag in err) == (cli.EXIT_USAGE, True)
