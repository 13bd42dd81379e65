"""Manifests that are right but for one thing, and what is said of it."""

import copy
from typing import Any

Document = dict[str, Any]
GONE: Any = object()
"""In place of a value: the field is left out."""

SEARCH: Document = {
    "apiVersion": "asiarch.dev/v1alpha1",
    "kind": "ArchitectureSearch",
    "metadata": {"name": "q"},
    "spec": {
        "goal": "Find a better mixer.",
        "baselines": [{"name": "delta-net"}, {"name": "mine", "source": {"file": "mine.py"}}],
        "evaluation": {
            "ladder": [
                {"name": "gates", "task": "Gates"},
                {"name": "recall", "task": "SyntheticRecall"},
                {"name": "bytes", "task": "ByteLanguageModel", "dataset": {"path": "stdlib"}},
            ]
        },
        "budget": {"candidates": 12},
    },
}
CANDIDATE: Document = {
    "apiVersion": "asiarch.dev/v1alpha1",
    "kind": "Candidate",
    "metadata": {"name": "q-0001"},
    "spec": {"searchName": "q", "origin": "Proposed", "parents": ["q-0000"]},
    "status": {"ordinal": 1, "phase": "Complete"},
}


def changed(document: Document, path: str, value: Any = GONE) -> Document:
    """A copy with one field set, or left out: `spec.evaluation.ladder.1.steps`."""
    copied = copy.deepcopy(document)
    *way, last = path.split("/")
    node: Any = copied
    for part in way:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    key = int(last) if isinstance(node, list) else last
    if value is GONE:
        del node[key]
    else:
        node[key] = value
    return copied


LADDER = "spec/evaluation/ladder"
SHIPPED = "softmax-attention, linear-attention, gated-linear-attention, delta-net, gated-delta-net"
SHIPPED += ", fixed-decay, no-mixing"
DURATION = "whole seconds, minutes or hours, such as 90s, 15m or 48h, at most 99999h"
NAMES = "lower-case letters, digits and '-', with a letter or a digit at both ends"

GOOD_SEARCHES: tuple[tuple[str, Any], ...] = (
    ("spec/seed", 2**31 - 1),
    ("spec/goal", "Über 30 %: \u202e is kept, 🙂 too."),
    ("spec/selection", {"pool": 5, "parents": 5}),
    ("spec/selection", None),
    ("spec/suspend", True),
    ("spec/stop", {"deadline": "2026-02-28T23:59:59Z", "targetFitness": "0.95", "patience": 5}),
    ("spec/budget/usd", "0.5"),
    ("spec/budget/wallClock", "48h"),
    ("spec/retention/ttl", "99999h"),
    ("spec/evaluation/parameters", 2),
    (f"{LADDER}/1/resources", {"nvidia.com/gpu": 1}),
    (f"{LADDER}/1/resources", {"nvidia.com/mig-1g.10gb": 1, "rdma/hca_shared": 2}),
    (f"{LADDER}/1/promote", {"top": 0.001}),
    (f"{LADDER}/1/model", {"width": 48, "heads": 3}),
    (f"{LADDER}/0", {"name": "only", "task": "SyntheticRecall"}),
    (f"{LADDER}/2/dataset", {"persistentVolumeClaim": "text"}),
    (f"{LADDER}/2/dataset", {"persistentVolumeClaim": "text", "path": "books/en"}),
    (f"{LADDER}/2/dataset", {"configMap": "text.v2", "suffix": ".txt"}),
    ("spec/baselines/1/source", {"configMap": "mine"}),
    ("spec/baselines/1/source", {"configMap": "mine", "key": "Mixer_2.py"}),
    (
        "spec/evaluation/podTemplate",
        {"spec": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "x"}]}},
    ),
    ("spec/agents/podTemplate", {"metadata": {"labels": {"a": None}}}),
    ("spec/evaluation/queueName", "gpus"),
    ("spec/agents", {"cpu": "2", "memory": "1Gi"}),
    (f"{LADDER}/1/approval", True),
    (f"{LADDER}/1/cpu", "500m"),
    (f"{LADDER}/1/memory", "512Mi"),
    (f"{LADDER}/1/name", "x-r1y"),
    ("spec/stopPolicy", "Cancel"),
    ("spec/retention", {"keepBest": 5, "keepFinished": 20, "ttl": "168h"}),
    ("metadata/labels", {"team": "a_B.c"}),
    ("metadata/creationTimestamp", None),
)

BAD_SEARCHES: tuple[tuple[str, Any, str], ...] = (
    ("spec/budget/candidates", -3, "spec.budget.candidates: found -3, wanted at least 1."),
    ("spec/budget/candidates", 0, "spec.budget.candidates: found 0, wanted at least 1."),
    (
        "spec/budget/candidates",
        10**30,
        "spec.budget.candidates: found 1000000000000000000000000000000, wanted at most 100000.",
    ),
    ("spec/budget/candidates", "1O", 'spec.budget.candidates: found "1O", wanted a whole number.'),
    ("spec/budget/candidates", True, "spec.budget.candidates: found true, wanted a whole number."),
    ("spec/budget/candidates", 1.5, "spec.budget.candidates: found 1.5, wanted a whole number."),
    ("spec/budget/candidates", None, "spec.budget.candidates: found null, wanted a whole number."),
    ("spec/budget/candidates", GONE, "spec.budget.candidates: found nothing, wanted a whole number."),
    (
        "spec/budget/usd",
        "-5",
        'spec.budget.usd: found "-5", wanted a decimal number of at least 0 in quotes, such as "20".',
    ),
    (
        "spec/budget/usd",
        20,
        'spec.budget.usd: found 20, wanted a decimal number of at least 0 in quotes, such as "20";'
        ' write "20", in quotes.',
    ),
    (
        "spec/budget/usd",
        "20\n",
        'spec.budget.usd: found "20\\n", wanted a decimal number of at least 0 in quotes, such as "20".',
    ),
    *(
        (path.replace(".", "/"), value, f'{path}: found "{value}", wanted {DURATION}.')
        for path, value in (
            ("spec.budget.wallClock", "-5m"),
            ("spec.budget.wallClock", "5M"),
            ("spec.budget.wallClock", "1000000000s"),
            ("spec.agents.deadline", "10000000m"),
            ("spec.retention.ttl", "99999999h"),
        )
    ),
    (
        f"{LADDER}/1/deadline",
        "100000h",
        f'spec.evaluation.ladder[1].deadline: found "100000h", wanted {DURATION}.',
    ),
    ("spec/budget", None, "spec.budget: found null, wanted a mapping."),
    ("spec/budget", [], "spec.budget: found [], wanted a mapping."),
    ("spec/budget", GONE, "spec.budget: found nothing, wanted a mapping."),
    ("spec/budgett", {}, "spec.budgett: unknown field; did you mean budget?"),
    (
        f"{LADDER}/1/learning_rate",
        1,
        "spec.evaluation.ladder[1].learning_rate: unknown field; did you mean learningRate?",
    ),
    ("spec/zzz", 1, "spec.zzz: unknown field."),
    ("metadata/nmae", "q", "metadata.nmae: unknown field; did you mean name?"),
    ("extra", 1, "extra: unknown field."),
    ("spec/goal", "", 'spec.goal: found "", wanted at least 1 character.'),
    ("spec/goal", "x" * 1025, "spec.goal: found 1025 characters, wanted at most 1024 characters."),
    ("spec/goal", 3, 'spec.goal: found 3, wanted text; write "3", in quotes.'),
    ("spec/seed", -1, "spec.seed: found -1, wanted at least 0."),
    ("spec/suspend", "maybe", 'spec.suspend: found "maybe", wanted true or false.'),
    (
        "spec/selection/policy",
        "Asiarch",
        'spec.selection.policy: found "Asiarch", wanted one of AsiArch, Dgm, Shinka, Greedy, Random;'
        " did you mean AsiArch?",
    ),
    (
        "spec/selection/policy",
        7,
        "spec.selection.policy: found 7, wanted one of AsiArch, Dgm, Shinka, Greedy, Random.",
    ),
    ("spec/selection", {"pool": 5}, "spec.selection.parents: found 10, wanted at most as many as `pool`."),
    ("spec/fitness/policy", "Best", 'spec.fitness.policy: found "Best", wanted one of Normalised, AsiArch.'),
    (
        "spec/agents/provider/type",
        "Gramar",
        'spec.agents.provider.type: found "Gramar", wanted Grammar; did you mean Grammar?',
    ),
    ("spec/agents/parallelism", 0, "spec.agents.parallelism: found 0, wanted at least 1."),
    ("spec/baselines", [], "spec.baselines: found an empty list, wanted at least 1 entry."),
    (
        "spec/baselines",
        [{"name": f"b-{i}", "source": {"file": "b.py"}} for i in range(21)],
        "spec.baselines: found 21 entries, wanted at most 20 entries.",
    ),
    (
        "spec/baselines/0/name",
        "gated-deltanet",
        f'spec.baselines[0].name: found "gated-deltanet", wanted a mixer that asiarch ships ({SHIPPED}) or a source.',
    ),
    (
        "spec/baselines/1/name",
        "delta-net",
        'spec.baselines[1].name: found "delta-net" a second time, wanted each name once.',
    ),
    (
        "spec/baselines/1/source/file",
        "a\x00b",
        'spec.baselines[1].source.file: found "a\\u0000b", wanted text without control characters.',
    ),
    (LADDER, [], "spec.evaluation.ladder: found an empty list, wanted at least 1 entry."),
    (LADDER, None, "spec.evaluation.ladder: found null, wanted a list."),
    (LADDER, {}, "spec.evaluation.ladder: found {}, wanted a list."),
    (f"{LADDER}/1", "recall", 'spec.evaluation.ladder[1]: found "recall", wanted a mapping.'),
    (f"{LADDER}/1", None, "spec.evaluation.ladder[1]: found null, wanted a mapping."),
    (
        f"{LADDER}/1/name",
        "gates",
        'spec.evaluation.ladder[1].name: found "gates" a second time, wanted each name once.',
    ),
    (f"{LADDER}/1/name", "Recall", f'spec.evaluation.ladder[1].name: found "Recall", wanted {NAMES}.'),
    (f"{LADDER}/1/name", GONE, f"spec.evaluation.ladder[1].name: found nothing, wanted {NAMES}."),
    (
        f"{LADDER}/1/task",
        "Gates",
        'spec.evaluation.ladder: found ["gates", "recall", "bytes"], wanted Gates on the first rung only.',
    ),
    (
        LADDER,
        [{"name": "gates", "task": "Gates"}],
        'spec.evaluation.ladder: found ["gates"], wanted at least one rung that scores (a task other than Gates).',
    ),
    (
        f"{LADDER}/2/dataset",
        GONE,
        "spec.evaluation.ladder[2].dataset: found nothing, wanted a dataset for the task ByteLanguageModel.",
    ),
    (
        f"{LADDER}/1/dataset",
        {"path": "x"},
        'spec.evaluation.ladder[1].dataset: found {"path": "x"}, wanted no dataset for a task that reads none.',
    ),
    (
        f"{LADDER}/2/dataset",
        {},
        'spec.evaluation.ladder[2].dataset: found {"path": "."}, wanted a `path`, a `persistentVolumeClaim` or a'
        " `configMap`.",
    ),
    (
        f"{LADDER}/2/dataset",
        {"persistentVolumeClaim": "a", "configMap": "b"},
        'spec.evaluation.ladder[2].dataset.configMap: found "b", wanted no `configMap` beside a'
        " `persistentVolumeClaim`.",
    ),
    *(
        (
            f"{LADDER}/2/dataset",
            {"persistentVolumeClaim": "a", "path": path},
            f'spec.evaluation.ladder[2].dataset.path: found "{path}", wanted a path inside the volume, relative and'
            " without `..`.",
        )
        for path in ("/etc", "a/../../b", "stdlib")
    ),
    (
        "spec/baselines/1/source",
        {},
        'spec.baselines[1].source: found {"key": "candidate.py"}, wanted either `file` or `configMap`.',
    ),
    (
        "spec/baselines/1/source",
        {"file": "a.py", "configMap": "a"},
        'spec.baselines[1].source: found {"file": "a.py", "configMap": "a", "key": "candidate.py"}, wanted either'
        " `file` or `configMap`.",
    ),
    (
        f"{LADDER}/1/cpu",
        "0.5",
        'spec.evaluation.ladder[1].cpu: found "0.5", wanted processor cores, such as 2 or 500m.',
    ),
    (
        f"{LADDER}/1/memory",
        "2G",
        'spec.evaluation.ladder[1].memory: found "2G", wanted memory in binary units, such as 512Mi or 2Gi.',
    ),
    (
        f"{LADDER}/1/name",
        "x-r1",
        'spec.evaluation.ladder[1].name: found "x-r1", wanted a name that does not end like a repetition (-r1).',
    ),
    ("spec/stopPolicy", "Kill", 'spec.stopPolicy: found "Kill", wanted one of Drain, Cancel.'),
    ("spec/retention", {"keepBest": 0}, "spec.retention.keepBest: found 0, wanted at least 1."),
    ("spec/evaluation/podTemplate", [], "spec.evaluation.podTemplate: found [], wanted a mapping."),
    (
        f"{LADDER}/1/model/heads",
        3,
        "spec.evaluation.ladder[1].model.heads: found 3, wanted a number that divides `width`.",
    ),
    (f"{LADDER}/1/promote/top", 0, "spec.evaluation.ladder[1].promote.top: found 0, wanted more than 0."),
    (f"{LADDER}/1/promote/top", 1.01, "spec.evaluation.ladder[1].promote.top: found 1.01, wanted at most 1."),
    (
        f"{LADDER}/1/promote/top",
        1e308,
        "spec.evaluation.ladder[1].promote.top: found 1e+308, wanted at most 1.",
    ),
    (
        f"{LADDER}/1/resources",
        {"nvidia.com/gpu": -1},
        "spec.evaluation.ladder[1].resources[nvidia.com/gpu]: found -1, wanted at least 0.",
    ),
    (
        f"{LADDER}/1/resources",
        {f"a.b/{i}": 1 for i in range(9)},
        "spec.evaluation.ladder[1].resources: found 9 entries, wanted at most 8 entries.",
    ),
    (
        f"{LADDER}/1/resources",
        {f"{'x' * 250}/gpu": 1},
        f'spec.evaluation.ladder[1].resources: found {{"{"x" * 57}…, wanted keys of at most 253 characters.',
    ),
    *(
        (
            f"{LADDER}/1/resources",
            {name: 1},
            f'spec.evaluation.ladder[1].resources: found {{"{name}": 1}}, wanted extended resources alone, such as'
            " nvidia.com/gpu; say cores and memory in the rung's `cpu` and `memory`.",
        )
        for name in (
            "cpu",
            "memory",
            "gpu",
            "hugepages-2Mi",
            "kubernetes.io/cpu",
            "x.kubernetes.io/y",
            "a.b/",
            "/c",
        )
    ),
    (
        "spec/stop/deadline",
        "2026-02-30T00:00:00Z",
        'spec.stop.deadline: found "2026-02-30T00:00:00Z", wanted a day that exists.',
    ),
    (
        "spec/stop/deadline",
        "tomorrow",
        'spec.stop.deadline: found "tomorrow", wanted a moment in UTC, such as 2026-01-31T18:00:00Z.',
    ),
    (
        "spec/stop/targetFitness",
        "NaN",
        'spec.stop.targetFitness: found "NaN", wanted a decimal number in quotes, such as "0.75".',
    ),
    ("metadata/name", "q" * 41, "metadata.name: found 41 characters, wanted at most 40 characters."),
    ("metadata/name", "../q", f'metadata.name: found "../q", wanted {NAMES}.'),
    (
        "metadata/labels",
        {"a": 1},
        "metadata.labels.a: found 1, wanted letters, digits, '-', '_' and '.', with a letter or a digit at both ends;"
        ' write "1", in quotes.',
    ),
    ("spec", None, "spec: found null, wanted a mapping."),
    ("spec", "x", 'spec: found "x", wanted a mapping.'),
)

GOOD_CANDIDATES: tuple[tuple[str, Any], ...] = (
    ("spec/parents", GONE),
    ("spec", {"searchName": "q", "origin": "User", "idea": "Gate the values."}),
    ("spec", {"searchName": "q", "origin": "User", "source": {"file": "mine.py"}}),
    ("spec", {"searchName": "q", "origin": "User", "source": {"configMap": "mine", "key": "mixer.py"}}),
    ("spec", {"searchName": "q", "origin": "Baseline", "baseline": "delta-net"}),
    ("spec", {"searchName": "q", "origin": "Baseline", "baseline": "mine", "source": {"file": "mine.py"}}),
)

BAD_CANDIDATES: tuple[tuple[str, Any, str], ...] = (
    (
        "spec/parents",
        ["q-0000", "q-0001"],
        'spec.parents: found ["q-0000", "q-0001"], wanted other candidates than itself.',
    ),
    ("spec/parents", ["a", "b", "c", "d", "e"], "spec.parents: found 5 entries, wanted at most 4 entries."),
    ("spec/parents", [7], f'spec.parents[0]: found 7, wanted {NAMES}; write "7", in quotes.'),
    ("spec/origin", "Baseline", "spec.baseline: found nothing, wanted a baseline for the origin Baseline."),
    (
        "spec/origin",
        "user",
        'spec.origin: found "user", wanted one of Baseline, Proposed, User; did you mean User?',
    ),
    (
        "spec/baseline",
        "mine",
        f'spec.baseline: found "mine", wanted a mixer that asiarch ships ({SHIPPED}) or a source.',
    ),
    (
        "spec",
        {"searchName": "q", "origin": "User", "idea": "x", "source": {"file": "m.py"}},
        'spec.idea: found "x", wanted no idea beside a source: the file is finished.',
    ),
    (
        "spec",
        {"searchName": "q", "origin": "User", "source": {"key": "m.py"}},
        'spec.source: found {"key": "m.py"}, wanted either `file` or `configMap`.',
    ),
    ("spec/origin", "User", 'spec.origin: found "User", wanted an idea, or a source: a finished file.'),
    ("spec/searchName", "q" * 41, "spec.searchName: found 41 characters, wanted at most 40 characters."),
    ("spec/searchName", GONE, f"spec.searchName: found nothing, wanted {NAMES}."),
    ("metadata/name", "Q", f'metadata.name: found "Q", wanted {NAMES}.'),
)
