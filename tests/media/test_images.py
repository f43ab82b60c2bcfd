"""Picture files, there and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from streamderain.errors import SinkError, SourceError
from streamderain.media.images import list_images, read_image, shown_in, write_image

PICTURE = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.tiff"])
def test_a_picture_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, PICTURE)
    assert torch.equal(read_image(tmp_path / name), PICTURE)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"a\.mp4 has an ending that tells no picture format; allowed: \.png"):
        write_image(tmp_path / "a.mp4", PICTURE)
    with pytest.raises(SinkError, match=r"a\.png cannot be written: No such file"):
        write_image(tmp_path / "none" / "a.png", PICTURE)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(SourceError, match="not a picture that can be read"):
        read_image(tmp_path / "a.png")
    with pytest.raises(SourceError, match=r"none\.png cannot be read: No such file"):
        read_image(tmp_path / "none.png")


def test_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    """macOS leaves ._NAME beside each file on a disk of others."""
    for name in ("b.png", "._b.png", ".hidden.png", "a.jpg"):
        (tmp_path / name).touch()
    (tmp_path / ".Trashes").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.png"]
    assert [path.name for path in shown_in(tmp_path)] == ["a.jpg", "b.png"]
