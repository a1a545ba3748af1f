"""Downloads: several sources in order, and nothing kept that does not have the right hash."""

import gzip
import hashlib
import importlib.resources
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from imgclf.common.errors import UserError

CONNECT_SECONDS = 3.05
"""How long a host may take to answer; just above a multiple of TCP's 3-second retransmission."""
READ_SECONDS = 10
"""How long a host may send nothing."""
RETRIES = 1
"""A dead host must cost seconds, not minutes."""


class SourceError(Exception):
    """The source does not have the file, or cannot be reached; the next one may do better."""


@dataclass(frozen=True)
class Mirror:
    """A folder or an address that holds the files, gzipped or not."""

    base: str

    def __str__(self) -> str:
        return self.base

    def get(self, name: str, scratch: Path) -> Path:
        """Return the path of file `name`, downloaded into `scratch` if it is not on this disk."""
        if "://" not in self.base:
            folder = Path(self.base).expanduser()
            for path in (folder / f"{name}.gz", folder / name):
                if path.is_file():
                    return path
            raise SourceError(f"has no {name} or {name}.gz")
        pooch.get_logger().setLevel("WARNING")
        # pooch writes to a temporary file, renames it when it is whole, and tries again.
        files = pooch.create(
            path=scratch,
            base_url=self.base.rstrip("/") + "/",
            registry={name + ".gz": None},
            retry_if_failed=RETRIES,
        )
        bar = pooch.HTTPDownloader(
            progressbar=sys.stderr.isatty(), timeout=(CONNECT_SECONDS, READ_SECONDS)
        )
        try:
            return Path(files.fetch(name + ".gz", downloader=bar))
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

    def get(self, name: str, scratch: Path) -> Path:
        """Return the path of file `name`, in the package unpacked into `scratch`."""
        unpacked = scratch / "unpacked"
        if not unpacked.exists():
            if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
                raise SourceError("this system has no apt-get")
            self._download(scratch)
            (archive,) = scratch.glob("*.deb")
            _run(["dpkg-deb", "--extract", archive, unpacked], scratch)
        path = unpacked / self.folder / f"{name}.gz"
        if not path.is_file():
            raise SourceError(f"has no {self.folder}/{name}.gz")
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

    def get(self, name: str, scratch: Path) -> Path:
        """Return the path of file `name`, copied into `scratch`."""
        resource = importlib.resources.files(self.package) / f"{name}.gz"
        if not resource.is_file():
            raise SourceError(f"has no {name}.gz")
        copy = scratch / f"{name}.gz"
        copy.write_bytes(resource.read_bytes())
        return copy


Source = Mirror | DebianPackage | PythonPackage


def fetch(files: Mapping[str, str], sources: Iterable[Source], folder: Path) -> dict[str, str]:
    """Put `files` (name to SHA-256 of the decompressed bytes) into `folder`, decompressed.

    The sources are tried in order; one that fails for a file is not asked for the rest. Returns
    which source each file came from. Raises `UserError`, naming each source with its reason, if a
    file is in none of them.
    """
    origins: dict[str, str] = {}
    reasons = []
    for source in sources:
        with tempfile.TemporaryDirectory(prefix="fetch-") as scratch:
            try:
                for name in [name for name in files if name not in origins]:
                    content = _decompressed(source.get(name, Path(scratch)), name)
                    found = hashlib.sha256(content).hexdigest()
                    if found != files[name]:
                        raise SourceError(
                            f"{name} has SHA-256 {found[:12]}..., not {files[name][:12]}..."
                        )
                    (folder / name).write_bytes(content)
                    origins[name] = str(source)
            except SourceError as error:
                reasons.append(f"{source}: {error}")
                print(f"next source, because {reasons[-1]}", file=sys.stderr)
        if origins.keys() == files.keys():
            return origins
    missing = ", ".join(name for name in files if name not in origins)
    raise UserError(
        f"no source has {missing}; put the files into a folder and set `mirror` to it. "
        + "Tried: "
        + "; ".join(reasons)
    )


def _decompressed(path: Path, name: str) -> bytes:
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        # Some servers decompress on the way; what it is, the hash will tell.
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{name}.gz is damaged ({error})") from None


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
