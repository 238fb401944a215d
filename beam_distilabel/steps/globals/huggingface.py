"""Publishing on the Hub under the import path of distilabel 1.5."""

from beam_distilabel.transforms.sinks.push_to_hub import PushToHub

__all__ = ["PushToHub"]
