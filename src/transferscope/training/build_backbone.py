"""A backbone from its section of the config, told of the inputs what it takes."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.utils import get_class, instantiate

from transferscope.backbones.base import Backbone

Columns = Mapping[str, Sequence[str]] | None


def build_backbone(section: Mapping[str, Any], input_shape: Sequence[int], columns: Columns) -> Backbone:
    """section: without the name. columns: see Domain. Hydra wraps what the constructor raises."""
    given = {"columns": columns} if takes_columns(get_class(section["_target_"])) else {}
    backbone: Backbone = instantiate(section, input_shape=tuple(input_shape), **given, _convert_="all")
    return backbone


def takes_columns(backbone: type) -> bool:
    """Whether it is told of the columns of a table: such a one takes categories and missing values."""
    return "columns" in inspect.signature(backbone).parameters
