"""Edits of manifests that were right before, and what is said of those that are refused; none where nothing is."""

from typing import Any

from tests.api.manifests import GONE, LADDER, SEARCH

KEPT = "wanted no change; start another search for it."

SEARCH_CHANGES: tuple[tuple[str, Any, str | None], ...] = (
    ("spec/seed", 5, f"spec.seed: found 5 where 0 was, {KEPT}"),
    ("spec/evaluation/parameters", 3, f"spec.evaluation.parameters: found 3 where 1.5 was, {KEPT}"),
    (
        "spec/baselines/1/source/file",
        "b.py",
        f'spec.baselines[1].source.file: found "b.py" where "mine.py" was, {KEPT}',
    ),
    (
        "spec/baselines",
        SEARCH["spec"]["baselines"][::-1],
        f'spec.baselines[0].name: found "mine" where "delta-net" was, {KEPT}',
    ),
    (
        "spec/baselines",
        SEARCH["spec"]["baselines"][:1],
        f'spec.baselines: found ["delta-net"] where ["delta-net", "mine"] was, {KEPT}',
    ),
    (f"{LADDER}/1/steps", 200, f"spec.evaluation.ladder[1].steps: found 200 where 150 was, {KEPT}"),
    (
        f"{LADDER}/2/dataset/suffix",
        ".py",
        f'spec.evaluation.ladder[2].dataset.suffix: found ".py" where nothing was, {KEPT}',
    ),
    (
        "spec/fitness/policy",
        "AsiArch",
        f'spec.fitness.policy: found "AsiArch" where "Normalised" was, {KEPT}',
    ),
    (f"{LADDER}/1/memory", "4Gi", f'spec.evaluation.ladder[1].memory: found "4Gi" where "2Gi" was, {KEPT}'),
    ("spec/evaluation/podTemplate", {"spec": {"nodeSelector": {"disk": "ssd"}}}, None),
    ("spec/agents/podTemplate", {}, None),
    ("spec/evaluation/queueName", "gpus", None),
    ("spec/stopPolicy", "Cancel", None),
    ("spec/retention", {"ttl": "1h"}, None),
    ("spec/budget/candidates", 20, None),
    ("spec/suspend", True, None),
    ("spec/fitness", {"policy": "Normalised"}, None),
    ("spec/agents/parallelism", 4, None),
)

CANDIDATE_CHANGES: tuple[tuple[str, Any, str | None], ...] = (
    ("spec/seed", 5, "spec.seed: found 5 where 0 was, wanted no change; create another candidate for it."),
    (
        "spec/parents",
        GONE,
        'spec.parents: found nothing where ["q-0000"] was, wanted no change; create another candidate for it.',
    ),
    (
        "status/phase",
        "Pending",
        'status.phase: found "Pending" where "Complete" was, wanted no change of a terminal phase.',
    ),
    (
        "status/phase",
        GONE,
        'status.phase: found nothing where "Complete" was, wanted no change of a terminal phase.',
    ),
    (
        "status/ordinal",
        2,
        "status.ordinal: found 2 where 1 was, wanted no change of an ordinal once it is given.",
    ),
    ("status/fitness", "0.5", None),
)
