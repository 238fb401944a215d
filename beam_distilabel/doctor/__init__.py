"""What `beam-distilabel doctor` checks: this environment, and that three rows come through."""

from beam_distilabel.doctor.check import Check, Finding, Result, run_checks
from beam_distilabel.doctor.examination import Examination, all_checks

__all__ = ["Check", "Examination", "Finding", "Result", "all_checks", "run_checks"]
