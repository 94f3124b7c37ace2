"""A stack whose servers may be killed, shared by the tests of a process that heal what they break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.private import PrivateStack, private_stack


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateStack]:
    """The servers; each test adds its boards."""
    with private_stack(tmp_path_factory.mktemp("private")) as found:
        yield found
