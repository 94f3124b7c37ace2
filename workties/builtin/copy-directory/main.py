"""Makes one folder like another. What it remembers is small, however many files there are: the last one it saw."""

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import ClassVar

from target import OWN, Changed, Target
from tree import Descent, Visit, from_memory, to_memory, walk

from workties import StepFailed, Workty

#: Least time between two checkpoints, seconds, and how often longer than what one takes it is at least.
CHECKPOINT, BREATHER = 1.0, 10
#: Least time between two reports of progress, seconds.
TICK = 0.2
#: What progress counts for each file besides its bytes.
PER_FILE = 4096
CHUNK = 1024 * 1024
#: How often a file is copied that changes meanwhile.
TRIES = 3
#: Problems that are kept in the output, and that are logged.
KEPT, LOGGED = 20, 100
#: Errors that every further file would meet, too.
HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class CopyDirectory(Workty):
    """Each working state goes through source or target in the same order, and goes on after the last checkpoint."""

    states = ("scanning", "deleting", "copying", "verifying", "finishing")
    transitions: ClassVar = (
        {"trigger": "start_again", "source": ["deleting", "copying", "verifying"], "dest": "scanning"},
    )

    def checkpoint(self) -> None:
        """What was written is safe on the disk before it is remembered as done."""
        os.sync()
        super().checkpoint()

    def on_resume(self, state: str) -> None:
        if "files" in self.memory:
            after = "/".join(from_memory(self.memory["after"])) or "the beginning"
            self.log(f"goes on {state} after {after}; {self._done()} so far")

    def on_enter_scanning(self) -> None:
        exclude = self.properties["exclude"]
        if not isinstance(exclude, list) or not all(isinstance(pattern, str) for pattern in exclude):
            raise StepFailed(f"Property 'exclude': expected a list of patterns, e.g. ['*.tmp'], got {exclude!r}")
        self._refuse_bad_places()
        self.memory.update(token=secrets.token_hex(8), total=0, weight=0, after=[], partial={})
        self.memory.update(files=0, bytes=0, skipped=0, deleted=0, failed=0, problems=[], problem_count=0)
        with Descent(self._source) as source, Target(self._target, self.memory["token"]) as target:
            for visit in self._visits(source.folder):
                self.memory["total"] += 0 if visit.left else weight(visit)
                self._tell(f"scanned {visit.path}", share=0)
            if self.properties["delete"] and not self.memory["total"]:
                raise StepFailed(f"{self._source} is empty, and everything in {self._target} would be deleted")
            target.claim()
        if self.properties["verify"]:
            self.memory["total"] *= 2
        self._begin_walk()

    def on_enter_deleting(self) -> str | None:
        if not self.properties["delete"]:
            return None
        with Descent(self._source) as source, Target(self._target, self.memory["token"]) as target:
            if not target.is_claimed():
                return "start_again"
            for visit in self._visits(target.folder):
                if visit.left:
                    source.leave()
                else:
                    self._delete_if_superfluous(visit, source)
                self._tell(f"{self.memory['deleted']} deleted", share=0)
        return self._begin_walk()

    def on_enter_copying(self) -> str | None:
        with Descent(self._source) as source, Target(self._target, self.memory["token"]) as target:
            if not target.is_claimed():
                return "start_again"
            for visit in self._visits(source.folder):
                try:
                    self._copy(visit, target)
                except OSError as error:
                    self._note_error(visit, error)
                if not visit.left and not visit.seen:
                    self.memory["weight"] += weight(visit)
                self._tell(self._done())
        return self._begin_walk()

    def on_enter_verifying(self) -> str | None:
        if not self.properties["verify"] or self.memory["failed"]:
            return None
        with Descent(self._source) as source, Target(self._target, self.memory["token"]) as target:
            if not target.is_claimed():
                return "start_again"
            for visit in self._visits(source.folder):
                try:
                    self._compare(visit, target)
                except OSError as error:
                    self._note_error(visit, error)
        return None

    def on_enter_finishing(self) -> None:
        memory = self.memory
        rmtree(Path(self._target, OWN), ignore_errors=True)
        if memory["failed"]:
            raise StepFailed(
                f"Not everything was copied; problems: {memory['failed']}. {'; '.join(memory['problems'])}"
            )
        self.output.update({name: memory[name] for name in ("files", "bytes", "skipped", "deleted", "problems")})
        self.progress(1, self._done())

    # --- one after the other

    def _visits(self, folder: int) -> Iterator[Visit]:
        """What is to be visited, with a checkpoint now and then after what was."""
        self._save_at = time.monotonic() + CHECKPOINT
        for visit in walk(folder, from_memory(self.memory["after"])):
            if visit.names == (OWN,) or visit.matches(self.properties["exclude"]):
                visit.skip = True
                continue
            yield visit
            if not visit.left and not visit.seen:
                self.memory["after"] = to_memory(visit.names)
            self._save_if_due()

    def _begin_walk(self) -> None:
        """The next state begins at the beginning."""
        self.memory.update(after=[], partial={})

    def _delete_if_superfluous(self, visit: Visit, source: Descent) -> None:
        found = source.find(visit.name)
        try:
            if found and stat.S_IFMT(found.st_mode) == stat.S_IFMT(visit.found.st_mode):
                if visit.is_folder and not visit.problem:
                    source.enter(visit.name)
                return
            visit.skip = True
            if visit.is_folder:
                rmtree(visit.name, dir_fd=visit.folder)
            else:
                os.unlink(visit.name, dir_fd=visit.folder)
            self.memory["deleted"] += 1
        except OSError as error:
            visit.skip = True
            self._note_error(visit, error)

    def _copy(self, visit: Visit, target: Target) -> None:
        if visit.problem:
            self._note(visit, visit.problem, failed=True)
        elif visit.left:
            target.finish_folder(visit)
        elif visit.is_folder:
            visit.skip = True
            target.make_folder(visit)
            visit.skip = False
        elif visit.is_link:
            self.memory["files" if target.copy_link(visit) else "skipped"] += 1
        elif not visit.is_file:
            self._note(visit, "is a device, pipe or socket, and was left out")
        elif target.is_unchanged(visit):
            self.memory["skipped"] += 1
        else:
            self._copy_file(visit, target)

    def _copy_file(self, visit: Visit, target: Target) -> None:
        for _ in range(TRIES):
            try:
                self._copy_once(visit, target)
                self.memory["files"] += 1
                self.memory["bytes"] += visit.found.st_size
                return
            except Changed:
                visit.look_again()
            finally:
                self.memory["partial"] = {}
        self._note(visit, f"changed {TRIES} times while it was copied, and was left out", failed=True)

    def _copy_once(self, visit: Visit, target: Target) -> None:
        rate, size = self.properties["bytes_per_second"], visit.found.st_size
        chunk = min(CHUNK, max(1, rate // 4)) if rate else CHUNK
        version = {"names": to_memory(visit.names), "size": size, "time": visit.found.st_mtime_ns}

        def tell(done: int) -> None:
            self.memory["partial"] = {**version, "done": done}
            self._tell(f"{visit.path}: {done} of {size} bytes", more=done)
            self._save_if_due()
            if rate:
                self.wait(min(chunk, size) / rate)

        target.copy_file(visit, self._copied_before(version, target), chunk, tell)

    def _copied_before(self, version: dict, target: Target) -> int:
        """How much of this version of the file an earlier attempt has copied for certain."""
        partial = dict(self.memory["partial"])
        done = partial.pop("done", 0)
        return done if partial == version and target.part_size() >= done else 0

    def _compare(self, visit: Visit, target: Target) -> None:
        if visit.left:
            target.leave()
        elif visit.is_folder and not visit.problem:
            visit.skip = True
            target.enter(visit.name)
            visit.skip = False
        elif visit.is_file and not target.has_same_content(visit, lambda: self.wait(0)):
            visit.look_again()
            self._note(visit, "differs from its copy", failed=target.is_unchanged(visit))
        if not visit.left and not visit.seen:
            self.memory["weight"] += weight(visit)
        self._tell(f"compared {visit.path}")

    # --- what is told and remembered

    def _note_error(self, visit: Visit, error: OSError) -> None:
        if error.errno in HOPELESS:
            raise StepFailed(f"{visit.path}: {error.strerror}. {self._done()} before") from error
        if error.errno in (errno.ENOENT, errno.ELOOP):
            self._note(visit, "vanished, and was left out")
        elif error.errno in (errno.EISDIR, errno.ENOTEMPTY):
            self._note(visit, "has a folder in its place; property 'delete' removes it", failed=True)
        else:
            self._note(visit, str(error.strerror), failed=True)

    def _note(self, visit: Visit, words: str, *, failed: bool = False) -> None:
        """Remember a problem; with `failed` the step fails for it at the end."""
        memory, text = self.memory, f"{visit.path}: {words}"[-300:]
        memory["failed"] += failed
        memory["problem_count"] += 1
        if memory["problem_count"] <= KEPT:
            memory["problems"].append(text)
        if memory["problem_count"] <= LOGGED:
            self.log(text)

    def _done(self) -> str:
        memory = self.memory
        return f"{memory['files']} copied, {memory['skipped']} unchanged"

    def _tell(self, message: str, *, share: float = 1.0, more: int = 0) -> None:
        """Progress, not too often; `more` bytes besides those of the files that are done."""
        now = time.monotonic()
        if now - self._told >= TICK:
            self._told = now
            self.progress(share * (self.memory["weight"] + more) / max(1, self.memory["total"]), message)

    def _save_if_due(self) -> None:
        now = time.monotonic()
        if now < self._save_at:
            return
        self.checkpoint()
        self._save_at = time.monotonic() + max(CHECKPOINT, BREATHER * (time.monotonic() - now))

    _told = _save_at = 0.0

    # --- where from and to

    @property
    def _source(self) -> str:
        return self.properties["source"]

    @property
    def _target(self) -> str:
        return self.properties["target"]

    def _refuse_bad_places(self) -> None:
        if not self._source or not self._target:
            raise StepFailed("Set the properties 'source' and 'target' to two folders")
        source, target = Path(self._source).resolve(), Path(self._target).resolve()
        if not source.is_dir():
            raise StepFailed(f"{source} is no folder on this board, or none that steps may see. See property 'source'")
        if source.is_relative_to(target) or target.is_relative_to(source):
            raise StepFailed(f"{source} and {target} lie within each other, and neither can be copied to the other")


def weight(visit: Visit) -> int:
    """What it counts in progress."""
    return PER_FILE + (visit.found.st_size if visit.is_file else 0)
