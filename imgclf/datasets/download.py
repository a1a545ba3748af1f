"""Downloads from several sources in order, verified by SHA-256."""

import gzip
import hashlib
import importlib.resources
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pooch
import requests

from imgclf.common.errors import UserError
from imgclf.common.files import expand_path, sha256

CONNECT_SECONDS = 3.05
"""How long a host may take to answer; just above a multiple of TCP's 3-second retransmission."""
READ_SECONDS = 10
"""How long a host may send nothing."""
RETRIES = 1
"""A dead host must cost seconds, not minutes."""
STORE = Path(".downloads")
"""Where the stages keep what they download, in the project's root; it can be deleted any time."""
DIGEST = "[0-9a-f]{64}"
CHUNK = 2**20
"""Bytes in memory at a time: files may be larger than it."""


class SourceError(Exception):
    """The source does not have the file, or cannot be reached; the next one may do better."""


@dataclass(frozen=True)
class Mirror:
    """A folder or an address that holds the files."""

    base: str

    def __str__(self) -> str:
        return self.base

    @property
    def is_folder(self) -> bool:
        """Whether the files are on this disk already."""
        return "://" not in self.base

    def get(self, name: str, suffix: str, scratch: Path) -> Path:
        """Return the path of file `name`, downloaded into `scratch` if it is not on this disk.

        It has the `suffix` behind an address; in a folder, either.
        """
        if self.is_folder:
            folder = expand_path(self.base)
            names = [f"{name}{suffix}", name] if suffix else [name]
            for path in (folder / each for each in names):
                if path.is_file():
                    return path
            raise SourceError(f"has no {' or '.join(reversed(names))}")
        pooch.get_logger().setLevel("WARNING")
        # pooch writes to a temporary file, renames it when it is whole, and tries again.
        files = pooch.create(
            path=scratch,
            base_url=self.base.rstrip("/") + "/",
            registry={name + suffix: None},
            retry_if_failed=RETRIES,
        )
        bar = pooch.HTTPDownloader(
            progressbar=sys.stderr.isatty(),
            chunk_size=CHUNK,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        try:
            return Path(files.fetch(name + suffix, downloader=bar))
        except requests.RequestException as error:
            raise SourceError(_reason(error)) from None


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian's archive: where apt exists, it needs no root and no installation."""

    package: str
    folder: str
    """Where the files are inside the package."""

    def __str__(self) -> str:
        return f"Debian package {self.package}"

    def get(self, name: str, suffix: str, scratch: Path) -> Path:
        """Return the path of file `name` + `suffix`, in the package unpacked into `scratch`."""
        unpacked = scratch / "unpacked"
        if not unpacked.exists():
            if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
                raise SourceError("this system has no apt-get")
            self._download(scratch)
            (archive,) = scratch.glob("*.deb")
            _run(["dpkg-deb", "--extract", archive, unpacked], scratch)
        path = unpacked / self.folder / f"{name}{suffix}"
        if not path.is_file():
            raise SourceError(f"has no {self.folder}/{path.name}")
        return path

    def _download(self, scratch: Path) -> None:
        get = ["apt-get", "-qq", "-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=1"]
        get += ["-o", f"Acquire::http::Timeout={READ_SECONDS}"]
        try:
            _run([*get, "download", self.package], scratch)
        except SourceError:
            # A fresh machine may have no package lists: read them into the scratch folder.
            for folder in ("lists/partial", "cache/archives/partial"):
                (scratch / folder).mkdir(parents=True)
            get += ["-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache"]
            _run([*get, "update"], scratch)
            _run([*get, "download", self.package], scratch)


@dataclass(frozen=True)
class PythonPackage:
    """Data files inside an installed Python package."""

    package: str

    def __str__(self) -> str:
        return f"Python package {self.package}"

    def get(self, name: str, suffix: str, scratch: Path) -> Path:
        """Return the path of file `name` + `suffix`, copied into `scratch`."""
        resource = importlib.resources.files(self.package) / f"{name}{suffix}"
        if not resource.is_file():
            raise SourceError(f"has no {name}{suffix}")
        copy = scratch / f"{name}{suffix}"
        copy.write_bytes(resource.read_bytes())
        return copy


Source = Mirror | DebianPackage | PythonPackage


def fetch_files(
    files: Mapping[str, str],
    sources: Iterable[Source],
    folder: Path,
    *,
    gzipped: bool = False,
    store: Path | None = None,
) -> dict[str, str]:
    """Put `files` (name to SHA-256, or its first 8 or more digits) into `folder`.

    With `gzipped`, sources hold each file as NAME.gz; it is decompressed, and the hash is that of
    the decompressed bytes. What is in the `store`, a folder of files named by their SHA-256, is
    taken from there, and what an address or a package gives is put there. The sources are tried in
    order; one that fails for a file is not asked for the rest. Returns which source each file came
    from. Raises `UserError`, naming each source with its reason, if a file is in none of them; such
    a file is not in `folder` then.
    """
    _check_digests(files)
    origins = _from_store(files, folder, store) if store else {}
    if origins.keys() == files.keys():
        return origins
    reasons = []
    for source in sources:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.resolve()) as scratch:
            try:
                for name in [name for name in files if name not in origins]:
                    path = source.get(name, ".gz" if gzipped else "", Path(scratch))
                    digest = _put(path, folder / name, files[name], gzipped)
                    if store and not (isinstance(source, Mirror) and source.is_folder):
                        _keep(folder / name, store / digest)
                    origins[name] = str(source)
            except SourceError as error:
                (folder / name).unlink(missing_ok=True)
                reasons.append(f"{source}: {error}")
                print(f"next source, because {reasons[-1]}", file=sys.stderr)
        if origins.keys() == files.keys():
            return origins
    missing = ", ".join(name for name in files if name not in origins)
    raise UserError(f"no source has {missing}. Tried: " + "; ".join(reasons))


def _check_digests(files: Mapping[str, str]) -> None:
    for name, digest in files.items():
        if not re.fullmatch("[0-9a-f]{8,64}", digest):
            raise UserError(
                f"{name}: SHA-256 {digest!r} is not allowed: should be its 64 hexadecimal digits, "
                f"or the first 8 or more, in lower case"
            )


def _from_store(files: Mapping[str, str], folder: Path, store: Path) -> dict[str, str]:
    """Copy those of `files` that are in the store into `folder`; delete damaged ones there."""
    origins = {}
    for name, digest in files.items():
        found = [path for path in store.glob(f"{digest}*") if re.fullmatch(DIGEST, path.name)]
        for path in found:
            if sha256(path) != path.name:
                path.unlink()
        whole = [path for path in found if path.exists()]
        if len(whole) == 1:  # of a few leading digits, there may be more
            shutil.copyfile(whole[0], folder / name)
            origins[name] = str(store)
    return origins


def _keep(path: Path, stored: Path) -> None:
    """Copy a file into the store in one step. A link would be changed with the file itself."""
    stored.parent.mkdir(parents=True, exist_ok=True)
    temporary = stored.with_name(f".{stored.name}.{os.getpid()}")
    try:
        shutil.copyfile(path, temporary)
        temporary.replace(stored)
    finally:
        temporary.unlink(missing_ok=True)


def _put(path: Path, target: Path, digest: str, gzipped: bool) -> str:
    """Copy a file, decompressed if it is `gzipped`, and check the hash of what was written.

    Returns the whole hash.
    """
    whole = hashlib.sha256()
    try:
        with path.open("rb") as stored, target.open("wb") as file:
            # Some servers decompress on the way; what it is, the hash will tell.
            zipped = gzipped and stored.read(2) == b"\x1f\x8b"
            stored.seek(0)
            content = cast(IO[bytes], gzip.GzipFile(fileobj=stored) if zipped else stored)
            while chunk := content.read(CHUNK):
                whole.update(chunk)
                file.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{path.name} is damaged ({error})") from None
    found = whole.hexdigest()
    if not found.startswith(digest):
        raise SourceError(f"{target.name} has SHA-256 {found[:12]}..., not {digest[:12]}...")
    return found


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, requests.Timeout):
        return f"nothing received for {READ_SECONDS} s"
    inner: BaseException = error
    while inner.__context__ is not None:
        inner = inner.__context__
    return f"{type(error).__name__}: {inner}"


def _run(command: list[str | Path], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the commands are written in this file
            command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]} took more than 300 s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise SourceError(f"{command[0]}: {lines[-1]}")
