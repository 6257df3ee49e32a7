"""Where the yaml shelves are: the project's own folder and those a user adds through Hydra's search path."""

from pathlib import Path


def own_folder() -> Path:
    """conf/ beside src/ in a checkout, inside the package in an installed wheel."""
    package = Path(__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def folders() -> tuple[Path, ...]:
    """Every config folder, in Hydra's order of precedence."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return (own_folder(),)
    sources = HydraConfig.get().runtime.config_sources
    found = [Path(source.path) for source in sources if source.schema == "file" and source.path]
    return tuple(dict.fromkeys([*found, own_folder()]))


def find(group: str, name: str) -> Path | None:
    """The yaml of one choice, or None. A name may come from a record: it leads nowhere but to its shelf."""
    if name not in names(group):
        return None
    return next((path for folder in folders() if (path := folder / group / f"{name}.yaml").is_file()), None)


def targets(group: str, *more: Path) -> set[str]:
    """What the yamls of a group name as `_target_`, here and in `more` folders: a record may have nothing else built."""
    from omegaconf import OmegaConf

    return {OmegaConf.load(path).get("_target_") for folder in (*folders(), *more) for path in (folder / group).glob("*.yaml")}


def names(group: str) -> list[str]:
    """All choices of a group."""
    return sorted({path.stem for folder in folders() for path in (folder / group).glob("*.yaml")})
