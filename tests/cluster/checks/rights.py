"""I8: a user uses exactly the rights that its roles grant."""

from collections.abc import Iterable, Iterator

from tests.cluster.checks.evidence import Object, deep

EVERYBODYS = frozenset(
    {
        ("authorization.k8s.io", "selfsubjectaccessreviews", "create"),
        ("authorization.k8s.io", "selfsubjectrulesreviews", "create"),
        ("authentication.k8s.io", "selfsubjectreviews", "create"),
    }
)
"""What system:basic-user grants to every authenticated user."""
FORBIDDEN = frozenset(
    {
        ("", "secrets", "list"),
        ("", "secrets", "watch"),
        ("", "pods/exec", "create"),
        ("", "pods/exec", "get"),
        ("", "pods/attach", "create"),
        ("", "pods/ephemeralcontainers", "update"),
    }
)
Right = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""


def granted(rules: Iterable[Object]) -> Iterator[Right]:
    """Every right in the rules of roles, as `rules:` of a manifest has them."""
    for rule in rules:
        for group in rule.get("apiGroups", ()):
            for resource in rule.get("resources", ()):
                yield from ((group, resource, verb) for verb in rule["verbs"])


def used(audit: Iterable[Object], user: str) -> dict[Right, Object]:
    """Every right that a user exercised or tried, with one line of the audit log as proof; discovery is free to all."""
    found: dict[Right, Object] = {}
    for line in audit:
        target = line.get("objectRef", {})
        if deep(line, "user.username", "") != user or not target.get("resource"):
            continue
        subresource = f"/{target['subresource']}" if target.get("subresource") else ""
        right = (target.get("apiGroup", ""), target["resource"] + subresource, line["verb"])
        if right not in EVERYBODYS:
            found.setdefault(right, line)
    return found


def beyond_the_role(rules: Iterable[Object], audit: Iterable[Object], user: str) -> list[str]:
    """I8: what a user did or tried without a rule for it, or by a rule that grants too much."""
    rules = tuple(rules)
    rights = set(granted(rules))
    wide = [f"I8 a rule grants {_said(right)}: no wildcards" for right in sorted(rights) if "*" in right]
    wide += [f"I8 a rule grants {_said(right)}, which we never need" for right in sorted(rights & FORBIDDEN)]
    excess = [
        f"I8 {user} did {_said(right)} ({line.get('requestURI', '')}, "
        f"answered {deep(line, 'responseStatus.code', '?')}), which no rule grants"
        for right, line in sorted(used(audit, user).items(), key=lambda pair: pair[0])
        if not _covered(right, target_name(line), rules)
    ]
    return wide + excess


def never_used(rules: Iterable[Object], audit: Iterable[Object], user: str) -> list[str]:
    """I8: rights that a user never exercised; ask it of a whole session's audit log."""
    idle = set(granted(rules)) - set(used(audit, user))
    return [f"I8 {user} may {_said(right)}, and never did" for right in sorted(idle)]


def target_name(line: Object) -> str:
    """The object that a line speaks of; empty for a whole collection."""
    return str(deep(line, "objectRef.name", ""))


def _covered(right: Right, name: str, rules: Iterable[Object]) -> bool:
    for rule in rules:
        names = rule.get("resourceNames", ())
        wanted = zip(
            right, (rule.get("apiGroups", ()), rule.get("resources", ()), rule["verbs"]), strict=True
        )
        if all(part in offered or "*" in offered for part, offered in wanted) and (
            not names or name in names
        ):
            return True
    return False


def _said(right: Right) -> str:
    group, resource, verb = right
    return f"{verb} {resource}{f'.{group}' if group else ''}"
