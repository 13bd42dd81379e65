"""Events are few, counted, bounded, and never in the way."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from asiarch.kube.client import EVENTS, SEARCHES, ApiError, Kind, Object
from asiarch.kube.events import Event, Subject
from asiarch.kube.recorder import MOST_WAITING, Recorder
from tests.builders import T0
from tests.kube.memory import Memory
from tests.kube.patience import run

SUBJECT = Subject(SEARCHES, "team", "s", "uid-of-s")


def an_event(reason: str = "SourceNotFound", subject: Subject = SUBJECT, note: str = "Create it.") -> Event:
    return Event(subject, "Warning", reason, "Judge", note)


class Desk:
    """A recorder with its API server and its counts."""

    def __init__(self) -> None:
        self.api = Memory()
        self.fates: Counter[str] = Counter()
        self.recorder = Recorder(self.api, "asiarch-operator-0", lambda fate: self.fates.update([fate]))

    async def tell(self, *moments: float, **event: Any) -> None:
        """Record the same event at these moments, and post each at once."""
        for moment in moments:
            self.recorder.record(an_event(**event), T0 + moment)
            await self.recorder.flush()

    @property
    def posted(self) -> list[Object]:
        return self.api.of(EVENTS)


def test_an_event_is_posted_whole() -> None:
    desk = Desk()
    run(desk.tell(0, note="a\x1bb"))
    posted = desk.posted[0]
    assert posted["metadata"]["namespace"] == "team"
    assert posted["metadata"]["name"].startswith("s.")
    assert posted["eventTime"] == "2025-11-24T16:00:00.000000Z"
    assert posted["regarding"] == {
        "apiVersion": "asiarch.dev/v1alpha1",
        "kind": "ArchitectureSearch",
        "namespace": "team",
        "name": "s",
        "uid": "uid-of-s",
    }
    assert [posted[key] for key in ("type", "reason", "action", "note")] == [
        "Warning",
        "SourceNotFound",
        "Judge",
        "a b",
    ]
    assert posted["reportingController"] == "asiarch.dev/operator"
    assert posted["reportingInstance"] == "asiarch-operator-0"
    assert "series" not in posted
    assert desk.fates == {"posted": 1}


def test_repeats_are_counted_in_one_object() -> None:
    desk = Desk()
    run(desk.tell(*range(10)))
    assert [event["series"]["count"] for event in desk.posted] == [8]
    assert [verb for verb, _, _ in desk.api.calls] == ["create", "patch", "patch", "patch"]


def test_a_slow_repeat_is_counted_at_once() -> None:
    desk = Desk()
    run(desk.tell(0, 100, 200))
    assert desk.posted[0]["series"] == {"count": 3, "lastObservedTime": "2025-11-24T16:03:20.000000Z"}


def test_after_ten_minutes_of_silence_it_is_news_again() -> None:
    desk = Desk()
    run(desk.tell(0, 601))
    assert len(desk.posted) == 2


def test_another_reason_or_object_is_another_event() -> None:
    desk = Desk()
    run(desk.tell(0))
    run(desk.tell(1, reason="Forbidden"))
    run(desk.tell(1, subject=Subject(SEARCHES, "team", "t", "uid-of-t")))
    assert len(desk.posted) == 3


def test_repeats_before_the_first_was_posted_go_with_it() -> None:
    desk = Desk()
    for moment in range(3):
        desk.recorder.record(an_event(), T0 + moment)
    run(desk.recorder.flush())
    assert [verb for verb, _, _ in desk.api.calls] == ["create"]
    assert desk.posted[0]["series"]["count"] == 3


def test_one_object_cannot_flood() -> None:
    desk = Desk()
    for number in range(40):
        run(desk.tell(number, reason=f"Reason{number}"))
    assert desk.fates == {"posted": 25, "limited": 15}
    run(desk.tell(400, reason="Later"))
    assert desk.fates["posted"] == 26


def test_all_objects_together_cannot_flood() -> None:
    desk = Desk()
    for number in range(150):
        run(desk.tell(0, subject=Subject(SEARCHES, "team", f"s{number}", f"uid-{number}")))
    assert desk.fates == {"posted": 100, "limited": 50}


def test_what_nobody_posts_is_dropped_not_kept() -> None:
    desk = Desk()
    for number in range(MOST_WAITING + 50):
        subject = Subject(SEARCHES, "team", f"s{number}", f"uid-{number}")
        desk.recorder.record(an_event(subject=subject), T0 + 2 * number)
    run(desk.recorder.flush())
    assert desk.fates == {"posted": MOST_WAITING, "dropped": 50}


def refusal(status: int) -> Any:
    def refuse(verb: str, _kind: Kind, _name: str) -> None:
        if verb in ("create", "patch"):
            raise ApiError(status, "No", "not now")

    return refuse


@pytest.mark.parametrize("status", [0, 403, 429, 500])
def test_a_failure_is_counted_and_the_next_repeat_posts_it(status: int) -> None:
    desk = Desk()
    desk.api.before = refusal(status)
    run(desk.tell(0))
    assert desk.fates == {"failed": 1}
    desk.api.before = lambda _verb, _kind, _name: None
    run(desk.tell(1))
    assert desk.posted[0]["series"]["count"] == 2


def test_an_event_that_expired_is_created_anew() -> None:
    desk = Desk()
    run(desk.tell(0))
    desk.api.objects.clear()
    run(desk.tell(100))
    assert desk.posted[0]["series"]["count"] == 2


def test_a_create_whose_answer_was_lost_counts_as_posted() -> None:
    desk = Desk()
    run(desk.tell(0))
    desk.recorder._series.clear()
    run(desk.tell(0))
    assert desk.fates == {"posted": 2}
    assert len(desk.posted) == 1


def test_a_slow_server_never_delays_who_records() -> None:
    class Slow(Memory):
        async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
            await asyncio.sleep(100)
            return await super().create(kind, namespace, body)

    async def story() -> tuple[float, int]:
        api, loop = Slow(), asyncio.get_running_loop()
        recorder = Recorder(api, "pod", lambda _fate: None)
        posting = asyncio.create_task(recorder.run())
        begun = loop.time()
        for number in range(3):
            recorder.record(an_event(f"Reason{number}"), T0)
            await asyncio.sleep(0)
        told = loop.time() - begun
        await asyncio.sleep(1000)
        posting.cancel()
        return told, len(api.of(EVENTS))

    assert run(story()) == (0.0, 3)


def test_what_has_ended_is_forgotten() -> None:
    desk = Desk()
    run(desk.tell(0))
    run(desk.tell(8000, subject=Subject(SEARCHES, "team", "t", "uid-of-t")))
    assert list(desk.recorder._objects) == ["uid-of-t"]
    assert [uid for uid, _ in desk.recorder._series] == ["uid-of-t"]
