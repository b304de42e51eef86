"""The annotation engine: from a VCF as people have it to a VCF with consequences, a table and a summary."""

from gas.annotation.engine import Result, annotate
from gas.annotation.limits import Limits

__all__ = ["Limits", "Result", "annotate"]
