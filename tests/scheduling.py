"""Which tests run in the same process when several do: those of a file, and those of a folder that share servers."""

from __future__ import annotations

from xdist.scheduler.loadfile import LoadFileScheduling

#: Their tests share a stack that takes long to start.
SHARING = ("tests/acceptance/", "tests/chaos/")


class BySharing(LoadFileScheduling):
    """Hands out a file, or a whole folder, to whichever process has nothing left to do."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in SHARING if nodeid.startswith(folder)), super()._split_scope(nodeid))
