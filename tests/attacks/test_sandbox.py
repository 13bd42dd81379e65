"""What machine-written code tries in the hostile jail: each deed runs for real, and each succeeds without the jail."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.jail import CALLERS, MEBIBYTE, SAMPLES, Ended, a_job, a_place, jailed, unjailed
from tests.attacks.samples.deeds import DENIED, DONE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no jail but Linux's")
GIBIBYTE = 1024 * MEBIBYTE
FILES = {"read-only-root", "landlock"}
CANARY, CANARY_PATTERN = "canary-4f1d0c9a77", "[c]anary-4f1d0c9a77"


@pytest.fixture
def place() -> Iterator[Path]:
    with a_place() as directory:
        yield directory


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def needs(ended: Ended, layers: set[str]) -> None:
    if not layers & set(ended.exit.isolation):
        pytest.skip(f"this kernel grants none of {sorted(layers)}; had: {', '.join(ended.exit.isolation)}")


def assert_denied(ended: Ended, layers: set[str]) -> None:
    needs(ended, layers)
    assert ended.exit.code == DENIED, ended


def a_listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_an_honest_job_sees_what_it_was_given(place: Path, caller: str) -> None:
    given = place / "candidate.py"
    given.write_text("idea = 1")
    [ended] = jailed(caller, a_job(place, "read_file", str(given), read=(given,)))
    assert ended.exit.code == DONE, ended
    assert "idea = 1" in ended.log


def test_an_honest_job_imports_and_uses_its_scratch_directory(place: Path, caller: str) -> None:
    [ended] = jailed(caller, a_job(place, "fill_scratch", str(8 * MEBIBYTE)))
    needs(ended, {"read-only-root"})
    assert ended.exit.code == DONE, ended


def test_an_honest_job_computes_with_the_building_blocks(place: Path, caller: str) -> None:
    [ended] = jailed(caller, a_job(place, "use_blocks", memory=GIBIBYTE), preload=("torch",))
    assert ended.exit.code == DONE, ended


def test_an_honest_job_reaches_the_unix_socket_it_was_given(place: Path, caller: str) -> None:
    wires = place / "wires"
    wires.mkdir()
    wires.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as referee:
        referee.bind(str(wires / "wire"))
        (wires / "wire").chmod(0o777)
        referee.listen()
        [ended] = jailed(caller, a_job(place, "connect_without_python", str(wires / "wire"), read=(wires,)))
    assert ended.exit.code == DONE, ended


def test_an_honest_job_writes_where_it_may(place: Path, caller: str) -> None:
    mine = place / "mine"
    mine.mkdir()
    mine.chmod(0o777)
    [ended] = jailed(caller, a_job(place, "write_file", str(mine / "note"), write=(mine,)))
    assert ended.exit.code == DONE, ended
    assert (mine / "note").read_text() == "was here"


@pytest.mark.parametrize(
    "name", ["home/.ssh/id_ed25519", "runs/s/orders/o/result.json", "referee/labels.npy"]
)
def test_a_file_that_was_not_given_can_not_be_read(place: Path, caller: str, name: str) -> None:
    secret = place / name
    secret.parent.mkdir(parents=True)
    secret.write_text("secret")
    [ended] = jailed(caller, a_job(place, "read_file", str(secret)))
    assert_denied(ended, FILES)
    assert unjailed(place, "read_file", str(secret)) == DONE


def test_a_result_can_not_be_forged(place: Path, caller: str) -> None:
    result = place / "result.json"
    result.write_text("{}")
    result.chmod(0o666)
    [ended] = jailed(caller, a_job(place, "write_file", str(result)))
    assert_denied(ended, FILES)
    assert result.read_text() == "{}"
    assert unjailed(place, "write_file", str(result)) == DONE


def test_what_was_given_to_read_can_not_be_written(place: Path, caller: str) -> None:
    given = place / "candidate.py"
    given.write_text("idea = 1")
    given.chmod(0o666)
    [ended] = jailed(caller, a_job(place, "write_file", str(given), read=(given,)))
    assert_denied(ended, FILES)


def test_python_itself_can_not_be_changed(place: Path, caller: str) -> None:
    [ended] = jailed(caller, a_job(place, "write_into_python"))
    assert_denied(ended, FILES)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may change Python's own files")
def test_without_the_jail_python_can_be_changed(place: Path) -> None:
    assert unjailed(place, "write_into_python") == DONE


def test_no_server_on_this_machine_can_be_reached(place: Path, caller: str) -> None:
    with a_listener() as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        [ended] = jailed(caller, a_job(place, "connect", address))
        assert_denied(ended, {"network-namespace", "landlock-tcp", "seccomp"})
        assert unjailed(place, "connect", address) == DONE


@pytest.mark.parametrize("deed", ["send_datagram", "open_netlink"])
def test_no_other_protocol_gets_out(place: Path, caller: str, deed: str) -> None:
    [ended] = jailed(caller, a_job(place, deed, "127.0.0.1:9"))
    assert_denied(ended, {"network-namespace", "seccomp"})
    assert unjailed(place, deed, "127.0.0.1:9") == DONE


@pytest.mark.parametrize("deed", ["find_in_environment", "find_in_own_memory"])
def test_the_controller_s_environment_is_nowhere(
    place: Path, caller: str, deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASIARCH_SECRET", CANARY)
    with subprocess.Popen(["/bin/sleep", "30"]) as neighbour:
        [ended] = jailed(caller, a_job(place, deed, CANARY_PATTERN))
        neighbour.kill()
    assert ended.exit.code == DENIED, ended
    assert unjailed(place, deed, CANARY_PATTERN, ASIARCH_SECRET=CANARY) == DONE


def test_another_process_s_memory_can_not_be_read(place: Path, caller: str) -> None:
    with subprocess.Popen(["/bin/sleep", "30"]) as neighbour:
        [ended] = jailed(caller, a_job(place, "read_memory_of", str(neighbour.pid)))
        assert_denied(ended, {"private-proc", "landlock"})
        assert unjailed(place, "read_memory_of", str(neighbour.pid)) == DONE
        neighbour.kill()


def test_another_process_can_not_be_signalled(place: Path, caller: str) -> None:
    with subprocess.Popen(["/bin/sleep", "30"]) as neighbour:
        [ended] = jailed(caller, a_job(place, "signal_process", str(neighbour.pid)))
        assert_denied(ended, {"pid-namespace", "landlock"})
        assert unjailed(place, "signal_process", str(neighbour.pid)) == DONE
        neighbour.kill()


@pytest.mark.parametrize("deed", ["become_root", "make_namespace", "trace", "mount", "outlive_the_guard"])
def test_no_privilege_is_left_to_use(place: Path, caller: str, deed: str) -> None:
    [ended] = jailed(caller, a_job(place, deed))
    assert_denied(ended, {"unprivileged-user"} if deed == "become_root" else {"seccomp"})


@pytest.mark.parametrize("deed", ["make_namespace", "trace", "outlive_the_guard"])
def test_without_the_jail_any_process_may_do_so(place: Path, deed: str) -> None:
    assert unjailed(place, deed) == DONE


def test_a_job_inherits_no_open_file(place: Path, caller: str) -> None:
    [ended] = jailed(caller, a_job(place, "list_own_files"))
    assert ended.exit.code == DENIED, ended


@pytest.mark.parametrize("jail", ["trusted", "hostile"])
def test_a_job_has_only_the_environment_it_was_given(place: Path, caller: str, jail: str) -> None:
    [ended] = jailed(caller, a_job(place, "show_surroundings", jail=jail))
    assert ended.log.startswith("{'DEED': 'show_surroundings', 'TARGET': ''}"), ended


@pytest.mark.parametrize("deed", ["allocate", "map_private", "map_shared"])
def test_ten_gigabytes_are_refused(place: Path, caller: str, deed: str) -> None:
    [ended] = jailed(caller, a_job(place, deed, str(10 * GIBIBYTE)))
    assert_denied(ended, {"memory-limit"})


def test_without_a_limit_ten_gigabytes_are_mapped(place: Path) -> None:
    assert unjailed(place, "map_private", str(10 * GIBIBYTE)) == DONE


def test_no_memory_hides_in_a_nameless_file(place: Path, caller: str) -> None:
    [ended] = jailed(caller, a_job(place, "fill_memory_file", str(GIBIBYTE)))
    assert_denied(ended, {"seccomp"})
    assert unjailed(place, "fill_memory_file", str(64 * MEBIBYTE)) == DONE


def test_many_processes_together_get_no_more_memory_than_one(place: Path, caller: str) -> None:
    job = a_job(place, "allocate_together", str(48 * MEBIBYTE), memory=64 * MEBIBYTE)
    [ended] = jailed(caller, job)
    needs(ended, {"memory-limit"})
    assert ended.exit.signal == signal.SIGKILL
    assert not ended.exit.timed_out
    assert "held more memory together" in ended.log


def test_the_scratch_directory_is_small(place: Path, caller: str) -> None:
    [ended] = jailed(caller, a_job(place, "fill_scratch", str(GIBIBYTE)))
    assert ended.exit.code == DENIED, ended


def test_a_fork_bomb_stops_at_its_limit_and_harms_no_neighbour(place: Path, caller: str) -> None:
    neighbour = a_job(place, "sleep", "1", key="neighbour", log=place / "neighbour.log")
    bomb, beside = jailed(caller, a_job(place, "fork_bomb"), neighbour)
    assert_denied(bomb, {"process-limit"})
    assert beside.exit.code == DONE


def test_a_thread_bomb_stops_at_its_limit(place: Path, caller: str) -> None:
    [ended] = jailed(caller, a_job(place, "thread_bomb"))
    assert_denied(ended, {"process-limit"})


@pytest.mark.parametrize("deed", ["fork_bomb", "thread_bomb"])
def test_without_a_limit_a_bomb_goes_off(place: Path, deed: str) -> None:
    ended = subprocess.run(
        ["/usr/bin/env", "-i", f"DEED={deed}", sys.executable, "-I", str(SAMPLES / "deeds.py")],
        cwd=place, check=False, stdout=subprocess.DEVNULL, start_new_session=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == DONE


def test_leaving_at_once_is_only_an_exit(place: Path, caller: str) -> None:
    [ended] = jailed(caller, a_job(place, "leave_at_once"))
    assert (ended.exit.code, ended.exit.timed_out) == (0, False)


@pytest.mark.slow
def test_a_tensor_of_ten_gigabytes_is_refused(place: Path) -> None:
    pytest.importorskip("torch")
    [ended] = jailed(CALLERS[0], a_job(place, "allocate_tensor", str(10 * GIBIBYTE)), preload=("torch",))
    assert_denied(ended, {"memory-limit"})


@pytest.mark.slow
def test_the_jail_costs_torch_no_vector_instructions(place: Path, caller: str) -> None:
    pytest.importorskip("torch")
    free = a_job(place, "name_vector_instructions", key="free", log=place / "free.log", jail="trusted")
    in_jail, outside = jailed(caller, a_job(place, "name_vector_instructions"), free, preload=("torch",))
    assert in_jail.log == outside.log
    assert in_jail.exit.code == DONE, in_jail
