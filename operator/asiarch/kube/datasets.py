"""Texts to train on that users keep in ConfigMaps: looked for before anything is started.

A claim is looked for by the scheduler, and the pod's trouble tells of it: the operator has no right to read claims.
"""

from pathlib import PurePosixPath

from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, Dataset
from asiarch.core.observation import ENDED, Trouble
from asiarch.kube.client import CONFIG_MAPS, Api


class Datasets:
    """The datasets of one search that lie in ConfigMaps."""

    def __init__(self, api: Api) -> None:
        """Know of none yet."""
        self._api = api
        self._there: set[Dataset] = set()

    async def missing(self, search: ArchitectureSearch) -> list[Trouble]:
        """Say which of a search's datasets aren't there; one that was found is not looked for again."""
        troubles = list[Trouble]()
        if search.status.phase in ENDED:
            return troubles
        for index, rung in enumerate(search.spec.evaluation.ladder):
            if rung.dataset is None or rung.dataset.config_map is None or rung.dataset in self._there:
                continue
            found = await self._api.get(CONFIG_MAPS, search.metadata.namespace, rung.dataset.config_map)
            key = str(PurePosixPath(rung.dataset.path))
            keys = {} if found is None else {**(found.get("data") or {}), **(found.get("binaryData") or {})}
            if key in keys or (keys and key == "."):
                self._there.add(rung.dataset)
                continue
            what = f"ConfigMap {rung.dataset.config_map}" + ("" if key == "." else f" (key: {key})")
            message = (
                f"spec.evaluation.ladder[{index}].dataset: {what} not found in namespace {search.metadata.namespace}, "
                "or nothing in it. Create it; the search resumes by itself."
            )
            troubles.append(Trouble(Reason.DATASET_INVALID, message, fatal=True))
        return troubles
