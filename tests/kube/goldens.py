"""The manifests that are pinned byte by byte; `python -m tests.kube.goldens` writes them anew."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from asiarch.api.search import Dataset, Rung
from asiarch.kube import manifests
from asiarch.kube.client import Object
from tests.builders import a_search
from tests.kube.orders import CODE, DEPLOYMENT, a_job, an_order, searching, the_candidate

FOLDER = Path(__file__).with_name("golden")
ON_GPUS = Rung(
    name="explore",
    task="ByteLanguageModel",
    dataset=Dataset(path="text", persistent_volume_claim="fineweb", suffix=".txt"),
    seeds=3,
    cpu="4",
    memory="16Gi",
    resources={"nvidia.com/gpu": 1},
)
"""Three seeds on accelerators, with text from a claim."""
OVERLAY: Object = {
    "metadata": {"labels": {"kueue.x-k8s.io/priority-class": "low"}},
    "spec": {
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "batch",
    },
}


def _on_gpus() -> Object:
    search = searching(ladder=(ON_GPUS,), queue_name="team-seven", pod_template=OVERLAY)
    return a_job(an_order(rung=ON_GPUS), search, replace(DEPLOYMENT, runtime_class="gvisor"))


GOLDENS: Mapping[str, Callable[[], Object]] = {
    "agent.yaml": lambda: a_job(an_order("propose")),
    "agent-without-names.yaml": lambda: a_job(
        an_order("repair"), deployment=replace(DEPLOYMENT, gateway_address="10.0.0.7")
    ),
    "training.yaml": lambda: a_job(an_order()),
    "training-on-accelerators.yaml": _on_gpus,
    "context.yaml": lambda: manifests.context_map(an_order("propose"), the_candidate(), '{"goal":"$(HOME)"}'),
    "code.yaml": lambda: manifests.code_map(a_search(), CODE, "a file"),
}


class _Plain(yaml.SafeDumper):
    """Without anchors: a reader should not have to look elsewhere."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def rendered(name: str) -> str:
    """One manifest as its file holds it."""
    return yaml.dump(GOLDENS[name](), Dumper=_Plain, sort_keys=False, width=110)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in GOLDENS:
        (FOLDER / name).write_text(rendered(name))


if __name__ == "__main__":
    main()
