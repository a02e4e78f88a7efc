"""Warnings about windows of computed attributes that reach further back than the events of a dataset are kept."""

from gateway.domain.config.computed_attributes import AttributeStatus, ComputedAttribute
from gateway.domain.config.configuration import Configuration
from gateway.domain.config.datasets import Dataset


def warnings_of_attribute(config: Configuration, attribute: ComputedAttribute) -> list[str]:
    """Return a warning for each dataset that keeps events for less time than an attribute looks back. Needs no permission."""
    datasets = sorted(config.datasets.values(), key=lambda dataset: (dataset.name, dataset.dataset_id))
    return [text for dataset in datasets if (text := _warning(attribute, dataset))]


def warnings_of_dataset(config: Configuration, dataset: Dataset) -> list[str]:
    """Return a warning for each attribute that looks back further than a dataset keeps events. Needs no permission."""
    attributes = sorted(config.attributes.values(), key=lambda attribute: attribute.name)
    return [text for attribute in attributes if (text := _warning(attribute, dataset))]


def _warning(attribute: ComputedAttribute, dataset: Dataset) -> str | None:
    """Return the warning of an attribute and a dataset, None where all of its window is kept, or nothing reads the attribute any more."""
    days, lookback = dataset.event_retention_days, attribute.settings.lookback
    is_of_window = attribute.derived.merge_function is not None and attribute.status is not AttributeStatus.DISABLED
    if days is None or not is_of_window or (lookback is not None and lookback.most_days <= days):
        return None
    window = "events of any age" if lookback is None else f"events of {lookback}"
    return f"{attribute.name!r} is of {window}, but the dataset {dataset.name!r} keeps its events for {days:,} days: older ones do not count."
