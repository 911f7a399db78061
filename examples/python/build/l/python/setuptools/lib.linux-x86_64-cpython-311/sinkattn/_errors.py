"""The exception that carries the library's sentence.

SPDX-License-Identifier: MIT
"""

from typing import Any

from ._enums import Status
from ._native import ffi, lib


class Error(Exception):
    """A refused call. Nothing has changed; the message is the library's sentence about what was wrong."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = Status(status)


def text(c_string: Any) -> str:
    """A constant string of the library."""
    return str(ffi.string(c_string).decode())


def refuse(sentence: str) -> Error:
    """What this package itself sees is wrong with an argument, before the library is called."""
    return Error(Status.ARGUMENT, sentence)


def check(status: int, sentence: Any = None) -> None:
    """Raises unless the status is success; `sentence` is a C string that says more than the status."""
    if status:
        raise Error(status, (sentence and text(sentence)) or text(lib.sa_status_string(status)))
