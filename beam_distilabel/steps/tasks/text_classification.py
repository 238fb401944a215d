"""TextClassification under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.text_classification import TextClassification

__all__ = ["TextClassification"]
