"""Animations as GIF files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import AbstractDataset
from kedro_datasets._typing import ImagePreview
from numpy.typing import NDArray

from hyco.datasets.figure import can_be_sent
from hyco.datasets.previews import NOTHING, image
from hyco.datasets.views import View
from hyco.runtime.beside import FIGURES
from hyco.runtime.storage import write_atomically


class AnimationDataset(View, AbstractDataset[dict[str, Any] | Callable[[], dict[str, Any]], dict[str, Any]]):
    """`{"frames": uint8 [N, height, width, 3], "fps": float}` as a GIF that repeats for ever.

    A GIF has 256 colours, here the same ones for all frames so that nothing flickers: colours come back approximately.
    Its clock has steps of 10 ms. It may be given as what draws it, a function without arguments. It is written beside
    the run, as figures are, and one of an earlier run is removed first: see `hyco.datasets.figure`.

    Args:
        filepath: of the file.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Frames and frames per second.

        Raises:
            BesideError: the file could not be written.
        """
        from PIL import Image, ImageSequence

        FIGURES.wait_for(str(self._filepath))
        with Image.open(self._filepath) as file:
            info = dict(file.info)
            frames, durations = [], []
            for frame in ImageSequence.Iterator(file):
                frames.append(np.asarray(frame.convert("RGB"), dtype=np.uint8))
                durations.append(int(frame.info.get("duration", 100)) or 100)
        fps, firsts = _ours(info.get("comment", b""))
        # Pillow joins equal frames into a longer one.
        counts = [b - a for a, b in pairwise(firsts)] if len(firsts) == len(frames) + 1 else [1] * len(frames)
        repeated = [frame for frame, count in zip(frames, counts, strict=True) for _ in range(count)]
        return {"frames": np.stack(repeated), "fps": fps or 1000.0 / min(durations)}

    def save(self, data: dict[str, Any] | Callable[[], dict[str, Any]]) -> None:
        """Write a GIF.

        Raises:
            ValueError: there are no frames, or they are not images.
        """
        if not callable(data):
            _checked(data)
        FIGURES.end(str(self._filepath))
        self.remove_old()
        FIGURES.start({str(self._filepath): partial(_write, self._filepath, data)}, sent=can_be_sent(data))

    def preview(self) -> ImagePreview:
        """The animation itself: it plays in Kedro-Viz."""
        FIGURES.wait_for(str(self._filepath))
        return image(self._filepath.read_bytes()) if self._exists() else NOTHING

    def _exists(self) -> bool:
        return self._filepath.exists()

    def files(self) -> list[Path]:
        """See `View`."""
        return [self._filepath]

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def _checked(data: dict[str, Any]) -> tuple[NDArray[np.uint8], float]:
    """Frames and frames per second.

    Raises:
        ValueError: see `AnimationDataset.save`.
    """
    frames, fps = np.asarray(data["frames"]), float(data["fps"])
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise ValueError(f"frames must be uint8 [N, height, width, 3], got {frames.dtype} {list(frames.shape)}")
    if not fps > 0:
        raise ValueError(f"frames per second must be positive, got {fps}")
    return frames, fps


def _write(path: Path, data: dict[str, Any] | Callable[[], dict[str, Any]]) -> None:
    from hyco.plots.frames import indexed  # matplotlib comes with it

    frames, fps = _checked(data() if callable(data) else data)
    images = indexed(frames)
    # Equal neighbours are joined here, not by Pillow, so that the file can say how many there were.
    codes = [i.tobytes() for i in images]
    firsts = [0, *(i for i in range(1, len(codes)) if codes[i] != codes[i - 1]), len(codes)]
    duration = max(20, round(100 / fps) * 10)
    buffer = BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=[images[i] for i in firsts[1:-1]],
        duration=[duration * (b - a) for a, b in pairwise(firsts)],
        loop=0,
        comment=json.dumps({"fps": fps, "starts": firsts}).encode(),
    )
    write_atomically(path, buffer.getvalue())


def _ours(comment: bytes) -> tuple[float | None, list[int]]:
    """Frames per second and where equal frames begin, from the comment of a file that was written here."""
    try:
        values = json.loads(comment)
        return float(values["fps"]), [int(i) for i in values["starts"]]
    except (ValueError, TypeError, KeyError):
        return None, []
