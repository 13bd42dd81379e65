"""The command line: run a search, look at it, explain it, repeat it."""

import asyncio
import os
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from asiarch.api.fault import Fault, ManifestError, suggestion
from asiarch.core.observation import Observation
from asiarch.local.store import AlreadyRunningError, Store, write_whole

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Autonomous discovery of neural-network architectures.",
)
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

Runs = Annotated[Path, typer.Option("--dir", help="Where searches keep their directories.")]
Search = Annotated[
    str, typer.Option("--search", help="Name of a search in --dir; needless when there is only one.")
]
RUNS = Path("runs")


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and one clear message."""
    try:
        app()
    except (ManifestError, AlreadyRunningError) as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_USAGE)


@app.command()
def run(
    manifest: Annotated[Path, typer.Argument(help="An ArchitectureSearch.")],
    directory: Runs = RUNS,
    candidate: Annotated[
        list[Path], typer.Option(help="A Candidate of your own that joins the search.")
    ] = [],  # noqa: B006
) -> None:
    """Run a search here, or go on with one that was interrupted."""
    from asiarch.local import intake
    from asiarch.local import run as local
    from asiarch.local.runner import Modules
    from asiarch.pages import live

    try:
        store = intake.take(directory, manifest, tuple(candidate))
    except OSError as error:
        fault = Fault(
            "--dir", error.strerror or "an error", "a directory to write to", subject=str(error.filename)
        )
        raise ManifestError([fault]) from None
    view = live.view(Console())
    try:
        search = asyncio.run(local.run(store, Modules(), view, time.time))
    finally:
        view.close()
        store.close()
    if search.status.phase == "Running":
        print(f"Interrupted; nothing is lost. Go on with: asiarch run {manifest} --dir {directory}")
        raise typer.Exit(EXIT_INTERRUPTED)
    _conclude(store, search.name, directory)
    if search.status.phase == "Failed":
        print(f"The search failed: {search.status.message}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED)


def _conclude(store: Store, name: str, directory: Path) -> None:
    """Print the ranked table and write the report."""
    from asiarch.local import look
    from asiarch.pages import tables

    seen = look.observe(store)
    console = Console()
    console.print(tables.status(seen, time.time()))
    page = _write_report(store, seen)
    best = seen.search.status.best
    shown = f"{name}-0000" if best is None else best.candidate
    console.print(f"\nReport: {page}\nLook closer: asiarch show {shown} --dir {directory}", soft_wrap=True)


@app.command()
def status(search: Search = "", directory: Runs = RUNS) -> None:
    """Show how a search stands."""
    from asiarch.local import look
    from asiarch.pages import tables

    Console().print(tables.status(look.observe(_store(directory, search)), time.time()))


@app.command()
def lineage(search: Search = "", directory: Runs = RUNS) -> None:
    """Show who descends from whom."""
    from asiarch.local import look
    from asiarch.pages import tree

    Console().print(tree.terminal(look.observe(_store(directory, search))))


@app.command()
def show(
    candidate: Annotated[str, typer.Argument(help="Name of a candidate.")],
    search: Search = "",
    directory: Runs = RUNS,
) -> None:
    """Show a candidate: idea, measurements, analysis, difference to its parent, code."""
    from asiarch.local import look
    from asiarch.pages import tables

    store = _store(directory, search)
    seen = look.observe(store)
    _known(candidate, seen.candidates)
    Console().print(tables.candidate(seen, candidate, look.texts(store, seen)))


@app.command()
def report(search: Search = "", directory: Runs = RUNS) -> None:
    """Write the report as HTML and Markdown."""
    from asiarch.local import look

    store = _store(directory, search)
    print(_write_report(store, look.observe(store)))


def _write_report(store: Store, seen: Observation) -> Path:
    """Write report.html and report.md with its pictures into the search's directory; returns the page's path."""
    from asiarch.local import look
    from asiarch.pages.report import render

    made = render(seen, look.texts(store, seen), look.machine())
    pages = {"report.html": made.html, "report.md": made.markdown, **made.pictures}
    for name, page in pages.items():
        write_whole(store.directory / name, page)
    return Path(os.path.relpath(store.directory / "report.html"))


@app.command()
def rerun(
    candidate: Annotated[str, typer.Argument(help="Name of a measured candidate.")],
    search: Search = "",
    directory: Runs = RUNS,
) -> None:
    """Measure a candidate again with the same seeds; exits with 1 when a number differs."""
    from asiarch.local import look, repeat
    from asiarch.local.runner import Modules

    store = _store(directory, search)
    seen = look.observe(store)
    measured = {c.name for c in seen.candidates.values() if c.status.rungs}
    _known(candidate, measured, "a candidate that was measured")
    same = True
    for line in asyncio.run(repeat.repeat(store, seen, candidate, Modules())):
        print(line)
        same = same and line.equal
    raise typer.Exit(0 if same else EXIT_FAILED)


@app.command()
def crds() -> None:
    """Print the custom resource definitions."""
    from asiarch.api import crd

    print("---\n".join(crd.render().values()), end="")


@app.command()
def validate(manifests: Annotated[list[Path], typer.Argument(help="Manifests.")]) -> None:
    """Check manifests as the API server would, and that what they name is here."""
    from asiarch.local import intake

    faults: list[Fault] = []
    for manifest in manifests:
        try:
            found = intake.read(manifest, anywhere=True)
        except ManifestError as error:
            faults += error.faults
        else:
            print(f'{manifest}: {found.kind} "{found.name}" is valid')
    if faults:
        raise ManifestError(faults)


@app.command(
    add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def operate(context: typer.Context) -> None:
    """Serve searches in a cluster."""
    from asiarch.kube import arguments
    from asiarch.kube import operate as kube

    kube.main(arguments.settings(context.args))


@app.command()
def gateway(
    port: Annotated[int, typer.Option(help="Where agents are served.", min=1, max=65_535)] = 8081,
    metrics_port: Annotated[int, typer.Option(help="Where /metrics is served.", min=1, max=65_535)] = 8082,
    agent_service_account: Annotated[
        str, typer.Option(help="The account of agents' pods; no other is served.")
    ] = "asiarch-agent",
    kubeconfig: Annotated[str | None, typer.Option(help="Instead of the pod's own account.")] = None,
) -> None:
    """Hand out agents' contexts and take their results, in a cluster."""
    from asiarch.kube import gateway as kube

    settings = kube.Settings(
        port, metrics_port, kubeconfig=kubeconfig, agent_service_account=agent_service_account
    )
    asyncio.run(kube.serve(settings))


def _store(directory: Path, search: str) -> Store:
    """Find the directory of a search; raises ManifestError when it isn't clear which is meant."""
    found = sorted(path.parent.name for path in directory.glob("*/search.yaml"))
    if search in found or (not search and len(found) == 1):
        return Store(directory / (search or found[0]))
    wanted = f"one of {', '.join(found)}" if found else "a search; start one with asiarch run"
    raise ManifestError([Fault("--search", search or "nothing", wanted, subject=str(directory))])


def _known(candidate: str, known: Collection[str], wanted: str = "a candidate of this search") -> None:
    """Refuse a name that no candidate has; raises ManifestError."""
    if candidate not in known:
        step = suggestion(candidate, known) or "asiarch lineage lists them"
        raise ManifestError([Fault("CANDIDATE", candidate, wanted, step)])


if __name__ == "__main__":
    main()
