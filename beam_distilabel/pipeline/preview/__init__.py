"""A few rows through the real pipeline: what is asked and answered, and what all of it would take.

`Pipeline.preview` runs the first rows of each loader, in a run of their own that publishes nothing.
What they took tells what the whole run takes, as far as a few rows can tell.

- `first_rows`: what is run. `running`: running it.
- `exchanges`: what was asked. `whole_run`, `estimates`, `prices`: what the rest would take.
- `data`: all of it. `tables`: for people.
"""

from beam_distilabel.pipeline.preview.data import Exchange, Preview, StepEstimate
from beam_distilabel.pipeline.preview.first_rows import take_first_rows
from beam_distilabel.pipeline.preview.prices import Price
from beam_distilabel.pipeline.preview.running import of_dry_run, preview
from beam_distilabel.pipeline.preview.tables import print_estimates

__all__ = [
    "Exchange",
    "Preview",
    "Price",
    "StepEstimate",
    "of_dry_run",
    "preview",
    "print_estimates",
    "take_first_rows",
]
