"""Candidates' files in the cluster: texts under their digests in ConfigMaps, and where users keep theirs."""

from collections.abc import Iterable

from asiarch.agents import baselines
from asiarch.api.candidate import Candidate, Code
from asiarch.api.code import digest, fingerprint
from asiarch.api.names import code_name
from asiarch.api.order import MAX_CODE_BYTES
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch
from asiarch.core.observation import Trouble
from asiarch.kube.client import CONFIG_MAPS, Api, ApiError
from asiarch.kube.datasets import Datasets
from asiarch.kube.kept import controller
from asiarch.kube.manifests import code_map
from asiarch.kube.refusals import Denied


class Sources:
    """The files of one search's candidates."""

    def __init__(self, api: Api) -> None:
        """Know of none yet."""
        self._api = api
        self._stored: set[str] = set()
        self._of: dict[str, Code] = {}
        self._datasets = Datasets(api)

    async def keep(self, search: ArchitectureSearch, text: str) -> Code:
        """Store a file under its digest; that it is there already is success."""
        code = Code(digest=digest(text), fingerprint=fingerprint(text))
        if code.digest not in self._stored:
            body = code_map(search, code.digest, text)
            try:
                await self._api.create(CONFIG_MAPS, search.metadata.namespace, body)
            except ApiError as error:
                if error.status != 409:
                    raise
                await self._verify(search, code.digest, text)
            self._stored.add(code.digest)
        return code

    async def of(
        self, search: ArchitectureSearch, pending: Iterable[Candidate], denied: Denied
    ) -> tuple[dict[str, Code], tuple[Trouble, ...]]:
        """The stored files of candidates that have not begun, and which files and datasets aren't there."""
        waiting = {
            c.metadata.uid: c for c in pending if c.spec.source is not None or c.spec.baseline is not None
        }
        self._of = {uid: code for uid, code in self._of.items() if uid in waiting}
        troubles = await self._datasets.missing(search)
        for uid, candidate in waiting.items():
            if uid in self._of:
                continue
            found = await self._text(candidate)
            if isinstance(found, Trouble):
                troubles.append(found)
            else:
                with denied.noting(f"The file of candidate {candidate.name}", goes_on=True):
                    self._of[uid] = await self.keep(search, found)
        return {waiting[uid].name: code for uid, code in self._of.items()}, tuple(troubles)

    async def _text(self, candidate: Candidate) -> str | Trouble:
        spec = candidate.spec
        if spec.source is None:
            return baselines.source(spec.baseline or "")
        fatal = spec.origin == "Baseline"
        who = f"Candidate {candidate.name}"
        if spec.source.config_map is None:
            step = "Put the file into a ConfigMap of this namespace and name it in source.configMap."
            message = f"{who}: source.file {spec.source.file} names a file, which only a laptop has. {step}"
            return Trouble(Reason.SOURCE_INVALID, message, fatal)
        name, key = spec.source.config_map, spec.source.key
        found = await self._api.get(CONFIG_MAPS, candidate.metadata.namespace, name)
        what = f"ConfigMap {name} (key: {key})"
        if found is None or key not in (found.get("data") or {}):
            message = (
                f"{who}: {what} not found in namespace {candidate.metadata.namespace}. "
                "Create it; the search resumes by itself."
            )
            return Trouble(Reason.SOURCE_NOT_FOUND, message, fatal)
        text = str(found["data"][key])
        size = len(text.encode())
        if size > MAX_CODE_BYTES:
            message = f"{who}: {what} has {size} bytes; wanted at most {MAX_CODE_BYTES}. Shorten it."
            return Trouble(Reason.SOURCE_INVALID, message, fatal)
        return text

    async def _verify(self, search: ArchitectureSearch, digested: str, text: str) -> None:
        """Make sure that what stands under a file's name is this file, and ours; raises ApiError."""
        name = code_name(search.name, digested)
        found = await self._api.get(CONFIG_MAPS, search.metadata.namespace, name)
        if found is None or controller(found) != search.metadata.uid:
            # A predecessor's goes with it; then ours can be made.
            raise ApiError(409, "NameConflict", f"ConfigMap {name} isn't of this search.")
        if (found.get("data") or {}).get("candidate.py") != text:
            message = f"ConfigMap {name} holds another file than {digested}. Delete it; the search resumes by itself."
            raise ApiError(409, "NameConflict", message)
