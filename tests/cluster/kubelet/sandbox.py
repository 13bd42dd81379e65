"""What a pod is given on this machine: its volumes, its environment, its termination logs.

A container's mount paths become folders of the pod's own, and every mention of them in its environment, command and
arguments is replaced: processes here have no root directory of their own.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.kubelet.api import GONE, Api, Object, RefusedError
from tests.cluster.kubelet.status import Waiting

_TERMINATION_LOG = "/dev/termination-log"
_CREATING = Waiting("ContainerCreating")
"""What its kubelet says of a pod one of whose volumes can't be had; only an event tells which."""
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class UnreadyError(Exception):
    """What the pod needs isn't there yet."""

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(waiting.message)
        self.waiting = waiting


@dataclass(frozen=True)
class Launch:
    """One container, ready to be started."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    read: tuple[Path, ...]
    write: tuple[Path, ...]


class Sandbox:
    """One pod's folder."""

    def __init__(self, api: Api, pod: Object, folder: Path, claims: Path) -> None:
        """`claims` holds a folder for each persistent volume claim, kept beyond the pod."""
        self._api = api
        self._pod = pod
        self._folder = folder
        self._claims = claims
        self._space = f"/api/v1/namespaces/{pod['metadata']['namespace']}"

    async def prepare(self) -> list[Launch]:
        """Fill the volumes and put the containers together; raises UnreadyError when something is missing."""
        self._folder.mkdir(mode=0o755, exist_ok=True)
        for volume in self._pod["spec"].get("volumes", ()):
            await self._fill(volume)
        return [await self._launch(spec) for spec in self._pod["spec"]["containers"]]

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def message(self, container: str) -> str:
        """What a container left in its termination log."""
        log = self._log(container)
        return log.read_text(errors="replace") if log.exists() else ""

    def _log(self, container: str) -> Path:
        return self._folder / f".{container}" / "message"

    def _place(self, volume: Object) -> Path:
        claim = volume.get("persistentVolumeClaim")
        return self._claims / str(claim["claimName"]) if claim else self._folder / str(volume["name"])

    async def _fill(self, volume: Object) -> None:
        place = self._place(volume)
        place.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            place.chmod(0o1777)
        for source in volume.get("projected", {}).get("sources", ()):
            await self._project(source, place)
        await self._project(volume, place)

    async def _project(self, source: Object, place: Path) -> None:
        """Write the files of one source of a volume."""
        if (wanted := source.get("configMap")) is not None:
            self._write(place, wanted, await self._config_map(wanted, _CREATING))
        if (wanted := source.get("serviceAccountToken")) is not None:
            (place / wanted["path"]).write_text(await self.token(wanted))
        for item in source.get("downwardAPI", {}).get("items", ()):
            (place / item["path"]).write_text(self._field(item["fieldRef"]["fieldPath"]))

    def _write(self, place: Path, wanted: Object, data: Mapping[str, str]) -> None:
        names = {item["key"]: item["path"] for item in wanted.get("items", ())} or {key: key for key in data}
        for key, path in names.items():
            file = place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(data[key])
            file.chmod(0o644)

    async def _config_map(self, wanted: Object, otherwise: Waiting) -> Mapping[str, str]:
        found = await self._api.find(f"{self._space}/configmaps/{wanted['name']}")
        if found is None and not wanted.get("optional"):
            raise UnreadyError(otherwise)
        data: dict[str, str] = (found or {}).get("data", {})
        return data

    async def token(self, wanted: Object) -> str:
        """A token of the pod's service account, bound to the pod; raises UnreadyError if either is gone."""
        metadata, account = self._pod["metadata"], self._pod["spec"]["serviceAccountName"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        spec: Object = {"boundObjectRef": bound, "expirationSeconds": wanted.get("expirationSeconds", 3600)}
        if "audience" in wanted:
            spec["audiences"] = [wanted["audience"]]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            answer = await self._api.call("POST", f"{self._space}/serviceaccounts/{account}/token", body)
        except RefusedError as error:
            # Account and pod go one after the other when their namespace is deleted.
            if error.status not in GONE:
                raise
            raise UnreadyError(_CREATING) from None
        return str(answer["status"]["token"])

    async def _launch(self, spec: Object) -> Launch:
        folder = self._folder / f".{spec['name']}"
        folder.mkdir(exist_ok=True)
        message = self._log(spec["name"])
        message.touch()
        mounts = spec.get("volumeMounts", ())
        volumes = {volume["name"]: self._place(volume) for volume in self._pod["spec"].get("volumes", ())}
        places = {m["mountPath"]: volumes[m["name"]] / m.get("subPath", "") for m in mounts}
        here = _replacer({**places, spec.get("terminationMessagePath", _TERMINATION_LOG): message})
        env = {key: here(value) for key, value in (await self.environment(spec)).items()}
        words = [*spec.get("command", ()), *spec.get("args", ())]
        return Launch(
            name=spec["name"],
            command=tuple(here(_expanded(word, env)) for word in words),
            env=env,
            cwd=places.get(spec.get("workingDir", ""), folder),
            log=folder / "log",
            read=tuple(places[m["mountPath"]] for m in mounts if m.get("readOnly")),
            write=tuple(places[m["mountPath"]] for m in mounts if not m.get("readOnly")),
        )

    async def environment(self, spec: Object) -> dict[str, str]:
        """A container's environment; a variable may speak of those before it."""
        env: dict[str, str] = {}
        for variable in spec.get("env", ()):
            source = variable.get("valueFrom")
            if source is None:
                env[variable["name"]] = _expanded(variable.get("value", ""), env)
            elif "fieldRef" in source:
                env[variable["name"]] = self._field(source["fieldRef"]["fieldPath"])
            elif "configMapKeyRef" in source:
                wanted = source["configMapKeyRef"]
                said = f'configmap "{wanted["name"]}" not found'
                data = await self._config_map(wanted, Waiting("CreateContainerConfigError", said))
                env[variable["name"]] = data[wanted["key"]]
            else:
                unknown = f"the playing kubelet knows no {', '.join(source)}"
                raise UnreadyError(Waiting("CreateContainerConfigError", unknown))
        return env

    def _field(self, path: str) -> str:
        """A field of the pod, as the downward API names it."""
        if found := _KEYED.fullmatch(path):
            return str(self._pod["metadata"].get(found[1], {}).get(found[2], ""))
        value: object = self._pod
        for word in path.split("."):
            value = value.get(word, "") if isinstance(value, dict) else ""
        return str(value)


def _expanded(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` becomes its value, `$$` becomes `$`, and what is unknown stays."""
    return _REFERENCE.sub(lambda m: env.get(m[1], m[0]) if m[1] else "$", text)


def _replacer(places: Mapping[str, Path]) -> Callable[[str], str]:
    """Replaces paths inside a container by paths on this machine."""
    longest = sorted(places, key=len, reverse=True)
    mention = re.compile(rf"(?<![\w./-])({'|'.join(map(re.escape, longest))})(?![\w.-])")
    return lambda text: mention.sub(lambda found: str(places[found[1]]), text)
