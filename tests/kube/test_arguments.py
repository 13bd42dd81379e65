"""The operator's command line: what is wrong ends it at once, and is said."""

import pytest

from asiarch.kube.arguments import settings

NEEDED = ("--gateway-url", "http://gateway", "--agent-image", "agent", "--trainer-image", "trainer")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of words that end the process with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        settings([*NEEDED, *words])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("address", ["", "192.0.2.7", "2001:db8::7"])
def test_the_gateways_address_is_an_ip_address_or_none(address: str) -> None:
    assert settings([*NEEDED, f"--gateway-address={address}"]).deployment.gateway_address == address


@pytest.mark.parametrize("address", ["gateway", "192.0.2", "192.0.2.7:8081", "None"])
def test_what_is_no_address_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, f"--gateway-address={address}")
    assert f"argument --gateway-address: found '{address}', wanted an IP address" in said


def test_a_variable_that_was_not_filled_in_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "--gateway-address=$(ASIARCH_GATEWAY_SERVICE_HOST)")
    assert "$(ASIARCH_GATEWAY_SERVICE_HOST) was not filled in: the gateway's Service wasn't there" in said


BOUNDS = {
    "--port": ("a port of 1 to 65535", ("1", "65535"), ("0", "99999", "-1", "http", "8080.0", "")),
    "--resync": ("a number of 1 to 86400", ("1", "1.5"), ("0", "-3", "nan", "inf", "5m", "1e9")),
    "--writes": ("a number of 0.1 to 10000", ("0.1", "10000"), ("0", "-1", "nan", "inf", "many")),
    "--patience": ("a number of 0.01 to 1000", ("0.02", "1000"), ("0", "-1", "nan", "inf", "1e300")),
}
"""What each number has to be, with some that are and some that aren't."""


@pytest.mark.parametrize(("flag", "value"), [(f, v) for f, (_, good, _) in BOUNDS.items() for v in good])
def test_a_number_within_its_bounds_is_taken(flag: str, value: str) -> None:
    found = settings([*NEEDED, f"{flag}={value}"])
    taken = found.deployment.patience if flag == "--patience" else getattr(found, flag.removeprefix("--"))
    assert taken == float(value)


@pytest.mark.parametrize(("flag", "value"), [(f, v) for f, (_, _, bad) in BOUNDS.items() for v in bad])
def test_a_number_beyond_its_bounds_is_refused(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"argument {flag}: found '{value}', wanted {BOUNDS[flag][0]}" in refused(capsys, f"{flag}={value}")
