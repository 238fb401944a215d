"""Images of prompts, by a model class of the user's own."""

from distilabel.models.image_generation import AsyncImageGenerationModel
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import ImageGeneration

ROWS = {"load": [{"prompt": "A red square."}, {"prompt": "A blue dot."}]}


class Painter(AsyncImageGenerationModel):
    """Paints a pixel."""

    colour: str = "red"
    use_offline_batch_generation: bool = False  # distilabel's ImageTask asks for it

    def load(self) -> None:
        super().load()

    @property
    def model_name(self) -> str:
        return f"painter-{self.colour}"

    async def agenerate(self, input, num_generations=1):
        return [{"images": [self.colour] * num_generations}]


with Pipeline(name="image-generation-own-model") as pipeline:
    load = LoadDataFromDicts(name="load", data=ROWS["load"])
    load >> ImageGeneration(name="paint", image_generation_model=Painter(colour="blue"))
