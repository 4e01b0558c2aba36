"""Animations: every frame, its order and the speed come back, colours nearly."""

import numpy as np
import pytest
from kedro.io import DatasetError

from hyco.datasets.animation import AnimationDataset


def moving(frames=6, fps=8.0):
    """A bright square that moves right over a blue ground, in frames higher than wide."""
    images = np.zeros((frames, 40, 30, 3), dtype=np.uint8)
    images[..., 2] = 120
    for k, image in enumerate(images):
        image[10:20, 4 * k : 4 * k + 5] = (250, 200, 30)
    return {"frames": images, "fps": fps}


def test_frames_and_speed_come_back(tmp_path):
    dataset = AnimationDataset(str(tmp_path / "a.gif"))
    assert not dataset.exists()
    assert dataset.preview() == ""
    dataset.save(moving())
    loaded = dataset.load()
    assert dataset.exists()
    assert loaded["fps"] == 8.0
    assert loaded["frames"].shape == (6, 40, 30, 3)
    assert loaded["frames"].dtype == np.uint8
    assert np.abs(loaded["frames"].astype(int) - moving()["frames"]).max() <= 8


def test_frames_that_do_not_change_are_not_lost(tmp_path):
    data = moving(4)
    data["frames"] = data["frames"][[0, 0, 0, 1, 2, 2, 3]]
    dataset = AnimationDataset(str(tmp_path / "a.gif"))
    dataset.save(data)
    loaded = dataset.load()["frames"]
    assert len(loaded) == 7
    assert np.array_equal(loaded[0], loaded[2])
    assert not np.array_equal(loaded[2], loaded[3])


def test_a_single_frame_is_an_animation_too(tmp_path):
    dataset = AnimationDataset(str(tmp_path / "a.gif"))
    dataset.save(moving(1))
    assert dataset.load()["frames"].shape == (1, 40, 30, 3)


def test_a_gif_of_another_program_can_be_loaded(tmp_path):
    from PIL import Image

    images = [Image.fromarray(frame) for frame in moving(3)["frames"]]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=100, loop=0)
    loaded = AnimationDataset(str(tmp_path / "a.gif")).load()
    assert len(loaded["frames"]) == 3
    assert loaded["fps"] == 10.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.zeros((2, 4, 4, 3))}, "uint8"),
        ({"frames": np.zeros((4, 4, 3), dtype=np.uint8)}, "uint8"),
        ({"frames": np.zeros((0, 4, 4, 3), dtype=np.uint8)}, "uint8"),
        ({"fps": 0.0}, "positive"),
    ],
)
def test_what_is_no_animation_is_refused(tmp_path, change, message):
    dataset = AnimationDataset(str(tmp_path / "a.gif"))
    with pytest.raises(DatasetError, match=message):
        dataset.save({**moving(), **change})
    assert not dataset.exists()


def test_the_preview_is_the_animation(tmp_path, decode):
    dataset = AnimationDataset(str(tmp_path / "a.gif"), metadata={"layer": "evaluation"})
    dataset.save(moving())
    image = decode(dataset.preview())
    assert image.format == "GIF"
    assert image.n_frames == 6
    assert dataset.metadata == {"layer": "evaluation"}
