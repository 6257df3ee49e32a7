import io

import numpy as np
import pytest
from PIL import Image

from transferscope.store.thumbnails import path, png, read_thumbnails, write_thumbnails


@pytest.mark.parametrize("shape", [(8, 8), (96, 48, 3)])
def test_pictures_are_kept_small_and_only_new_ones_are_asked_for(tmp_path, shape):
    asked = []

    def images(ids):
        asked.append(ids)
        return [np.full(shape, int(item), np.uint8) for item in ids]

    write_thumbnails(tmp_path, "abc", ["1", "2"], images)
    write_thumbnails(tmp_path, "abc", ["2", "3"], images)
    write_thumbnails(tmp_path, "abc", ["1", "3"], images)
    assert asked == [["1", "2"], ["3"]]
    found = read_thumbnails(tmp_path, "abc")
    assert list(found) == ["1", "2", "3"] and max(found["3"].shape[:2]) <= 32 and (found["3"] == 3).all()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(found["2"])))), found["2"])


def test_data_without_pictures_has_none_and_leaves_no_file(tmp_path):
    write_thumbnails(tmp_path, "abc", [], lambda ids: [])
    assert read_thumbnails(tmp_path, "abc") == {} and not path(tmp_path, "abc").exists()
