"""Frames in few colours, the same ones for all so that nothing flickers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Frames that tell the colours of all.
_SAMPLES = 8


def indexed(frames: NDArray[np.uint8], most: int = 256) -> list[Image.Image]:
    """Frames as images with a palette of at most so many colours; white stays white.

    Args:
        frames: uint8 `[N, height, width, 3]`.
        most: colours, 256 at most.
    """
    white = most - 1
    palette = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // _SAMPLES)])).quantize(white)
    colours = [*(palette.getpalette() or [])[: 3 * white]]
    colours += [255] * (3 * most - len(colours))
    palette.putpalette(colours)
    images = []
    for frame in frames:
        codes = np.array(Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE))
        # The nearest colour is looked for coarsely, and what is nearly white would be taken for it.
        codes[(frame[..., 0] & frame[..., 1] & frame[..., 2]) == 255] = white
        image = Image.fromarray(codes)
        image.putpalette(colours)
        images.append(image)
    return images
