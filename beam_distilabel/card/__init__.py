"""The dataset card: what a result holds, how to load it, what made it. No network.

- `card`: the whole README.md, built from the parts below.
- `readme`: a README's front matter and our section, told apart from what people wrote.
- `front_matter`: `configs`, `dataset_info`, tags and size for the Hub and for `datasets`.
- `contents` and `provenance`: what our section says of the rows, and of what made them;
  `drawing`, `sample` and `markdown` are what it is made of.
- `definition`: the Steps and models in the content of a `pipeline.yaml`.
"""

from beam_distilabel.card.card import build_card, write_card
from beam_distilabel.card.drawing import draw_pipeline
from beam_distilabel.card.front_matter import TAGS, size_category
from beam_distilabel.card.sample import cut

__all__ = ["TAGS", "build_card", "cut", "draw_pipeline", "size_category", "write_card"]
