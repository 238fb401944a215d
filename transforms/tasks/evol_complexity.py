"""EvolComplexity: makes instructions harder."""

from __future__ import annotations

from pydantic import Field

from beam_distilabel.transforms.tasks.evol_instruct import IN_DEPTH_TEMPLATES, EvolInstruct


class EvolComplexity(EvolInstruct):
    """Evolves instructions towards more complexity, without breeding new ones.

    It is `EvolInstruct` with other templates.

    Attributes:
        mutation_templates: the prompts by name, with "<PROMPT>" for the instruction; default are
            CONSTRAINTS, DEEPENING, CONCRETIZING and INCREASED_REASONING_STEPS.

    Input columns: as `EvolInstruct`.
    Output columns: as `EvolInstruct`.

    Source: Liu et al. 2023, https://arxiv.org/abs/2312.15685, after
        Xu et al. 2023, https://arxiv.org/abs/2304.12244

    Citations:
        @misc{liu2024makesgooddataalignment,
            title={What Makes Good Data for Alignment? A Comprehensive Study of Automatic Data
                Selection in Instruction Tuning},
            author={Wei Liu and Weihao Zeng and Keqing He and Yong Jiang and Junxian He},
            year={2024},
            eprint={2312.15685},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2312.15685},
        }
        @misc{xu2023wizardlmempoweringlargelanguage,
            title={WizardLM: Empowering Large Language Models to Follow Complex Instructions},
            author={Can Xu and Qingfeng Sun and Kai Zheng and Xiubo Geng and Pu Zhao and
                Jiazhan Feng and Chongyang Tao and Daxin Jiang},
            year={2023},
            eprint={2304.12244},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2304.12244},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["Name three primes above 90."]}
        >>> task = EvolComplexity(llm=Writer(), num_evolutions=2, store_evolutions=True)
        >>> task.load()
        >>> len(next(task.process([{"instruction": "Name a prime."}]))[0]["evolved_instructions"])
        2
    """

    mutation_templates: dict[str, str] = Field(default_factory=lambda: dict(IN_DEPTH_TEMPLATES))
