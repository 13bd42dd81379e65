"""What keeps a search from its work in a cluster, in words: object, field, what was found, and the next step."""

from asiarch.api.fault import shown
from asiarch.api.names import candidate_name
from asiarch.api.reason import Reason
from asiarch.api.search import STANDARD_LIBRARY, ArchitectureSearch
from asiarch.core.observation import Trouble
from asiarch.kube import overlay
from asiarch.kube.archive import ArchiveUnreadableError


def of_spec(search: ArchitectureSearch, runtime: str | None) -> tuple[Trouble, ...]:
    """What of a search a cluster can't do, by field; `runtime` is the class that training pods must have."""
    training, agents = search.spec.evaluation.pod_template or {}, search.spec.agents.pod_template or {}
    refusals = [
        *(f"spec.evaluation.podTemplate.{one}" for one in overlay.refusals(training, runtime, queues=False)),
        *(f"spec.agents.podTemplate.{one}" for one in overlay.refusals(agents)),
    ]
    refusals += [
        f"spec.evaluation.ladder[{index}].dataset.path: found {shown(rung.dataset.path)} alone, as on a laptop, "
        f"wanted persistentVolumeClaim or configMap beside it, or the path {STANDARD_LIBRARY}. Create it anew with one."
        for index, rung in enumerate(search.spec.evaluation.ladder)
        if rung.dataset is not None and not rung.dataset.in_cluster and rung.dataset.path != STANDARD_LIBRARY
    ]
    return tuple(Trouble(Reason.CONFIG_INVALID, refusal[:1024], fatal=True) for refusal in refusals)


def unreadable(name: str, fault: str) -> Trouble:
    """A candidate that we can't read; it has an ordinal all the same, so the search stands still."""
    message = (
        f"Candidate {name} can't be read ({fault}), so nothing is started. Run the version that wrote it, put it "
        "right, or delete it; the search resumes by itself."
    )
    return Trouble(Reason.CONFIG_INVALID, message[:1024], fatal=True)


def of_archive(error: ArchiveUnreadableError) -> Trouble:
    """A segment of the archive that we can't read: without it nobody knows what is spent and what was tried."""
    message = (
        f"{error}. Nothing is started, since what it holds counts for budgets and lineage. Put it back as it was; or "
        "delete it, and the records in it are lost for good. The search resumes by itself."
    )
    return Trouble(Reason.CONFIG_INVALID, message[:1024], fatal=True)


def taken(name: str, search: ArchitectureSearch) -> Trouble:
    """A foreign object under a name that the search needs."""
    message = (
        f"Candidate {name} is there and is not of search {search.name}, which needs the name for its next one. Delete "
        "it, or give it another name; the search resumes by itself."
    )
    return Trouble(Reason.NAME_CONFLICT, message, fatal=True)


def stranger(name: str, search: ArchitectureSearch) -> Trouble:
    """A candidate that names the search and has no right to join it."""
    message = (
        f"Candidate {name} names this search and was not created by it, or is left from another of its name; only new "
        "ones of origin User may join. It is not run and not charged. Delete it, or create it anew with origin User "
        "and without owners."
    )
    taken = name in {candidate_name(search.name, ordinal) for ordinal in range(len(search.spec.baselines))}
    return Trouble(Reason.NAME_CONFLICT if taken else Reason.ORPHAN, message, fatal=taken)
