"""Writing that survives `kill -9` at any moment: the disk holds the old state or the new one, never half.

- A file is written beside its place as ``.NAME.part``, synced, then renamed (:func:`write`,
  :func:`replacing`).
- A recording appears under its name with its first record, and grows by whole records (:class:`Stream`).
- Several files of one folder are staged, committed by one rename and moved into place; a reader ends what a
  killed writer had committed (:func:`several`, :func:`settle`).
- A folder is exchanged with its successor in one step of the system (:func:`put_folder`).
- A folder for work in progress goes with its process; who comes next removes what a killed one left
  (:func:`scratch`).

Locks are flock's: the system frees them when their holder ends, however it ends. They hold on this machine.
tests/kill stops every operation of semflash at each of its writes in turn.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

STAGED, COMMITTED = ".staged", ".committed"
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
#: What a file system answers that cannot exchange two names, or sync a folder.
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def part_of(path: Path) -> Path:
    """Where `path` is written before it is renamed; a leftover is taken over by the next writer of `path`."""
    return path.with_name(f".{path.name}.part")


def write(path: Path, data: bytes | str, *, durable: bool = True, new: bool = False) -> None:
    """Write a whole file (text as UTF-8). Arguments and errors as :func:`replacing`."""
    with replacing(path, durable=durable, new=new) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True, new: bool = False) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well; else `path` stays as it was.

    A link is followed, the mode of an old file kept.

    Args:
        durable: also survive a loss of power (costs a sync of the disk).
        new: refuse to replace anything.

    Raises:
        FileExistsError: `new`, and `path` exists.
        OSError: no room, or not allowed.
    """
    place = Path(os.path.realpath(path))
    part = part_of(place)
    with contextlib.ExitStack() as stack:
        file = os.fdopen(_locked_part(part), "wb")
        stack.callback(_close, file)
        try:
            if new and place.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
            yield file
            file.flush()
            _keep_mode(file.fileno(), place)
            if durable:
                os.fsync(file.fileno())
            part.replace(place)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    if durable:
        _sync_folder(place.parent)


def _close(file: BinaryIO) -> None:
    """Close a file whose content is flushed, or lost anyway: an error was raised before, or there is none."""
    with contextlib.suppress(OSError):
        file.close()


def _locked_part(part: Path) -> int:
    """The handle of an empty file `part` that is locked; waits for another process that writes it."""
    while True:
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, part):
                os.ftruncate(handle, 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its writer has renamed or removed it meanwhile


def _is_at(handle: int, path: Path) -> bool:
    """Whether `path` still names the open file or folder."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _keep_mode(handle: int, place: Path) -> None:
    """Give an open file the mode of the one that it will replace."""
    if place.is_file():
        mode = stat.S_IMODE(place.stat().st_mode)
        if mode != stat.S_IMODE(os.fstat(handle).st_mode):
            os.fchmod(handle, mode)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
    finally:
        os.close(handle)


class Stream:
    """A file that grows by whole records, each with the system as soon as it is appended.

    An old file of the name is replaced in one step, when `head` is written. A device or a pipe is written as
    it is.

    Args:
        head: the first record.

    Raises:
        OSError: no room, not allowed, or another process appends to the file (EBUSY).
    """

    def __init__(self, path: Path, head: bytes) -> None:
        self._size = 0
        self._regular = not path.exists() or path.is_file()
        if not self._regular:
            self._handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        else:
            self._handle = _locked_part(part_of(Path(os.path.realpath(path))))
        try:
            self.append(head)
            if self._regular:
                self._take_place(Path(os.path.realpath(path)))
        except BaseException:
            if self._regular:
                part_of(Path(os.path.realpath(path))).unlink(missing_ok=True)
            os.close(self._handle)
            raise

    def _take_place(self, place: Path) -> None:
        _refuse_locked(place)
        _keep_mode(self._handle, place)
        part_of(place).replace(place)

    def append(self, record: bytes) -> None:
        """Write one record, whole or not at all. OSError: no room."""
        left = memoryview(record)
        try:
            while left:
                left = left[os.write(self._handle, left) :]
        except BaseException:
            if self._regular:
                os.ftruncate(self._handle, self._size)
            raise
        self._size += len(record)

    def close(self) -> None:
        """Close the file. OSError: the disk failed."""
        os.close(self._handle)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refuse_locked(place: Path) -> None:
    """OSError (EBUSY): a process that lives appends to the file."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(errno.EBUSY, "another process is writing it", str(place)) from error
    finally:
        os.close(handle)


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Wait until no other process holds `folder`, then keep others out. Makes the folder. Does not nest."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def several(folder: Path) -> Iterator[Path]:
    """A place to write files that come into `folder` all at once, when the block ends well.

    Holds :func:`exclusive` of `folder`. Files of other names stay; readers call :func:`settle` first.

    Raises:
        OSError: no room, or not allowed; `folder` is as it was.
    """
    with exclusive(folder):
        _settle(folder)
        staged = folder / STAGED
        _remove(staged)
        staged.mkdir()
        try:
            yield staged
            _sync_folder(staged)
            staged.rename(folder / COMMITTED)
        except BaseException:
            _remove(staged)
            raise
        _sync_folder(folder)
        _settle(folder)


def settle(folder: Path) -> None:
    """Bring into place what a writer had committed before it was killed.

    Raises:
        OSError: the folder cannot be written.
    """
    if (folder / COMMITTED).is_dir():
        with exclusive(folder):
            _settle(folder)


def _settle(folder: Path) -> None:
    committed = folder / COMMITTED
    if not committed.is_dir():
        return
    with contextlib.suppress(FileNotFoundError):  # a reader on another machine does the same
        for path in sorted(committed.iterdir()):
            path.replace(folder / path.name)
        _sync_folder(folder)
        committed.rmdir()


def put_folder(new: Path, target: Path) -> None:
    """Put the folder `new` in the place of `target`, an old one of which goes to `new` and is the caller's.

    Where the file system cannot exchange two names, the old folder steps aside first; :func:`restore_folder`
    brings it back if the writer is killed before the new one has come.

    Raises:
        OSError: not allowed.
    """
    aside = _aside(target)
    with exclusive(target.parent):
        _restore(target)
        _remove(aside)
        if not target.exists():
            new.rename(target)
        elif not _exchange(new, target):
            target.rename(aside)
            try:
                new.rename(target)
            except OSError:
                _restore(target)
                raise
            aside.rename(new)
        _sync_folder(target.parent)


def restore_folder(target: Path) -> None:
    """Bring back a folder whose successor did not come. OSError: not allowed."""
    if _aside(target).is_dir():
        with exclusive(target.parent):
            _restore(target)


def _restore(target: Path) -> None:
    if _aside(target).is_dir() and not target.exists():
        _aside(target).rename(target)


def _aside(target: Path) -> Path:
    return target.parent / f".{target.name}.old"


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False: the system or the file system cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    names = os.fsencode(first), os.fsencode(second)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNABLE:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))


@contextlib.contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder ``PREFIX....tmp`` in `parent`, removed at the end; may be renamed away before.

    Folders that killed processes left under the same prefix are removed first, those in use stay.

    Raises:
        OSError: no room, or not allowed.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.iterdir():
        if left.name.startswith(prefix) and left.suffix == ".tmp":
            _remove_if_left(left)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=parent))
        handle = _lock_folder(folder, fcntl.LOCK_EX)
        if handle is not None:
            break
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(handle)


def _remove_if_left(folder: Path) -> None:
    """Remove a scratch folder of ours whose process is gone."""
    try:
        if folder.lstat().st_uid != os.getuid():
            return
        handle = _lock_folder(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError, NotADirectoryError):
        return
    if handle is not None:
        _remove(folder)
        os.close(handle)


def _lock_folder(folder: Path, how: int) -> int | None:
    """A handle that locks the folder; None: somebody removed it meanwhile. BlockingIOError: it is in use."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, how)
        if _is_at(handle, folder):
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _remove(folder: Path) -> None:
    """Remove a folder with all it holds, if it is there. What resists stays for the next."""
    shutil.rmtree(folder, ignore_errors=True)
