"""The front matter's parts that are ours: what the Hub and `datasets` read of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from beam_distilabel.card.definition import mapping
from beam_distilabel.summary import SubsetSummary

TAGS = ("synthetic", "distilabel", "rlaif", "beam-distilabel")

_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_CATEGORIES = (
    "n<1K",
    *(f"{low}<n<{high}" for low, high in zip(_SIZES, _SIZES[1:], strict=False)),
    "n>1T",
)


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows.

    Example:
        >>> size_category(999), size_category(1000), size_category(5_000_000)
        ('n<1K', '1K<n<10K', '1M<n<10M')
    """
    return _CATEGORIES[min(max(len(str(rows)) - 3, 0), len(_CATEGORIES) - 1)]


def front_matter(
    existing: Mapping[str, Any],
    subsets: Sequence[SubsetSummary],
    *,
    keep_other_splits: bool = False,
) -> dict[str, Any]:
    """Our keys of the front matter, updated.

    `configs` and `dataset_info` of subsets that name their files are written anew, those of others
    stay. There is one default config: "default" if there is one, else the one that it was, else the
    first of `subsets`; `datasets` loads nothing at all from a card with two.

    Args:
        existing: the front matter that is there.
        subsets: what is published.
        keep_other_splits: keep the splits that a config has and its subset hasn't.
    """
    named = [subset for subset in subsets if subset.data_files]
    ours: dict[str, Any] = {}
    infos = _by_name(existing.get("dataset_info"))
    configs = _by_name(existing.get("configs"))
    previous = _default_of(configs)
    if named:
        for subset in named:
            held = configs.get(subset.name) if keep_other_splits else None
            config = _config(subset, held)
            infos[subset.name] = _info(subset, list(_patterns(config)), infos.get(subset.name, {}))
            configs[subset.name] = config
        _set_default(configs, previous, named[0].name)
        ours["configs"] = list(configs.values())
        ours["dataset_info"] = list(infos.values())
    ours["size_categories"] = [_category(existing, subsets, configs, infos)]
    tags = existing.get("tags") or []
    tags = tags if isinstance(tags, list) else [str(tags)]
    ours["tags"] = [*tags, *(tag for tag in TAGS if tag not in tags)]
    return ours


def _by_name(entries: Any) -> dict[str, dict[str, Any]]:
    """The entries of `configs` or `dataset_info` by name; of one name, the last, as it is read."""
    if isinstance(entries, Mapping):  # how one `dataset_info` is written
        entries = [{"config_name": "default", **entries}]
    entries = entries if isinstance(entries, list) else []
    return {
        str(entry["config_name"]): dict(entry)
        for entry in entries
        if isinstance(entry, Mapping) and entry.get("config_name") is not None
    }


# -- configs ---------------------------------------------------------------------------------------


def _config(subset: SubsetSummary, held: Mapping[str, Any] | None) -> dict[str, Any]:
    patterns: dict[str, Any] = _patterns(held) if held else {}
    patterns.update(subset.data_files)
    others = {
        key: value
        for key, value in (held or {}).items()
        if key not in ("config_name", "data_files", "data_dir", "default")
    }
    return {
        "config_name": subset.name,
        **others,
        "data_files": [{"split": split, "path": path} for split, path in patterns.items()],
    }


def _patterns(config: Mapping[str, Any]) -> dict[str, Any]:
    """Split to what names its files, in any of the forms that `datasets` takes."""
    files = config.get("data_files")
    if isinstance(files, str):
        return {"train": files}
    if not isinstance(files, list):
        return {}
    if all(isinstance(entry, str) for entry in files):
        return {"train": list(files)} if files else {}
    return {
        str(entry["split"]): entry["path"]
        for entry in files
        if isinstance(entry, Mapping) and "split" in entry and "path" in entry
    }


def _default_of(configs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The config that `load_dataset` takes where none is named."""
    if len(configs) == 1 or "default" in configs:
        return "default" if "default" in configs else next(iter(configs))
    return next((name for name, config in configs.items() if config.get("default")), None)


def _set_default(configs: Mapping[str, dict[str, Any]], previous: str | None, first: str) -> None:
    chosen = "default" if "default" in configs else previous or first
    for name, config in configs.items():
        if name != chosen and config.get("default"):
            del config["default"]
    if chosen != "default":
        configs[chosen]["default"] = True


# -- dataset_info ----------------------------------------------------------------------------------


def _info(subset: SubsetSummary, splits: Sequence[str], held: Mapping[str, Any]) -> dict[str, Any]:
    """The `dataset_info` of a subset.

    Sizes and features are left out where they aren't known of all `splits`: `datasets` refuses rows
    that don't agree with them.
    """
    info: dict[str, Any] = {"config_name": subset.name}
    kept = [split for split in splits if split not in subset.splits]
    features = _features(subset)
    if features and (not kept or held.get("features") == features):
        info["features"] = features
    entries = {
        entry["name"]: entry
        for entry in _counted(held) or ()
        if entry["name"] in kept and isinstance(entry.get("num_bytes"), int)
    }
    for split, size in subset.bytes.items():
        if split in subset.splits:
            rows = subset.splits[split]
            entries[split] = {"name": split, "num_bytes": size, "num_examples": rows}
    if set(entries) == set(splits):
        info["splits"] = [dict(entries[split]) for split in splits]
        if not kept and all(split in subset.file_bytes for split in splits):
            info["download_size"] = sum(subset.file_bytes[split] for split in splits)
        info["dataset_size"] = sum(entries[split]["num_bytes"] for split in splits)
    return info


def _features(subset: SubsetSummary) -> Any:
    """The features as a card holds them; None where `datasets` couldn't read them back."""
    from datasets import DatasetInfo, Features
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    if not subset.schema:  # not known, or without columns
        return None
    try:
        features = Features.from_arrow_schema(subset.schema)
        data = DatasetCardData()
        DatasetInfosDict({"default": DatasetInfo(features=features)}).to_dataset_card_data(data)
        read = DatasetInfosDict.from_dataset_card_data(data)["default"].features
    except (KeyError, NotImplementedError, TypeError, ValueError):
        # An Arrow type that `datasets` has no name for, or a struct whose fields are named like
        # the words of this format. Without features `datasets` takes them from the files.
        return None
    return data["dataset_info"]["features"] if read == features else None


def _counted(info: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The splits of a `dataset_info`, None where they aren't counted."""
    splits = info.get("splits")
    if not isinstance(splits, list):
        return None
    for entry in splits:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("num_examples"), int):
            return None
        if "name" not in entry:
            return None
    return splits


# -- size ------------------------------------------------------------------------------------------


def _category(
    existing: Mapping[str, Any],
    subsets: Sequence[SubsetSummary],
    configs: Mapping[str, Any],
    infos: Mapping[str, Mapping[str, Any]],
) -> str:
    """The category of all rows; at least what it was, where a config's rows aren't counted."""
    total = sum(sum(subset.splits.values()) for subset in subsets)
    ours = {subset.name: set(subset.splits) for subset in subsets}
    unknown = False
    for name in {**configs, **infos}:
        counted = _counted(mapping(infos.get(name)))
        unknown |= counted is None and name not in ours
        for entry in counted or ():
            if entry["name"] not in ours.get(name, ()):
                total += entry["num_examples"]
    category = size_category(total)
    held = existing.get("size_categories")
    known = [name for name in (held if isinstance(held, list) else [held]) if name in _CATEGORIES]
    return max([category, *(known if unknown else [])], key=_CATEGORIES.index)
