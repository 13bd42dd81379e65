"""What a nursery is asked to run and what comes of it, and how both cross a pipe: one JSON object per line."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Jail = Literal["trusted", "hostile"]


@dataclass(frozen=True)
class Job:
    """One child process to run: `module.main()`, in a jail, until it ends or its `seconds` are over.

    `read` and `write` are the paths that a hostile job sees beside the Python installation. Connecting to a unix
    socket needs only `read`. A warm process that runs as root runs a hostile job as uid 65534: what is in `read` must
    be readable by others, and a socket writable by others. `memory` is in bytes beyond what the process had when it
    was forked; `processes` counts threads too.
    """

    key: str
    module: str
    env: Mapping[str, str]
    cwd: Path
    log: Path
    jail: Jail
    seconds: float
    memory: int
    processes: int
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Exit:
    """How a job ended: by `code`, or by `signal`; `isolation` names what it really had.

    A job that is the first process of a PID namespace is deaf to SIGABRT: its abort shows as SIGSEGV.
    """

    key: str
    code: int | None
    signal: int | None
    timed_out: bool
    isolation: tuple[str, ...]


def start_line(job: Job) -> bytes:
    """The request that starts `job`."""
    return line({"request": "start", **dataclasses.asdict(job)})


def parse_job(request: Mapping[str, Any]) -> Job:
    """The job of a start request; the inverse of `start_line`."""
    fields = {field.name: request[field.name] for field in dataclasses.fields(Job)}
    paths = {name: Path(fields[name]) for name in ("cwd", "log")}
    many = {name: tuple(Path(path) for path in fields[name]) for name in ("read", "write")}
    return Job(**(fields | paths | many))


def parse_exit(event: Mapping[str, Any]) -> Exit:
    """The exit of an ended event."""
    fields = {field.name: event[field.name] for field in dataclasses.fields(Exit)}
    return Exit(**(fields | {"isolation": tuple(event["isolation"])}))


def line(message: Mapping[str, Any]) -> bytes:
    """One message as one line."""
    return json.dumps(message, default=str, separators=(",", ":")).encode() + b"\n"
