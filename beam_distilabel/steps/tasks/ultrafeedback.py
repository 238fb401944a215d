"""UltraFeedback under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.ultrafeedback import UltraFeedback

__all__ = ["UltraFeedback"]
