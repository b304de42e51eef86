"""Mail through Amazon SES: plain text, and the same as simple HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from gas.aws import Aws
from gas.dynamodb import code
from gas.errors import Unavailable
from gas.settings import Settings

SUBJECT_CHARACTERS = 200

#: One plain address: what could be read as several, or as a header of its own, is none.
_ADDRESS = re.compile(r"[^\s@,;:<>()\"\\]+@[^\s@,;:<>()\"\\]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is sent."""

    subject: str
    text: str
    html: str


class Mail:
    """Sends as ``GAS_MAIL_FROM``."""

    def __init__(self, aws: Aws, settings: Settings) -> None:
        self._aws = aws
        self._sender = settings.mail_from

    @property
    def sends(self) -> bool:
        """Whether this installation sends mail."""
        return bool(self._sender)

    def reaches(self, address: str) -> bool:
        """Whether a letter could be sent there."""
        return self.sends and _ADDRESS.fullmatch(address) is not None

    def send(self, letter: Letter, *, to: str) -> None:
        """Hand the letter to SES.

        :raises ValueError: when ``to`` is not one plain address.
        :raises Unavailable: when SES does not take it.
        """
        if not self.reaches(to):
            raise ValueError(f"{to!r} is not an address that mail can be sent to")
        try:
            self._aws.ses.send_email(
                Source=self._sender,
                Destination={"ToAddresses": [to]},
                Message={
                    "Subject": {"Data": one_line(letter.subject), "Charset": "UTF-8"},
                    "Body": {
                        "Text": {"Data": letter.text, "Charset": "UTF-8"},
                        "Html": {"Data": letter.html, "Charset": "UTF-8"},
                    },
                },
            )
        except ClientError as error:
            raise Unavailable(f"the mail service did not take the mail ({code(error)})") from error
        except BotoCoreError as error:
            raise Unavailable("the mail service does not answer") from error


def one_line(text: str) -> str:
    """The text fit for a header: without line breaks and control characters, and not too long."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(plain.split())[:SUBJECT_CHARACTERS]
