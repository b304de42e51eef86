"""Messages from the engine's process to its caller, over a pipe. Both ends are ours, on one machine."""

from __future__ import annotations

import os
import pickle
import select
import struct
import time
from typing import Any

_LENGTH = struct.Struct("<I")


class Channel:
    """The writing end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, message: object) -> None:
        """Send one picklable object."""
        body = pickle.dumps(message)
        view = memoryview(_LENGTH.pack(len(body)) + body)
        while view:
            view = view[os.write(self._descriptor, view) :]


class Receiver:
    """The reading end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = bytearray()

    def receive(self, *, deadline: float) -> Any:
        """The next message; None when the writer is gone.

        :param deadline: on the clock of :func:`time.monotonic`.
        :raises TimeoutError: when it passes.
        """
        while True:
            if len(self._held) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._held)
                end = _LENGTH.size + length
                if len(self._held) >= end:
                    body = bytes(self._held[_LENGTH.size : end])
                    del self._held[:end]
                    return pickle.loads(body)  # noqa: S301 - written by our own child
            poll = select.poll()  # select() cannot take descriptors above 1023
            poll.register(self._descriptor, select.POLLIN)
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            piece = os.read(self._descriptor, 1 << 16)
            if not piece:
                return None
            self._held += piece
