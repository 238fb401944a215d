"""ImageGeneration."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.models.image_generation import AsyncImageGenerationModel
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import ImageGeneration
from tests.fakes import run_with_failures


def picture(colour: str) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGBA", (2, 2), colour).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


class Painter(AsyncImageGenerationModel):
    """Paints a square of the colour that it is asked for."""

    @property
    def model_name(self) -> str:
        return "painter"

    async def agenerate(  # type: ignore[override]
        self, input: str, num_generations: int = 1
    ) -> list[dict[str, Any]]:
        images = {"nothing": [], "text": ["no picture"], "number": [3]}.get(input)
        painted = images if images is not None else [picture(input)]
        return [{"images": painted} for _ in range(num_generations)]


def test_rows() -> None:
    step = ImageGeneration(name="paint", image_generation_model=Painter())
    rows = [{"prompt": prompt} for prompt in ("red", "nothing", "number", None)]
    done, failures = run_with_failures(rows, step)
    found = {row["prompt"]: row["image"] for row in done}
    assert found == {"red": picture("red"), **dict.fromkeys(("nothing", "number", None))}
    assert sorted(failure.kind for failure in failures) == ["parse", "parse", "render"]
    assert step.outputs == {"image": True, "model_name": True}


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_images_are_kept_as_files_of_the_run(form: str, tmp_path: Path) -> None:
    from PIL import Image

    with Pipeline("painting") as pipeline:
        load = LoadDataFromDicts(data=[{"prompt": p} for p in ("red", "blue", "text")])
        load >> ImageGeneration(
            name="paint",
            image_generation_model=Painter(),
            save_artifacts=True,
            image_format=form,
        )
    distiset = pipeline.run(output_dir=tmp_path / "run")
    rows = {row["prompt"]: row for row in distiset["default"]["train"]}
    assert rows["text"]["image_path"] is None
    paths = {rows[colour]["image_path"] for colour in ("red", "blue")}
    assert len(paths) == 2
    for path in paths:
        with Image.open(tmp_path / "run" / path) as image:
            assert (image.format, image.size) == (form, (2, 2))


def test_files_are_named_by_rows_of_groups_too(tmp_path: Path) -> None:
    with Pipeline("painting") as pipeline:
        load = LoadDataFromDicts(data=[{"prompt": "red"}])
        load >> ImageGeneration(
            name="paint",
            image_generation_model=Painter(),
            save_artifacts=True,
            num_generations=2,
            group_generations=True,
        )
    [row] = pipeline.run(output_dir=tmp_path / "run")["default"]["train"]
    assert row["image"] == [picture("red")] * 2
    assert len(set(row["image_path"])) == 1
    assert (tmp_path / "run" / row["image_path"][0]).is_file()
