"""What the command line says of backbones of texts that cannot be had: exit status 2, one line."""

import json

import pytest

from tiny_texts import TINY, pair
from transferscope.cli.main import main
from transferscope.training import request


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("none", "no such folder"),
        ("vit", "vit is no model of texts alone (it takes pixel_values)"),
        ("broken", "cannot be read"),
    ],
)
def test_a_backbone_of_texts_that_cannot_be_had_is_refused_in_one_line(
    tmp_path, monkeypatch, capfd, key, said
):
    (tmp_path / "vit").mkdir()
    (tmp_path / "vit" / "config.json").write_text(json.dumps({"model_type": "vit"}))
    (tmp_path / "broken").write_bytes(b"\xff\xfe\x00 1 2\n")
    domains, path = pair(), tmp_path / key
    monkeypatch.setattr(request, "load_domain", lambda of, name, *_: domains[name])
    kind = ("word_vectors", "vectors") if key == "broken" else ("transformer", "model")
    words = [f"backbone={kind[0]}", f"backbone.{kind[1]}={path}", "strategy=scratch"]
    assert main(["run", *TINY, *words, f"store={tmp_path / 'runs'}"]) == 2
    out, err = capfd.readouterr()
    assert not out and err.count("\n") == 1
    assert err.startswith(f"transferscope: backbone.{kind[1]}={path}: ") and said in err
