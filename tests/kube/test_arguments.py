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
