"""What a validation found, as tests ask for it."""

from k2compat.checkpoint.reporting import Validation
from k2compat.findings import Finding, Severity


def bad(validation: Validation) -> list[Finding]:
    return [finding for finding in validation.report if finding.severity is not Severity.INFO]


def codes(validation: Validation) -> list[str]:
    return [finding.code for finding in bad(validation)]
