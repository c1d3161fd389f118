"""How the bytes of a remote file are fetched: over HTTP, or by whatever fsspec knows.

Whatever a server or its client does, the callers see `RemoteError` or ``FileNotFoundError``.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from onnxroot.errors import FormatError, MissingDependencyError, OnnxRootError, RemoteError

__all__ = ["Range", "Transport", "connect"]

T = TypeVar("T")
Range = tuple[int, int]
"""First byte, and the one behind the last."""

_PACKAGED: Final = ("http", "https", "root", "s3")  # what the extra `remote` brings
_HEAD_NBYTES: Final = 1 << 16
_FORGET_SECONDS: Final = 0.5
_TOTAL: Final = 10  # times the timeout is what one answer may take if it only trickles in


class Transport(Protocol):
    """Fetches ranges of one remote file."""

    nbytes: int
    """Its length."""

    head: bytes
    """Its first bytes, which came with the length; may be empty."""

    def start(self, ranges: Sequence[Range]) -> Future[list[bytes]]:
        """Begin to fetch; see `result` for what may be raised."""
        ...

    def result(self, future: Future[list[bytes]]) -> list[bytes]:
        """Wait for what was begun.

        Raises:
            FileNotFoundError: The file is gone.
            RemoteError: The server refuses, or does not answer.
        """
        ...

    def has_changed(self) -> bool:
        """Ask whether the file is another one than when it was opened."""
        ...

    def close(self) -> None:
        """Let go of the file, as far as that can be done at once."""
        ...


def connect(url: str, timeout: float) -> Transport:
    """Find out how to fetch a file, and how long it is.

    Args:
        url: The file.
        timeout: Seconds to wait for an answer.

    Raises:
        FileNotFoundError: There is none.
        RemoteError: The server refuses, or does not answer.
        MissingDependencyError: A package for such URLs is not installed.
        FormatError: There are no such URLs.
    """
    scheme = url.partition(":")[0].lower()
    if scheme in {"root", "roots", "xroot", "xroots"}:
        _refuse_dead_hosts(url, timeout)
    import fsspec  # noqa: PLC0415  (0.1 s that readers of local files need not spend)

    options = {"timeout": max(1, round(timeout))} if scheme == "root" else {}
    try:
        fs, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise MissingDependencyError(_how_to_install(scheme, url, error)) from error
    except Exception as error:
        if "Protocol not known" in str(error):
            raise FormatError(f"{url}: there are no such URLs as {scheme}://") from error
        raise _plain(error, url, timeout) from error
    plain_http = scheme in {"http", "https"} and "::" not in url
    kind = _Http if plain_http and hasattr(fs, "set_session") else _Fsspec
    return kind(fs, path, url, timeout)


def _how_to_install(scheme: str, url: str, error: ImportError) -> str:
    if scheme in _PACKAGED:
        return f"{url}: needs packages for remote files: pip install 'onnxroot[remote]'"
    return f"{url}: {error}"


def _refuse_dead_hosts(url: str, timeout: float) -> None:
    """Try to connect, for XRootD's own client tries it again and again for minutes.

    Raises:
        RemoteError: There is no such host, or nothing listens there.
    """
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 1094), timeout).close()
    except (ConnectionRefusedError, socket.gaierror) as error:
        raise _plain(error, url, timeout) from error
    except OSError:
        pass  # let the client try its own ways


class _Client:
    """What all transports share: a loop to run in, attempts, plain errors."""

    def __init__(self, fs: Any, path: str, url: str, timeout: float) -> None:
        self._fs, self._path, self._url, self._timeout = fs, path, url, timeout

    def start(self, ranges: Sequence[Range]) -> Future[list[bytes]]:
        return _in_loop(self._checked(list(ranges)))

    def result(self, future: Future[T]) -> T:
        try:
            return future.result()
        except (OnnxRootError, MemoryError):
            raise
        except Exception as error:
            self._forget()
            raise _plain(error, self._url, self._timeout) from error
        except BaseException:
            future.cancel()
            raise

    async def _checked(self, ranges: list[Range]) -> list[bytes]:
        found = await _again(lambda: self._fetch(ranges))
        for (start, stop), data in zip(ranges, found, strict=True):
            if len(data) != stop - start:
                raise RemoteError(
                    f"{self._url}: {len(data)} bytes came of {stop - start} from byte {start} on; "
                    "the file has become shorter, or the connection broke"
                )
        return found

    async def _fetch(self, ranges: list[Range]) -> list[bytes]:
        raise NotImplementedError

    def _forget(self) -> None:
        """Drop what the client keeps of the file."""

    def close(self) -> None:
        self._forget()


class _Http(_Client):
    """Ranges over HTTP, each answer checked: an answer without a range is the whole file."""

    def __init__(self, fs: Any, path: str, url: str, timeout: float) -> None:
        super().__init__(fs, path, url, timeout)
        self._identity: tuple[str, ...] = ()
        self.nbytes, self.head = self.result(
            _in_loop(_again(lambda: self._get(0, _HEAD_NBYTES, is_first=True)))
        )

    async def _fetch(self, ranges: list[Range]) -> list[bytes]:
        answers = await asyncio.gather(*(self._get(a, b) for a, b in ranges))
        return [data for _, data in answers]

    async def _get(self, start: int, stop: int, *, is_first: bool = False) -> tuple[int, bytes]:
        """Return the file's length, and some bytes."""
        import aiohttp  # noqa: PLC0415  (optional)

        session = await self._fs.set_session()
        options = dict(self._fs.kwargs)
        options["headers"] = {
            **options.get("headers", {}),
            "Range": f"bytes={start}-{stop - 1}",
            "Accept-Encoding": "identity",
        }
        options["timeout"] = aiohttp.ClientTimeout(
            total=_TOTAL * self._timeout, sock_connect=self._timeout, sock_read=self._timeout
        )
        async with session.get(self._fs.encode_url(self._path), **options) as response:
            if response.status in {404, 410}:
                raise FileNotFoundError
            if response.status == 416 and is_first:
                return 0, b""  # an empty file has no first byte
            if response.status >= 400:
                raise _RefusedError(response.status, response.reason or "")
            whole = response.headers.get("Content-Length")
            if response.status == 206:
                whole = response.headers.get("Content-Range", "").rpartition("/")[2]
            known = whole is not None and whole.isdigit()
            nbytes = int(whole) if known else -1
            if response.status != 206 and not (is_first and 0 <= nbytes <= stop):
                raise RemoteError(
                    f"{self._url}: the server sends whole files, not parts of them (no HTTP range "
                    "requests); download the file and read the copy"
                )
            identity = (
                str(nbytes),
                *(response.headers.get(name, "") for name in ("ETag", "Last-Modified")),
            )
            self._identity = self._identity or identity
            if not known or identity != self._identity:
                raise RemoteError(
                    f"{self._url}: the file has changed since it was opened; open it again"
                )
            return nbytes, await response.read()

    def has_changed(self) -> bool:
        """See `Transport`."""
        try:
            self.result(_in_loop(self._get(0, 1)))
        except (OnnxRootError, OSError) as error:
            return "has changed" in str(error) or isinstance(error, FileNotFoundError)
        return False


class _Fsspec(_Client):
    """Ranges by a file system of fsspec: vectored where that can."""

    head = b""

    def __init__(self, fs: Any, path: str, url: str, timeout: float) -> None:
        super().__init__(fs, path, url, timeout)
        self._identity = self._describe()
        self.nbytes = self._identity[0]

    async def _fetch(self, ranges: list[Range]) -> list[bytes]:
        starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
        arguments = ([self._path] * len(ranges), starts, stops)
        if self._fs.async_impl:
            found = self._fs._cat_ranges(*arguments)  # noqa: SLF001  (fsspec's name for its own loop)
        else:
            found = _in_thread(self._fs.cat_ranges, *arguments)
        answers = await _within(found, self._timeout)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [bytes(answer) for answer in answers]

    def _forget(self) -> None:
        """Drop lists, which may be old, and handles, which may be dead and then take their time."""

        def forget() -> None:
            with suppress(Exception):
                self._fs.invalidate_cache(self._path)

        thread = threading.Thread(target=forget, daemon=True)
        thread.start()
        thread.join(_FORGET_SECONDS)

    def _describe(self) -> tuple[int, str]:
        async def info() -> dict[str, Any]:
            is_async = self._fs.async_impl
            found = self._fs._info if is_async else None  # noqa: SLF001  (as above)
            answer = found(self._path) if found else _in_thread(self._fs.info, self._path)
            return await _within(answer, self._timeout)

        self._forget()
        found = self.result(_in_loop(info()))
        if found.get("type") == "directory":
            raise IsADirectoryError(errno.EISDIR, "is a folder; expected a ROOT file", self._url)
        if found.get("size") is None:
            raise RemoteError(f"{self._url}: how long the file is can't be found out; download it")
        marks = ("ETag", "LastModified", "last_modified", "mtime", "modified", "created")
        return int(found["size"]), str([found.get(name) for name in marks])

    def has_changed(self) -> bool:
        """See `Transport`."""
        try:
            return self._describe() != self._identity
        except (OnnxRootError, OSError) as error:
            return isinstance(error, FileNotFoundError)


async def _again(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Ask; if the connection breaks, once more."""
    try:
        return await ask()
    except Exception as error:
        if not _is_passing(error):
            raise
    return await ask()


async def _within(work: Awaitable[T], seconds: float) -> T:
    """Wait for an answer, but not for ever.

    What is late is not broken off: clients have calls of their own under way, of which asyncio
    would report that nobody looked at how they ended.

    Raises:
        asyncio.TimeoutError: There is none.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda late: late.cancelled() or late.exception())
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        raise asyncio.TimeoutError
    return task.result()


def _in_loop(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run in the thread that fsspec keeps for its clients."""
    from fsspec.asyn import get_loop  # noqa: PLC0415  (see `connect`)

    return asyncio.run_coroutine_threadsafe(work, get_loop())


def _in_thread(function: Any, *arguments: Any) -> asyncio.Future[Any]:
    """Call a function that blocks, in a thread that need not end for the program to end."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(value)

    def run() -> None:
        value, error = None, None
        try:
            value = function(*arguments)
        except BaseException as caught:  # noqa: BLE001  (raised where it is waited for)
            error = caught
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, daemon=True).start()
    return future


class _RefusedError(Exception):
    """An answer of HTTP that is no file."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status


def _is_passing(error: Exception) -> bool:
    """Return whether it makes sense to ask again."""
    if isinstance(error, _RefusedError):
        return error.status >= 500 or error.status == 429
    if isinstance(error, (OnnxRootError, FileNotFoundError, PermissionError, TimeoutError)):
        return False
    if isinstance(error, asyncio.TimeoutError):
        return False
    return isinstance(error, OSError) or type(error).__module__.startswith("aiohttp")


def _plain(error: BaseException, url: str, timeout: float) -> Exception:
    """Return the error that users see for one of a client's."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError) or re.search(r"\[3011\]", text):
        return FileNotFoundError(errno.ENOENT, "No such file there; is the address right?", url)
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)) or "Operation expired" in text:
        return RemoteError(
            f"{url}: no answer within {timeout:g} s; try again later, or wait longer (--timeout, "
            "timeout=)"
        )
    if isinstance(error, _RefusedError) and error.status not in {401, 403}:
        return RemoteError(f"{url}: the server says {text}")
    if isinstance(error, (_RefusedError, PermissionError)) or re.search(
        r"\[3010\]|credentials", text
    ):
        return RemoteError(
            f"{url}: the server refuses to give the file ({text}); have you the right to read it, "
            "and has your proxy or token expired?"
        )
    if isinstance(error, (ConnectionRefusedError, socket.gaierror)) or "Connector" in (
        type(error).__name__
    ):
        return RemoteError(f"{url}: can't connect ({text}); is the address right?")
    return RemoteError(f"{url}: reading failed ({text}); try again, or copy the file and read that")
