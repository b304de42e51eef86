"""``gas iam`` prints policies that IAM takes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from gas.cli import build_app
from gas.errors import SettingsError
from gas.iam import Role

ENVIRONMENT = {"GAS_AWS_ACCOUNT": "123456789012", "GAS_PREFIX": "lab", "GAS_MAIL_FROM": "GAS <gas@lab.example>"}
#: What IAM takes of a role's managed policy, without white space,
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LARGEST_POLICY = 6144


def printed(*arguments: str, **environment: str) -> dict[str, object]:
    answer = CliRunner().invoke(build_app(), ["iam", *arguments], env={**ENVIRONMENT, **environment})
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


@pytest.mark.parametrize("role", list(Role))
def test_policy_names_this_installation_alone(role: Role) -> None:
    """Each policy fits IAM's limit, and names things of this installation, never everything."""
    document = printed(role.value, "--vault")
    assert len(json.dumps(document, separators=(",", ":"))) <= LARGEST_POLICY
    for statement in document["Statement"]:
        assert all("*" not in action for action in statement["Action"])
        whole = ("Sender", "Senders", "Subscriptions")  # what AWS lets nobody narrow by a name of GAS's
        resources = [] if statement["Sid"] in whole else statement["Resource"]
        assert all(":lab-" in name or "/lab-" in name for name in resources)


def test_mail_is_sent_as_the_sender_alone() -> None:
    """Mail may be sent from GAS_MAIL_FROM, and by nobody where it is not set."""
    (statement,) = (s for s in printed("worker")["Statement"] if s["Sid"] == "Sender")
    assert statement["Condition"] == {"StringEquals": {"ses:FromAddress": "gas@lab.example"}}
    assert "Sender" not in {s["Sid"] for s in printed("worker", GAS_MAIL_FROM="")["Statement"]}


def test_vault_is_named_where_it_is_used() -> None:
    """Without a vault no policy speaks of one."""
    assert "Vault" not in {s["Sid"] for s in printed("worker")["Statement"]}
    assert "Vault" in {s["Sid"] for s in printed("worker", GAS_ARCHIVE="vault")["Statement"]}


def test_account_must_be_known() -> None:
    """Without GAS_AWS_ACCOUNT the command says so instead of printing a policy for nobody."""
    answer = CliRunner().invoke(build_app(), ["iam", "web"], env={"GAS_AWS_ACCOUNT": ""})
    assert isinstance(answer.exception, SettingsError)
    assert "GAS_AWS_ACCOUNT" in str(answer.exception)
