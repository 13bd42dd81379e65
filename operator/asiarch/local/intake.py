"""Takes manifests in: checks what they say and what they name, before anything is written or started."""

import re
from collections.abc import Mapping
from pathlib import Path

from asiarch.api.candidate import Candidate
from asiarch.api.fault import Fault, ManifestError, shown
from asiarch.api.manifest import Resource, dump, load
from asiarch.api.search import STANDARD_LIBRARY, ArchitectureSearch, Dataset, FileSource, Rung, SearchSpec
from asiarch.local.store import Store

_NOT_HERE = "nothing on a laptop"


def read(path: Path, old: Resource | None = None, *, anywhere: bool = False) -> Resource:
    """Read the one object of a manifest, with the paths that it names made absolute; raises ManifestError.

    `anywhere`: what only a cluster has may be named, too.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            [Fault("", error.strerror or "an unreadable file", "a manifest", subject=str(path))]
        ) from None
    found = load(text, str(path))
    found = _resolved(found, path.resolve().parent)
    if old is not None:
        load(dump(found), str(path), old)
    faults = [fault for fault in _missing(found) if not (anywhere and fault.wanted == _NOT_HERE)]
    if faults:
        raise ManifestError(fault.of(f'{found.kind} "{found.name}"') for fault in faults)
    return found


def take(directory: Path, manifest: Path, candidates: tuple[Path, ...]) -> Store:
    """Read all manifests, open the search's directory and store them; nothing is written if one has a fault."""
    search = read(manifest)
    if not isinstance(search, ArchitectureSearch):
        raise _refused(manifest, search.kind, "an ArchitectureSearch", "name candidates by --candidate")
    joining = [_candidate(path, search) for path in candidates]
    store = Store(directory / search.name)
    store.open()
    old = store.search()
    if old is not None:
        search = _edited(manifest, old)
    store.write_search(search)
    known = {c.name for c in store.candidates()}
    for candidate in joining:
        if candidate.name not in known:
            store.write_candidate(candidate, candidate.status)
    return store


def _edited(manifest: Path, old: ArchitectureSearch) -> ArchitectureSearch:
    """The search as the manifest now has it, with the status that it has; what is immutable must be unchanged."""
    new = read(manifest, old)
    generation = old.metadata.generation + (new.spec != old.spec)
    metadata = old.metadata.model_copy(update={"generation": generation})
    return old.model_copy(update={"metadata": metadata, "spec": new.spec})


def _candidate(path: Path, search: ArchitectureSearch) -> Candidate:
    found = read(path)
    if not isinstance(found, Candidate):
        raise _refused(path, found.kind, "a Candidate", "name one search only")
    if found.spec.search_name != search.name:
        raise _refused(path, f"spec.searchName {found.spec.search_name}", search.name, "name this search")
    if found.spec.origin != "User":
        raise _refused(
            path, f"spec.origin {found.spec.origin}", "User", "only the search itself creates others"
        )
    if re.fullmatch(rf"{re.escape(search.name)}-\d{{4,}}x*", found.name):
        wanted = "a name that the search doesn't give itself"
        raise _refused(path, f"metadata.name {found.name}", wanted, "name it otherwise")
    return found


def _refused(path: Path, found: str, wanted: str, next_step: str) -> ManifestError:
    return ManifestError([Fault("", found, wanted, next_step, subject=str(path))])


def _resolved(found: Resource, base: Path) -> Resource:
    """Make relative paths absolute, so that the stored object means the same from anywhere."""
    if isinstance(found, Candidate):
        source = _absolute(found.spec.source, base)
        return found.model_copy(update={"spec": found.spec.model_copy(update={"source": source})})
    spec = found.spec
    baselines = tuple(b.model_copy(update={"source": _absolute(b.source, base)}) for b in spec.baselines)
    ladder = tuple(_with_absolute_dataset(rung, base) for rung in spec.evaluation.ladder)
    evaluation = spec.evaluation.model_copy(update={"ladder": ladder})
    changed = spec.model_copy(update={"baselines": baselines, "evaluation": evaluation})
    return found.model_copy(update={"spec": changed})


def _absolute(source: FileSource | None, base: Path) -> FileSource | None:
    if source is None or source.file is None:
        return source
    return FileSource(file=str(base / source.file))


def _with_absolute_dataset(rung: Rung, base: Path) -> Rung:
    if rung.dataset is None or rung.dataset.path == STANDARD_LIBRARY or rung.dataset.in_cluster:
        return rung
    dataset = rung.dataset.model_copy(update={"path": str(base / rung.dataset.path)})
    return rung.model_copy(update={"dataset": dataset})


def _missing(found: Resource) -> list[Fault]:
    """Faults that only a laptop has: what is named and isn't there, and what there is on clusters alone."""
    if isinstance(found, Candidate):
        return _missing_file("spec.source", found.spec.source)
    return _missing_of(found.spec)


def _missing_of(spec: SearchSpec) -> list[Fault]:
    faults = _of_clusters(
        {
            "spec.agents.podTemplate": spec.agents.pod_template,
            "spec.evaluation.podTemplate": spec.evaluation.pod_template,
            "spec.evaluation.queueName": spec.evaluation.queue_name,
        }
    )
    for place, baseline in enumerate(spec.baselines):
        faults += _missing_file(f"spec.baselines[{place}].source", baseline.source)
    for place, rung in enumerate(spec.evaluation.ladder):
        path = f"spec.evaluation.ladder[{place}]"
        faults += _of_clusters(
            {f"{path}.resources": ", ".join(rung.resources), f"{path}.approval": rung.approval}
        )
        if rung.dataset is not None:
            faults += _missing_dataset(f"{path}.dataset", rung.dataset)
    return faults


def _of_clusters(fields: Mapping[str, object]) -> list[Fault]:
    """Refuse what only a cluster can do."""
    step = "run this search on a cluster, or leave the field out"
    said = ((path, value) for path, value in fields.items() if value)
    return [
        Fault(path, value if isinstance(value, str) else shown(value), _NOT_HERE, step)
        for path, value in said
    ]


def _missing_file(path: str, source: FileSource | None) -> list[Fault]:
    if source is None:
        return []
    if source.file is None:
        step = "name its `file`, or run this search on a cluster"
        return [Fault(f"{path}.configMap", str(source.config_map), _NOT_HERE, step)]
    try:
        Path(source.file).read_text(encoding="utf-8")
    except OSError:
        found = f"{source.file}, which is no file that can be read"
    except UnicodeDecodeError:
        found = f"{source.file}, which is not UTF-8"
    else:
        return []
    return [Fault(f"{path}.file", found, "a Python file", "create it, or correct the path")]


def _missing_dataset(path: str, dataset: Dataset) -> list[Fault]:
    if dataset.in_cluster:
        places = {
            f"{path}.persistentVolumeClaim": dataset.persistent_volume_claim,
            f"{path}.configMap": dataset.config_map,
        }
        return _of_clusters(places)
    if dataset.path == STANDARD_LIBRARY or Path(dataset.path).exists():
        return []
    step = f"create it, or name {STANDARD_LIBRARY} for the Python standard library's own source"
    found = f"{dataset.path}, which does not exist"
    return [Fault(f"{path}.path", found, "a file or a directory of text", step)]
