"""Images of any format, size and depth to arrays of one shape, in parallel."""

import functools
import io
import lzma
import struct
import warnings
import zipfile
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from imgclf.common.errors import UserError

MAX_FILE = 2**28
"""Bytes of one image, 256 MB: a zip may say that a file is larger than any memory."""
BATCH = 32
"""Images that a process decodes at a time. 60,000 small JPEGs took two processes 4.1 s, one thread
6.6 s and two threads, which wait for each other, 8.5 s; 200 photos of 1600x1200 took 1.1 s with two
processes and 0.8 s with two threads."""
IMAGES_PER_PROCESS = 200
"""With fewer, one more process costs more than it saves."""
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    *(LookupError, TypeError, ArithmeticError, RuntimeError, MemoryError, lzma.LZMAError),
    *(zipfile.BadZipFile, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow and zipfile raise for files that are damaged."""


@functools.cache
def image_formats() -> tuple[str, ...]:
    """Return the formats that Pillow reads, in the order to try them."""
    Image.init()
    first = ("JPEG", "PNG")  # the frequent ones: that saves a fifth of the time
    # EPS is left out: to read it is to run it, in Ghostscript.
    return (*first, *(kind for kind in Image.OPEN if kind not in (*first, "EPS")))


@functools.cache
def image_suffixes() -> set[str]:
    """Return the endings of the formats that Pillow reads, such as ".jpg"."""
    known = Image.registered_extensions()
    return {suffix for suffix, kind in known.items() if kind in image_formats()}


def decode_images(
    archive: zipfile.ZipFile, names: list[str], size: int, channels: int, num_processes: int = 0
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Return images (N, channels, size, size) of those that can be read, and why others cannot.

    Images are in the order of `names`. Without `num_processes`, they are as many as there are cores
    and images to be worth it.
    """
    import joblib  # takes 0.2 s to import, and stages that decode nothing import this module

    try:
        images = np.empty((len(names), channels, size, size), np.uint8)
    except MemoryError:
        raise UserError(
            f"image_size: {size} is not allowed: {len(names)} images of {channels} x {size} x "
            f"{size} do not fit into memory"
        ) from None
    corrupt: dict[str, str] = {}
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    jobs = (
        joblib.delayed(_decode_batch)([_content(archive, name) for name in batch], size, channels)
        for batch in batches
    )
    enough = min(joblib.cpu_count(), 1 + len(names) // IMAGES_PER_PROCESS)
    results = joblib.Parallel(n_jobs=num_processes or enough, return_as="generator")(jobs)
    count = 0
    with tqdm(total=len(names), unit="image", disable=None) as bar:
        for batch, (decoded, reasons) in zip(batches, results, strict=True):
            images[count : count + len(decoded)] = decoded
            count += len(decoded)
            corrupt |= {batch[place]: decode_error for place, decode_error in reasons.items()}
            bar.update(len(batch))
    return images[:count], corrupt


def _content(archive: zipfile.ZipFile, name: str) -> bytes | Exception:
    member = archive.getinfo(name)
    if member.file_size > MAX_FILE:
        return ValueError(f"has {member.file_size} bytes, more than {MAX_FILE}")
    try:
        return archive.read(member)
    except UNREADABLE as error:
        return ValueError(decode_error(error))


def _decode_batch(
    contents: list[bytes | Exception], size: int, channels: int
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    images, reasons = [], {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for place, content in enumerate(contents):
            try:
                if isinstance(content, Exception):
                    raise content
                images.append(_decode(content, size, channels))
            except UNREADABLE as error:
                reasons[place] = decode_error(error)
    return np.array(images, np.uint8).reshape(-1, channels, size, size), reasons


def _decode(content: bytes, size: int, channels: int) -> NDArray[np.uint8]:
    """Return the first image in a file as (channels, size, size)."""
    image: Image.Image
    with Image.open(io.BytesIO(content), formats=image_formats()) as image:
        # A large JPEG is decoded to 1/2, 1/4 or 1/8 if that leaves twice the pixels needed.
        image.draft(None, (2 * size, 2 * size))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "F":
            raise ValueError("its pixels are floats, whose range is not known")
        if image.mode.startswith("I"):
            deep = np.asarray(image).clip(0, 65535)
            image = Image.fromarray((deep >> 8).astype(np.uint8))
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image).reshape(size, size, channels)
    return pixels.transpose(2, 0, 1)


def decode_error(error: Exception) -> str:
    """Return one line on why a file cannot be read."""
    if isinstance(error, UnidentifiedImageError):
        return "no image of a known format"
    return " ".join(str(error).split())[:200] or type(error).__name__
