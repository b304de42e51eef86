"""What cannot be started fails the test of the topology, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.compose.topology import NotStarted, Topology

WELL, UNWELL = {"test": ["CMD", "true"]}, {"test": ["CMD", "false"]}
NEEDS_ANOTHER = {"other": {"condition": "service_healthy", "required": True}}

HOPELESS: dict[str, tuple[dict[str, Any], str]] = {
    "foreign image": ({"image": "nginx:1", "command": ["nginx"], "healthcheck": WELL}, "no program here for the image"),
    "no such program": ({"image": "gas:1", "command": ["no-such-program"], "healthcheck": WELL}, "no-such-program"),
    "ends": ({"image": "gas:1", "command": ["sh", "-c", "echo why; exit 3"], "healthcheck": UNWELL}, "with 3:\nwhy"),
    "one-shot fails": ({"image": "gas:1", "command": ["false"], "restart": "no"}, "one-1 ended with 1"),
    "no health check": ({"image": "gas:1", "command": ["sleep", "60"]}, "one has no health check"),
    "needs what is not there": (
        {"image": "gas:1", "command": ["sleep", "60"], "healthcheck": WELL, "depends_on": NEEDS_ANOTHER},
        "depends on other, which is not there",
    ),
}


@pytest.mark.parametrize(("spec", "why"), HOPELESS.values(), ids=HOPELESS)
def test_service_that_cannot_be_started_fails(tmp_path: Path, spec: dict[str, Any], why: str) -> None:
    """Whatever keeps a service from running is an error that names it."""
    topology = Topology({"one": spec}, tmp_path)
    try:
        with pytest.raises(NotStarted, match=why):
            topology.up()
    finally:
        topology.down()


def test_services_start_in_their_order(tmp_path: Path) -> None:
    """One that needs another's success begins after it, and a setting that names a service leads to its address."""
    made = "made"
    services = {
        "first": {"image": "gas:1", "command": ["touch", f"/volume/{made}"], "restart": "no", "volumes": _volume()},
        "second": {
            "image": "gas:1",
            "command": ["sh", "-c", f"ls /volume/{made} && echo http://second:80 && exec sleep 60"],
            "healthcheck": {"test": ["CMD", "test", "-e", f"/volume/{made}"]},
            "depends_on": {"first": {"condition": "service_completed_successfully", "required": True}},
            "volumes": _volume(),
        },
    }
    topology = Topology(services, tmp_path)
    try:
        topology.up()
        (second,) = topology.of("second")
        assert f"http://{second.address}:80" in second.said()
    finally:
        topology.down()
    assert second.members() == []


def _volume() -> list[dict[str, str]]:
    return [{"type": "volume", "source": "kept", "target": "/volume"}]
